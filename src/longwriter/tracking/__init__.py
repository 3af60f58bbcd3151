"""MLflow runs, data sets and models; lineage from a number to LLM calls; what DVC and git know."""
