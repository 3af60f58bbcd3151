"""What every stage process shares: its lock, its MLflow run with traces and tables, its lineage and its exit code."""
