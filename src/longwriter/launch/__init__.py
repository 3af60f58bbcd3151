"""How the ranks of a training are started, what they need from the environment, and their checkpoints."""
