"""Whether a text speaks about its own task in place of being the text: refusals, meta talk, poison."""
