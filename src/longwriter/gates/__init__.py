"""The gates. Each gate has a file with its tables and expectations; `suite/` runs them and writes verdicts."""
