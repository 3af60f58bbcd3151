"""One question to a judge, which of two answers is better: its prompt, how its answer is read, and the asking in both orders."""
