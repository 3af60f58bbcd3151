"""MLflow runs and models; lineage and provenance; digests from DVC; git."""
