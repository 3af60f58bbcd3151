"""Files, processes, progress bars and S3: what every other room needs of the machine."""
