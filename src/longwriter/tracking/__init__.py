"""MLflow runs and models; provenance and OpenLineage events; digests from DVC; git."""
