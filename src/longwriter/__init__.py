"""LongWriter: teach language models to write 10,000+ words, as a versioned nightly pipeline."""
