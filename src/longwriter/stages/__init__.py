"""Floor 3: one thin module a DVC stage: read, call core, write. Params are their only input."""

import gc
import sys

if sys.argv[0] == "-m":  # as `python -m` sets it while it looks for the stage's module
    gc.disable()  # a fifth of the imports' time, and nothing that they make is garbage; `runner.main` ends it
