"""Answers of the compared models, their scores, the judge, the comparison, and its report."""
