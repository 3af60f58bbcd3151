"""Measures of answers beside their scores: repetition, variety, lengths over samples, and LongWrite-Ruler's curve."""
