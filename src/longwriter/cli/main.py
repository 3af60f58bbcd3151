"""The `longwriter` command: profiles, the replay cache, what a run will take, and the way back to LLM calls."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import typer

from longwriter.cli import profiles
from longwriter.cli.export import export
from longwriter.errors import LongWriterError, StageBusy, UserError
from longwriter.io import files

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
profile = typer.Typer(no_args_is_help=True, help="Show, compare and apply infra/profiles/NAME.yaml.")
app.add_typer(profile, name="profile")
app.command()(export)
cache = typer.Typer(invoke_without_command=True)
app.add_typer(cache, name="cache")

REPLAY = files.LOCAL / "replay.sqlite"
_LOGS = "The call logs (data/*/calls.jsonl.zst) are outputs of their stages and stay: an audit ends there."
_UNNAMED = '"" (stored before models were noted)'


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


@cache.callback()
def show_cache(context: typer.Context) -> None:
    """Show what the replay cache holds, by model; `prune` removes from it."""
    if context.invoked_subcommand is not None:
        return
    from longwriter.llm import replay

    sizes = replay.sizes(REPLAY)
    disk = sum(file.stat().st_size for file in REPLAY.parent.glob(f"{REPLAY.name}*")) / 1e6
    lines = [f"{REPLAY}: {sum(row.answers for row in sizes):,} answers, {disk:,.1f} MB on disk"]
    if sizes:
        lines.append(f"{'answers':>10}  {'MB':>9}  {'oldest (UTC)':<16}  {'newest (UTC)':<16}  model")
    for row in sizes:
        times = "  ".join(time[:16].replace("T", " ") for time in (row.oldest, row.newest))
        lines.append(f"{row.answers:>10,}  {row.bytes / 1e6:>9,.1f}  {times}  {row.model or _UNNAMED}")
    _out("\n".join([*lines, _LOGS]))


@cache.command(
    "prune", help=f"Remove answers from the replay cache; asked again, they are paid again. {_LOGS}"
)
def prune(
    older_than: Annotated[str | None, typer.Option(help="Age such as 90d, 12h or 4w")] = None,
    model: Annotated[
        str | None, typer.Option(help="Only this model's, as `longwriter cache` names it")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Remove answers by age, by model, or by both."""
    from longwriter.llm import replay

    if older_than is None and model is None:
        raise UserError(
            "say what to remove: --older-than 90d, --model NAME, or both (0d: answers of any age)"
        )
    before = _age_ago(older_than) if older_than is not None else None
    models = [row.model for row in replay.sizes(REPLAY)]
    if model is not None and model not in models:
        raise UserError(
            f"{REPLAY} holds no answer of {model}; it has {', '.join(filter(None, models)) or 'none'}"
        )
    with _no_stage_running():
        pass
    if not yes:
        age = f" older than {older_than}" if older_than is not None else ""
        typer.confirm(f"Remove the answers of {model or 'every model'}{age}?", abort=True)
    with _no_stage_running():
        answers, freed = replay.prune(REPLAY, before=before, model=model)
    _out(f"removed {answers:,} answers, freed {freed / 1e6:,.1f} MB. {_LOGS}")


def _age_ago(age: str) -> datetime:
    """Return the time so long ago."""
    match = re.fullmatch(r"(\d{1,5})([hdw])", age)
    if match is None:
        raise UserError(f"--older-than {age}: write a number and h, d or w, such as 12h, 90d or 4w")
    unit = {"h": "hours", "d": "days", "w": "weeks"}[match[2]]
    return datetime.now(UTC) - timedelta(**{unit: int(match[1])})


@contextmanager
def _no_stage_running() -> Iterator[None]:
    """Hold the lock of every stage of this checkout; UserError where one is running."""
    from longwriter.io import process

    folder = files.LOCAL / "locks"
    with ExitStack() as held:
        for owner in sorted(folder.glob("*.pid")):
            try:
                held.enter_context(process.only_one(owner.stem, folder, wait_s=0))
            except StageBusy as busy:
                raise UserError(f"the replay cache is in use: {busy}") from None
        yield


@app.command()
def estimate(
    tokens_per_second: Annotated[
        float,
        typer.Option(min=0.001, help="Speed of one request, for models that the replay cache has not timed"),
    ] = 50.0,
    as_json: Annotated[bool, typer.Option("--json", help="For machines")] = False,
) -> None:
    """Reckon calls, tokens, cost and hours of AgentWrite under params.yaml, without any call."""
    from longwriter import params
    from longwriter.agentwrite import forecast

    found = forecast.of(params.load(), tokens_per_second)
    _out(json.dumps(found, ensure_ascii=False, indent=2) if as_json else forecast.table(found))


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
    from longwriter.tracking import lineage as audit

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
