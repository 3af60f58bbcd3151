"""Copies the last checkpoint of a training into DeepSpeed's universal form, which any number of ranks can read.

The old checkpoint is only read. A stage of ZeRO cannot read the form of another stage (DeepSpeed 0.19 writes
other files, and forgets the step of Adam), so both layouts must have the same stage.

Run: `python -m longwriter.training.universal OLD_FOLDER NEW_FOLDER`
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import Namespace
from pathlib import Path

from longwriter.io import startup

if __name__ == "__main__":
    startup.begin_rank()  # before the imports below, which take seconds

from deepspeed.checkpoint import ds_to_universal

from longwriter.launch import checkpoints

_WORKERS = min(4, os.cpu_count() or 1)


def convert(old: Path, new: Path) -> None:
    """Write the last complete checkpoint and the curve of a training into the folder of another one.

    Args:
        old: Checkpoint folder of the training so far.
        new: Checkpoint folder of its continuation; a checkpoint there counts only once it is complete.
    """
    step = checkpoints.finished(old)[-1]
    source, target = (folder / f"checkpoint-{step}" for folder in (old, new))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("global_step*", "latest", checkpoints.COMPLETE)
    )
    tag = (source / "latest").read_text(encoding="utf-8").strip()
    options = {"strict": True, "keep_temp_folder": False, "inject_missing_state": True}
    folders = {"input_folder": str(source / tag), "output_folder": str(target / f"{tag}_universal")}
    ds_to_universal.main(
        Namespace(**folders, **options, num_extract_workers=_WORKERS, num_merge_workers=_WORKERS)
    )
    shutil.copyfile(old / checkpoints.CURVE, new / checkpoints.CURVE)
    checkpoints.mark_complete(target)


if __name__ == "__main__":
    startup.end()
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
