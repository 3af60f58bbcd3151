"""Floor 1, pure: the same input gives the same output; no disk, network or clock."""
