"""Reads the rows of sources: files, folders, buckets and data sets of the hub."""
