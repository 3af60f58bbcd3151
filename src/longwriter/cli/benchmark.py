"""`longwriter benchmark`: benchmarks of your own in params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from longwriter.cli import checkout, profile
from longwriter.errors import UserError
from longwriter.text import inert


def benchmark(
    folder: Annotated[
        str, typer.Argument(help="Folder with NAME.jsonl; each row has prompt, type and length (in words)")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Write the keys into params.yaml")] = False,
) -> None:
    """Read the benchmarks of a folder, and set the keys of params.yaml that use them.

    A training row that repeats a prompt of theirs is rejected from then on.

    Example: longwriter benchmark my-benchmarks --apply
    """
    checkout.require()
    from longwriter.evaluation import answers
    from longwriter.io import files
    from longwriter.records import BenchmarkRow

    paths = sorted(Path(folder).glob("*.jsonl"))
    if not paths:
        raise UserError(f"{inert.line(folder)} has no *.jsonl: name the folder that holds your benchmarks")
    for path in paths:
        prompts = answers.benchmark_prompts(files.read_jsonl(path, BenchmarkRow), str(path))
        lengths = [prompt.required_words for prompt in prompts]
        typer.echo(
            inert.line(f"{path.name}: {len(prompts):,} prompts, {min(lengths):,} to {max(lengths):,} words")
        )
    changes = {"generate": {"folder": folder, "benchmarks": [path.stem for path in paths]}}
    profile.offer(changes, folder, apply, "python -m flows")
