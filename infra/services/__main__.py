"""Starts PostgreSQL, an S3 server, MLflow and Prefect on this machine, as plain processes on loopback.

    python -m infra.services start     # the first time it makes databases, buckets, users and secrets
    python -m infra.services status
    python -m infra.services env       # `export` lines for the pipeline: . <(python -m infra.services env)
    python -m infra.services stop
    python -m infra.services backup DIR CHECKOUT...    # databases, buckets and .lw of checkouts
    python -m infra.services restore DIR --folder NEW  # into new services

MLflow and Prefect keep their data in PostgreSQL, and MLflow its artifacts in S3. Every server wants a password.
All state is in one folder, by default ~/.local/share/longwriter/services (of root: /var/lib/longwriter), as
several checkouts share the services. No password is in a command line: they are in files that only this user
can read (0600), and reach the servers in their environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from filelock import FileLock

from infra.services import backup as backups
from infra.services import postgres, s3, servers
from infra.services.state import State
from longwriter.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Servers on this machine.",
)
_HOME = (
    Path("/var/lib/longwriter")
    if os.getuid() == 0
    else Path("~/.local/share/longwriter/services").expanduser()
)
Folder = Annotated[Path, typer.Option(help="State of the services")]
Names = Annotated[list[str] | None, typer.Argument(help=f"{', '.join(servers.NAMES)}; none = all")]
FirstPort = Annotated[int, typer.Option(help="Of six ports; kept from the first start; 0 = any free ones")]


@app.command()
def start(
    names: Names = None, folder: Folder = _HOME, first_port: FirstPort = 15400,
    mlflow_origin: Annotated[
        str | None, typer.Option(help="https://NAME of MLflow behind a proxy with TLS (Caddyfile); kept from then on")
    ] = None,
) -> None:  # fmt: skip
    """Start servers that do not run; the first time, make databases, buckets, users and secrets."""
    postgres.check()
    s3.check()
    services = State(folder, first_port)
    with _lock(services):
        servers.set_origin(services, mlflow_origin)
        servers.start(services, _known(names))
        typer.echo(servers.status(services)[0])


@app.command()
def stop(names: Names = None, folder: Folder = _HOME) -> None:
    """Stop servers; what they have stored stays."""
    services = State(folder)
    with _lock(services):
        servers.stop(services, _known(names))
        typer.echo(servers.status(services)[0])


@app.command()
def status(folder: Folder = _HOME) -> None:
    """Show which servers run, and on which ports; exit code 1 if one is stopped."""
    text, is_whole = servers.status(State(folder))
    typer.echo(text)
    raise typer.Exit(0 if is_whole else 1)


@app.command()
def env(folder: Folder = _HOME) -> None:
    """Print `export` lines for the pipeline, with passwords."""
    typer.echo(servers.exports(State(folder)), nl=False)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="A new folder")],
    checkouts: Annotated[list[Path] | None, typer.Argument(help="Checkouts whose .lw is saved")] = None,
    folder: Folder = _HOME,
) -> None:
    """Save databases, buckets and secrets of running services, and `.lw` of checkouts."""
    services = State(folder)
    with _lock(services):
        typer.echo(backups.backup(services, target, checkouts or []))


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A backup")],
    folder: Folder = _HOME,
    first_port: FirstPort = 15400,
) -> None:
    """Make new services with the content of a backup, and start them."""
    postgres.check()
    s3.check()
    if (folder / "services.json").exists():
        raise UserError(f"{folder}: there are services already: name a new --folder")
    backups.check(source)
    services = State(folder, first_port)
    with _lock(services):
        backups.restore_secrets(services, source)
        servers.start(services, ["postgres", "s3"])
        typer.echo(backups.restore(services, source))
        servers.start(services, [])
        typer.echo(servers.status(services)[0])
    for file in sorted(source.glob("lw-*.tar")):
        typer.echo(f"tar -xf {file} -C CHECKOUT    # brings .lw back")


def _lock(services: State) -> Any:
    return FileLock(services.folder / "services.lock", mode=0o600)


def _known(names: list[str] | None) -> list[str]:
    if unknown := set(names or []) - set(servers.NAMES):
        raise UserError(f"unknown {', '.join(sorted(unknown))}: there are {', '.join(servers.NAMES)}")
    return names or []


def main() -> int:
    """Run the command; return its exit code: 2 = a person must change something."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"services: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
