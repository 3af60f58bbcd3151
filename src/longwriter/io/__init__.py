"""Access to the machine for all other packages: files, processes, progress bars, databases, S3."""
