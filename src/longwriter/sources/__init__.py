"""Reads the rows of sources (files, folders, buckets) and the prompts of benchmarks, and finds the texts that repeat one."""
