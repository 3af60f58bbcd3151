"""Reads the length that a prompt asks the whole text to have; holds the rules and numerals for that."""
