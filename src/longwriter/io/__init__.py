"""Access to the machine for all other packages: files, processes, web servers, progress bars, S3."""
