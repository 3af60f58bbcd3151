"""`longwriter estimate`: calls, tokens, cost and hours that AgentWrite and its judges will need."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.text import inert


def estimate(
    tokens_per_second: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="Speed of one request, for models without stored answers (default: 50; of the embedded engines, shared "
            "by all requests at once, 400 with openvino and 125 with llama.cpp, as a 135M model on two cores has)",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Estimate calls, tokens, cost and hours of AgentWrite and of the judges under params.yaml; makes no call.

    Example: longwriter estimate --tokens-per-second 30
    """
    checkout.require()
    from longwriter import params
    from longwriter.estimate import run as estimate_run

    report = estimate_run.estimate_run(params.load(), tokens_per_second)
    text = json.dumps(report, ensure_ascii=False, indent=2) if as_json else estimate_run.table(report)
    typer.echo(inert.terminal(text))
