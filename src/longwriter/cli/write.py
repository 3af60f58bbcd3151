"""`longwriter write`: one text by AgentWrite: plan first, then paragraph by paragraph."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

if TYPE_CHECKING:
    from longwriter.records import Plan


def write(
    prompt: Annotated[str, typer.Argument(help="What to write")],
    words: Annotated[
        int | None, typer.Option(min=1, help="Length in words (default: the length that the prompt states)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New file for the text, instead of the screen")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Another seed gives another text")] = 0,
    direct: Annotated[bool, typer.Option("--direct", help="Write it in one answer, without a plan")] = False,
) -> None:
    """Write one text by AgentWrite: a plan, then its paragraphs, with the models of params.yaml (llm, plan, write).

    The plan and the progress go to the error output, the text to the screen or to OUT. Answers are stored, so that
    the same prompt and seed give the same text at no cost.

    Example: longwriter write "Write a guide to growing tomatoes." --words 500 --out guide.md
    """
    checkout.require()
    from longwriter import params
    from longwriter.agentwrite import one_text
    from longwriter.io import access, files, process
    from longwriter.text.basics.counting import count_words

    if out is not None and (out.exists() or not out.parent.is_dir()):
        raise UserError(f"--out {out} exists, or its folder does not: name a new file")
    row = one_text.instruction(prompt, words)
    settings = one_text.fit_limits(params.load(), row.required_words or 1, seed, direct)
    process.exit_on_sigterm()
    started = time.monotonic()

    def show_plan(plan: Plan) -> None:
        lines = [
            f"{number:>3}. {inert.line(step.main_point)} ({amount(step.word_count, 'word')})"
            for number, step in enumerate(plan.steps, 1)
        ]
        typer.echo("\n".join([f"plan, after {time.monotonic() - started:.0f} s:", *lines]), err=True)

    def show_step(step: str) -> None:
        typer.echo(inert.line(f"{step}, after {time.monotonic() - started:.0f} s"), err=True)

    with access.kept_private(files.LOCAL):
        calls = files.LOCAL / "write" / row.instruction_id
        calls.mkdir(parents=True, exist_ok=True)
        progress = one_text.Progress(show_step, show_plan)
        text = asyncio.run(one_text.write_text(settings, row, progress, calls))
    content = "\n\n".join(text.paragraphs)
    if out is None:
        typer.echo(inert.terminal(content))
    else:
        out.write_text(f"{content}\n", encoding="utf-8")
    cost = text.usage.get("cost_usd")
    typer.echo(
        f"{out or 'text'}: {amount(count_words(content), 'word')} of {row.required_words:,} asked for, "
        f"{amount(len(text.paragraphs), 'paragraph')}, {time.monotonic() - started:.0f} s"
        f"{'' if not cost else f', ${cost:.2f}'}; LLM calls: {calls}",
        err=True,
    )
