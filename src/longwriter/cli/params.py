"""`longwriter params`: the reference of params.yaml."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

_WIDTH = 110


def params(
    key: Annotated[str, typer.Argument(help="A section or a key, such as sft.optimizer (default: all)")] = "",
) -> None:
    """Print what each key of params.yaml means, its value, what is allowed, and which stages run again when it changes.

    Example: longwriter params sft.optimizer
    """
    checkout.require()
    from longwriter import params as parameters
    from longwriter.params import reference
    from longwriter.tracking import versioning

    entries = list(reference.entries(parameters.Params))
    selected = [entry for entry in entries if not key or entry.key == key or entry.key.startswith(f"{key}.")]
    if not selected:
        sections = ", ".join(entry.key for entry in entries if "." not in entry.key)
        raise UserError(f"params.yaml has no key {key!r}; its sections are {sections}")
    values = parameters.load().model_dump(by_alias=True)
    read = versioning.stage_params()
    for entry in selected:
        if not entry.allowed:
            typer.echo(f"\n{entry.key}: {entry.meaning}\n")
            continue
        stale = reference.stale_stages(entry.key, read)
        effect = f"runs again: {', '.join(stale)}, and what follows" if stale else "no stage runs again"
        lines = [f"{entry.key}: {json.dumps(reference.value(values, entry.key), ensure_ascii=False)}"]
        for text in (entry.meaning, f"({entry.allowed})", f"({effect})"):
            lines += textwrap.wrap(text, _WIDTH, initial_indent="    ", subsequent_indent="    ")
        typer.echo(inert.terminal("\n".join(lines)))
