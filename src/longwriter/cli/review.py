"""`longwriter review`: people vote on two anonymous answers side by side, in a page on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

if TYPE_CHECKING:
    from longwriter.params import Params
    from longwriter.records import Generation


def review(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models whose answers the pipeline wrote (default: all of compare.models)"),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Benchmark of the answers (default: the first of generate.benchmarks)")
    ] = None,
    pred: Annotated[
        list[Path] | None, typer.Option(help="pred.jsonl of `longwriter benchmark` instead; two or more")
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option(help="Folder of the votes, which are written to review.jsonl (default: fitness.votes)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order of pairs and sides", min=0)] = 0,
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1; 0 = any free one", min=0, max=65535)] = 8601,
) -> None:
    """Let people vote which of two answers is better, until Ctrl-C; nobody sees which model wrote what.

    Each person gives a name and gets all pairs in an order of their own. Keys 1 2 3, or the arrows left and right,
    vote. Each vote is on disk at once, and after a restart everybody goes on with the next pair. Stage `fitness`
    reads the votes and reports how far the judge agrees with people. Only this machine reaches the page.

    Example: longwriter review base_model sft --benchmark small, then open http://127.0.0.1:8601

    Example: longwriter review --pred a/pred.jsonl --pred b/pred.jsonl --votes my-votes
    """
    checkout.require()
    from longwriter import params
    from longwriter.io import process
    from longwriter.review import ballot, pairs, web
    from longwriter.web import door

    settings = params.load()
    if pred and (models or benchmark):
        raise UserError("--pred names the answers: leave out MODELS and --benchmark")
    answers = _of_files(pred) if pred else _of_pipeline(models, benchmark, settings)
    if len(answers) < 2:
        raise UserError(
            f"answers of two models are needed, found {len(answers)}: name another model or --pred"
        )
    answer_pairs = pairs.review_pairs(answers)
    if not answer_pairs:
        raise UserError("no prompt has two different answers: the files must be of the same benchmark")
    folder = votes or Path(settings.fitness.votes)
    process.exit_on_sigterm()
    with ballot.open_folder(folder) as votes_file, door.listen(port) as listener:
        typer.echo(
            f"review: {amount(len(answer_pairs), 'pair')}; votes go to {inert.line(str(folder / ballot.NAME))}"
        )
        typer.echo(f"review: page  http://127.0.0.1:{listener.getsockname()[1]}")
        typer.echo("review: Ctrl-C stops it; start it again to go on")
        with contextlib.suppress(KeyboardInterrupt):
            door.serve(web.app(answer_pairs, votes_file, seed), listener)
    typer.echo("review: stopped")


def _of_files(preds: list[Path]) -> dict[str, list[Generation]]:
    """Return the answers of each pred.jsonl by its path."""
    from longwriter.contest import upstream_files
    from longwriter.contest.upstream_files import PredRow
    from longwriter.io import files

    if missing := [str(path) for path in preds if not path.is_file()]:
        raise UserError(f"--pred {inert.line(missing[0])}: no such file")
    return {str(path): upstream_files.generations(files.read_jsonl(path, PredRow)) for path in preds}


def _of_pipeline(
    models: list[str] | None, benchmark: str | None, settings: Params
) -> dict[str, list[Generation]]:
    """Return the answers of models to a benchmark as stage `generate` wrote them."""
    from longwriter.io import files
    from longwriter.records import Generation

    name = benchmark or settings.generate.benchmarks[0]
    answers = {}
    for model in models or settings.compare.models:
        path = files.DATA / "generate" / f"{model}-{name}" / "generations.jsonl"
        if not path.is_file() and model not in settings.compare.models:
            raise UserError(
                f"compare.models has no model {inert.line(model)}: it has {', '.join(settings.compare.models)}; "
                "or name files by --pred"
            )
        if not path.is_file() and name not in settings.generate.benchmarks:
            raise UserError(
                f"generate.benchmarks has no benchmark {inert.line(name)}: it has "
                f"{', '.join(settings.generate.benchmarks)}; or name files by --pred"
            )
        if not path.is_file():
            raise UserError(
                f"{inert.line(str(path))} is missing: run `dvc repro generate@{inert.line(model)}-{inert.line(name)}`, "
                "or name files by --pred"
            )
        answers[model] = files.read_jsonl(path, Generation)
    return answers
