"""`longwriter init`: shows which of your own instructions would be chosen, and sets the keys that they need."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longwriter.cli import checkout, profile
from longwriter.errors import UserError
from longwriter.text import inert

if TYPE_CHECKING:
    from longwriter.instructions.preview import Preview
    from longwriter.params import PlanParams


def init(
    source: Annotated[
        str, typer.Argument(help="File or folder with your instructions, or s3://bucket/prefix")
    ],
    pattern: Annotated[
        str | None,
        typer.Option(help="Glob below a folder, such as '**/*.parquet' (default: as in params.yaml)"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most instructions to use (default: all)")] = None,
    min_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Smallest number of rows of each gate, as a share of the chosen rows; the shares of params.yaml, "
            "such as plan.gate.min_kept_share, stay",
        ),
    ] = 0.5,
    apply: Annotated[bool, typer.Option("--apply", help="Write the keys into params.yaml")] = False,
) -> None:
    """Preview your own instructions and set the keys of params.yaml that they need; makes no LLM call.

    Reads JSON Lines, a JSON array, Parquet and more (infra/README.md, "Your data"). Shows which columns it reads, how many
    rows would be chosen, why others are rejected, and how params.yaml changes: all gates get a minimum of rows that fits the source.

    Example: longwriter init my-prompts.json, then the same with --apply
    """
    checkout.require()
    from longwriter import params
    from longwriter.instructions import preview as previews
    from longwriter.io import access, files

    if "://" not in source and not Path(source).exists():
        raise UserError(f"{inert.line(source)}: no such file or folder; name the one with your instructions")
    settings = params.load()
    keys: dict[str, Any] = {"source": source, "limit": limit or _ALL}
    if pattern is not None:
        keys["pattern"] = pattern
    trial = profile.checked({"instructions": keys})
    with access.kept_private(files.LOCAL), _shown_columns():
        result = previews.preview(trial)
    typer.echo(inert.terminal(_funnel(result)))
    if settings.write.mode != "direct":
        for line in beyond_plans(result.stated, settings.plan):
            typer.echo(line)
    if not result.chosen:
        raise UserError(
            f"no row of {inert.line(source)} would be chosen: the funnel says why; the bounds are in the section "
            "instructions of params.yaml (max_chars, max_required_words, languages, gate.min_prompt_words …)"
        )
    keys["limit"] = limit or result.chosen
    changes = _changes(keys, result.chosen, min_share, settings.preferences.min_pairs)
    next_step = "`longwriter estimate` (calls, cost, hours), then `python -m flows`"
    profile.offer(changes, "your data", apply, next_step)


_ALL = 1_000_000  # rows


class _Echo(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(inert.terminal(record.getMessage()))


@contextmanager
def _shown_columns() -> Iterator[None]:
    """Print which columns become the instruction, with three rows of each schema, as the log of the stage does."""
    from longwriter.sources import look

    handler, level = _Echo(), look.log.level
    look.log.setLevel(logging.INFO)
    look.log.addHandler(handler)
    try:
        yield
    finally:
        look.log.removeHandler(handler)
        look.log.setLevel(level)


def _funnel(result: Preview) -> str:
    """Return the steps that rejected rows, with their reasons, and what is left."""
    lines = [f"{result.steps[0].rows_in:>10,}  rows"]
    for step in result.steps:
        if step.rejected:
            reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in step.rejected.items())
            lines.append(f"{step.rows_out:>10,}  {step.name} (rejected: {reasons})")
    lines.append(f"{result.chosen:>10,}  chosen; {len(result.stated):,} of them state a length")
    rejected = {reason for step in result.steps for reason in step.rejected}
    lines += [
        f"{'':>10}  {reason}: instructions.{key}" for reason, key in _KEYS.items() if reason in rejected
    ]
    return "\n".join(lines)


def beyond_plans(stated: Sequence[int], plan: PlanParams) -> list[str]:
    """Return a line for the lengths that are shorter than every plan, and one for those that are longer.

    The stage `plan` refuses most plans of such rows as `wrong_total`.

    Args:
        stated: Lengths that the chosen rows state, in words.
        plan: Its bounds.
    """
    fewest, most = plan.min_steps * plan.min_step_words, plan.max_steps * plan.max_step_words
    short, long = sum(words < fewest for words in stated), sum(words > most for words in stated)
    lines = [
        (
            short,
            f"fewer than {fewest:,} words, the shortest plan: lower plan.min_steps or plan.min_step_words",
        ),
        (long, f"more than {most:,} words, the longest plan: raise plan.max_steps or plan.max_step_words"),
    ]
    return [f"{rows:>10,}  of these ask for {what}" for rows, what in lines if rows]


_KEYS = {
    "prompt_too_short": "gate.min_prompt_words",
    "prompt_too_long": "max_chars and gate.max_prompt_words",
    "language": "languages",
    "too_long_for_writer": "max_required_words (the prompt asks for more words)",
    "near_duplicate": "near_duplicate",
    "not_stated": "unstated",
}
"""The key of the section `instructions` that decides a rejection."""


def _changes(keys: dict[str, Any], chosen: int, min_share: float, min_pairs: int) -> dict[str, Any]:
    """Return the keys to change, with the minimum rows of all gates scaled with the chosen rows."""
    least = max(1, math.ceil(chosen * min_share))
    return {
        "instructions": keys | {"gate": {"min_rows": least}},
        "plan": {"gate": {"min_rows": least}},
        "validate": {"min_rows": least},
        "preferences": {"min_pairs": min(min_pairs, max(2, chosen // 4))},
    }
