"""Rows of any source: files, folders and buckets, the schemas of a row, and the prompts of benchmarks."""
