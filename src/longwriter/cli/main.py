"""The `longwriter` command: puts the subcommands together and turns errors into one line and an exit code.

A subcommand imports what it needs when it runs, so that `longwriter --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from longwriter.cli import cache, profile
from longwriter.cli.ability import ability
from longwriter.cli.benchmark import benchmark
from longwriter.cli.capacity import capacity
from longwriter.cli.chat import chat
from longwriter.cli.clean import clean
from longwriter.cli.doctor import doctor
from longwriter.cli.endpoint import endpoint
from longwriter.cli.estimate import estimate
from longwriter.cli.export import export
from longwriter.cli.fetch import fetch
from longwriter.cli.init import init
from longwriter.cli.lineage import lineage
from longwriter.cli.params import params
from longwriter.cli.promote import promote, rollback
from longwriter.cli.review import review
from longwriter.cli.serve import serve
from longwriter.cli.withdraw import withdraw
from longwriter.cli.write import write
from longwriter.errors import BadParams, LongWriterError, UserError
from longwriter.io import disk
from longwriter.text import inert

_QUICK = Path(".lw/quick")  # infra/demo.sh
_RUNS = Path("data/lineage")
_MLFLOW = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}
"""Short time-outs for MLflow, because a person waits. With MLflow's own values, it tries for four minutes and says
nothing.
"""
_PATIENT = ("ability",)  # logs the work of hours at its end

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode="markdown"
)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib import metadata

        typer.echo(f"longwriter {metadata.version('longwriter')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Work with a checkout of LongWriter: its parameters, its data and its models.

    Each command has its own --help with an example. The pipeline itself runs by `bash infra/demo.sh`,
    `python -m flows` or `dvc repro`.
    """
    for name, value in _MLFLOW.items() if context.invoked_subcommand not in _PATIENT else ():
        os.environ.setdefault(name, value)


app.add_typer(profile.app, name="profile")
app.add_typer(cache.app, name="cache")
app.command()(params)
app.command()(init)
app.command()(doctor)
app.command()(clean)
app.command()(endpoint)
app.command()(benchmark)
app.command()(ability)
app.command()(estimate)
app.command()(capacity)
app.command()(lineage)
app.command()(withdraw)
app.command()(export)
app.command()(write)
app.command()(chat)
app.command()(serve)
app.command()(review)
app.command()(fetch)
app.command()(promote)
app.command()(rollback)


def main() -> None:
    """Run the command line; an error that the project raises is one line on stderr and its exit code.

    A second line says where the quick run is, if the error may come from looking at the wrong folder.
    """
    try:
        app()
    except LongWriterError as error:
        _show(error)
        if not isinstance(error, BadParams) and not _RUNS.is_dir() and (_QUICK / _RUNS).is_dir():
            sys.stderr.write(
                f"No stage has run here; the run of demo.sh --quick is in {_QUICK}: cd {_QUICK}\n"
            )
        sys.exit(error.exit_code)
    except Exception as error:
        if trouble := disk.trouble(error):
            sys.stderr.write(f"{inert.terminal(trouble)}\n")
            sys.exit(UserError.exit_code)
        if (no_answer := _of_mlflow(error)) is None:
            raise
        _show(no_answer)
        sys.exit(no_answer.exit_code)


def _show(error: LongWriterError) -> None:
    sys.stderr.write(f"{type(error).__name__}: {inert.terminal(str(error))}\n")


def _of_mlflow(error: Exception) -> LongWriterError | None:
    """Return what an error of MLflow means for a person; None for another error."""
    mlflow = sys.modules.get("longwriter.tracking.connection")  # imported if the command uses MLflow
    return (mlflow.refusal(error) or mlflow.no_answer(error)) if mlflow else None


if __name__ == "__main__":
    main()
