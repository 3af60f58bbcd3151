"""Floor 3: one thin module a DVC stage: read, call core, write. Params are their only input."""
