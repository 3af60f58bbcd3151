"""Reads files, folders, buckets and saved data sets row by row."""
