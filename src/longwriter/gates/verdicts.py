"""Verdicts of the gates, as the stages behind a gate read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longwriter.errors import GateStopped
from longwriter.io import files
from longwriter.tracking import versioning


def check_verdict(verdict_file: Path, data: Sequence[Path], stage: str) -> None:
    """Check that a gate has passed exactly the rows that lie in `data` now.

    Args:
        verdict_file: The verdict, as `gx.settle` writes it.
        data: Files that the gate judged.
        stage: The stage that writes the verdict, for the error.

    Raises:
        GateStopped: the verdict is about other rows, or did not pass them.
    """
    verdict = files.read_json(verdict_file)
    digests = versioning.digests(data)
    if verdict["passed"] is not True or verdict["data"] != digests:
        raise GateStopped(
            f"{verdict_file} does not pass the rows in {', '.join(digests)}: run `dvc repro {stage}`"
        )


def check_examples() -> None:
    """Check that the gate `validate` has passed the data set; see `check_verdict`."""
    data = [files.DATA / "dataset" / name for name in ("train.jsonl", "test.jsonl")]
    check_verdict(files.DATA / "validate" / "verdict.json", data, "validate")


def check_pairs() -> None:
    """Check that the gate of `preferences` has passed the pairs; see `check_verdict`."""
    folder = files.DATA / "preferences"
    check_verdict(folder / "verdict.json", [folder / "train.jsonl", folder / "test.jsonl"], "preferences")
