"""What the ranks choose for their device, and why; the stage writes it into its log and into MLflow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from longwriter.launch import checkpoints


@dataclass(frozen=True)
class Choice:
    """One of several ways that give the same result, and why it is used."""

    name: str
    reason: str
    error: float | None = None
    """Relative difference between its results and the results of another way; None if it was not measured."""


def write(folder: Path, choices: dict[str, Choice]) -> None:
    """Write the choices of a training into its checkpoint folder."""
    rows = {name: asdict(choice) for name, choice in choices.items()}
    (folder / checkpoints.CHOICES).write_text(json.dumps(rows), encoding="utf-8")
