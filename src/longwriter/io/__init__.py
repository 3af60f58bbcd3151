"""Access to the machine for all other packages: files, processes, local servers, progress bars, S3."""
