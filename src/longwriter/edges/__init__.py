"""Floor 2: the only code that touches the world, one outside system a file."""
