"""The quality score: the question to a judge, its answer, and how it is asked."""
