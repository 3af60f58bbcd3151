"""Runs one benchmark on any endpoint: answers, scores and a page, without the training pipeline."""
