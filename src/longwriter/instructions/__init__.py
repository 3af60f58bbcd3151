"""Reads writing instructions from sources and selects some of them."""
