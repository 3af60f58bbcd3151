"""What a judge is worth: degraded copies, attacks, repeats, and votes of people."""
