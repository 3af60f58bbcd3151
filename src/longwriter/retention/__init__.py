"""What is removed when it is old: files of `.lw`, MLflow runs, stored answers, and data in DVC's cache and remote."""
