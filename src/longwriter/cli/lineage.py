"""`longwriter lineage`: from a row of the data set, or a benchmark number, back to its LLM calls."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from longwriter.cli import checkout
from longwriter.text import inert

_WHOLE_CHARS = 2500
"""Longest step, as JSON, that is printed whole without --full."""
_TEXT_CHARS = 300
"""Characters that are printed of each text in a longer step."""


def lineage(
    row_id: Annotated[
        str | None,
        typer.Argument(
            help="sample_id of a row (default: the first long one); with --benchmark the generation_id of an "
            "answer (default: the one with the lowest length score)"
        ),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Start at a model's number on this benchmark")] = None,
    model: Annotated[str, typer.Option(help="Name in compare.models; with --benchmark")] = "sft",
    full: Annotated[bool, typer.Option(help="Print requests and answers whole")] = False,
) -> None:
    """Walk by MLflow from the data set, or from a benchmark number, to the LLM calls behind it.

    longwriter lineage: the gated data set, one row, the runs that made it, its LLM calls.

    longwriter lineage --benchmark small --model dpo: the number in the report, one answer with its own
    call, the weights, the training runs, one pack, and a row of it down to the LLM calls that wrote it.
    """
    checkout.require()
    from longwriter.tracking import lineage as audit

    steps = audit.walk_benchmark(benchmark, model, row_id) if benchmark else audit.walk(row_id)
    for step in steps:
        text = json.dumps(step, ensure_ascii=False, indent=2)
        is_whole = full or len(text) < _WHOLE_CHARS
        shown = text if is_whole else json.dumps(_shortened(step), ensure_ascii=False, indent=2)
        typer.echo(inert.terminal(shown))


def _shortened(value: Any) -> Any:
    """Return a JSON value in which the long texts of objects are cut."""
    if isinstance(value, dict):
        return {key: _cut(item) if isinstance(item, str) else _shortened(item) for key, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list | tuple) else value


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]} …"
