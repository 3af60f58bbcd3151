"""The `longwriter` command: profiles of params.yaml, and the way back from a number to LLM calls."""

from __future__ import annotations

import json
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import typer

from longwriter.edges import profiles
from longwriter.errors import LongWriterError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
profile = typer.Typer(no_args_is_help=True, help="Show, compare and apply infra/profiles/NAME.yaml.")
app.add_typer(profile, name="profile")


def _out(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


@profile.command("show")
def show(name: str) -> None:
    """Print params.yaml as it would be under profile NAME."""
    _out(profiles.applied(name))


@profile.command("diff")
def diff(name: str) -> None:
    """Print what profile NAME would change in params.yaml."""
    before, after = Path("params.yaml").read_text(encoding="utf-8"), profiles.applied(name)
    lines = list(unified_diff(before.splitlines(), after.splitlines(), "params.yaml", name, n=1, lineterm=""))
    _out("\n".join(lines) or f"params.yaml is as profile {name} wants it")


@profile.command("apply")
def apply(name: str) -> None:
    """Write profile NAME into params.yaml; git shows the change, DVC sees the values."""
    profiles.apply(name)
    _out(f"params.yaml now follows profile {name}; `git diff params.yaml` shows what changed")


@app.command()
def lineage(
    row_id: Annotated[
        str | None,
        typer.Argument(
            help="sample_id of a row (else the first long one); with --benchmark the generation_id of an "
            "answer (else the one with the lowest length score)"
        ),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Start at a model's number on this benchmark")] = None,
    model: Annotated[str, typer.Option(help="base_model, sft or dpo; with --benchmark")] = "sft",
    full: Annotated[bool, typer.Option(help="Print requests and answers whole")] = False,
) -> None:
    """Walk by MLflow from the data set, or from a benchmark number, to the LLM calls behind it.

    longwriter lineage: the gated data set, one row, the runs that made it, its LLM calls.

    longwriter lineage --benchmark small --model dpo: the number in the report, one answer with its own
    call, the weights, the training runs, one pack, and a row of it down to the LLM calls that wrote it.
    """
    from longwriter.edges import audit

    steps = audit.walk_benchmark(benchmark, model, row_id) if benchmark else audit.walk(row_id)
    for step in steps:
        text = json.dumps(step, ensure_ascii=False, indent=2)
        _out(text if full or len(text) < 2500 else _shortened(step))


def _shortened(step: dict[str, Any]) -> str:
    """Return a step with its long texts cut."""
    return json.dumps(
        json.loads(
            json.dumps(step),
            object_hook=lambda d: {
                k: v[:300] + " …" if isinstance(v, str) and len(v) > 300 else v for k, v in d.items()
            },
        ),
        ensure_ascii=False,
        indent=2,
    )


def main() -> None:
    """Run the command line; a foreseen failure is one line and its exit code."""
    try:
        app()
    except LongWriterError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)
