"""Short prompts: the answers of a model, and the checks of them by code."""
