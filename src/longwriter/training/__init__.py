"""Training: what a rank does (`ranks/`), and how a finished model is published."""
