"""Files, processes, local servers, progress bars and S3: the machine, for every other room."""
