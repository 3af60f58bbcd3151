"""Finds the instruction in one row of a source, in each of the common schemas."""
