"""The gates: each has a file with its tables and expectations; `suite/` runs them and writes the verdicts."""
