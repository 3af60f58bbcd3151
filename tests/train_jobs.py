"""Runs training jobs one after the other, each in new ranks forked off this process.

Imports take longer than the training of a tiny model, and here they are done once for all jobs. What a launch
itself does (signals, exit codes) is tested with `launch.run`.

Run: `python -m tests.train_jobs JOB.json …`, with `universal:OLD:NEW` where the state of a job is to be converted
for another one
"""

from __future__ import annotations

import sys
from pathlib import Path

from transformers import conversion_mapping

from longwriter.training import cpu_ranks, universal

if __name__ == "__main__":
    conversion_mapping.get_checkpoint_conversion_mapping("llama")  # a table that each rank would build
    for work in sys.argv[1:]:
        if work.startswith("universal:"):
            _, old, new = work.split(":")
            universal.convert(Path(old), Path(new))
        else:
            cpu_ranks.start(work)
