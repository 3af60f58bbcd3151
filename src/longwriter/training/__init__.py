"""Tokenizer, packs, losses, preference pairs, the ranks, and how they are launched and resumed."""
