"""Runs training jobs one after the other, each in new ranks forked off this process.

Imports take longer than the training of a tiny model, and here they are done once for all jobs. What a launch
itself does (signals, exit codes) is tested with `launch.run`.

Run: `python -m tests.train_jobs JOB.json …`
"""

from __future__ import annotations

import sys

from longwriter.training import cpu_ranks

if __name__ == "__main__":
    for job_file in sys.argv[1:]:
        cpu_ranks.start(job_file)
