"""Answers of the compared models, scores and measures of each text, and the rule of promotion."""
