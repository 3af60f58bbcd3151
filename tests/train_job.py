"""Launches the ranks of a training job and ends on signals as a stage does; tests use it in place of a stage.

Run: `python -m tests.train_job JOB.json`
"""

from __future__ import annotations

import sys
from pathlib import Path

from longwriter.errors import LongWriterError
from longwriter.io import process
from longwriter.launch import launch

if __name__ == "__main__":
    process.exit_on_sigterm()
    process.die_with_parent()
    job = launch.Job.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        launch.run(job, lambda points: None, lambda step: None)
    except LongWriterError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
