"""The quality score: the prompt for the judge, its answer, and the calls."""
