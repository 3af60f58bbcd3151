"""The gates: what Great Expectations checks of instructions, plans, examples and pairs, and the verdicts."""
