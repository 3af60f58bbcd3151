"""Training: tokenizer, packs, losses, preference pairs, and ranks that start, save and resume."""
