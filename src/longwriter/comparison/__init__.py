"""Numbers that compare models: differences in pairs, groups of prompts, quality, win rates."""
