"""What no training row may hold: prompts of benchmarks, also with a few other words, and rows that were withdrawn."""
