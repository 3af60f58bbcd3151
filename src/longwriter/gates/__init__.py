"""The gates: one file a gate with its table and its suite, the run by Great Expectations, and the verdicts."""
