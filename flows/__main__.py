"""The command line of the flows: `python -m flows [NAME …] [--set KEY=VALUE] [--dry-run] [--share]`.

`python -m flows.pipeline` does the same.

The Prefect server is started first. It needs about as long to start as this process needs to import Prefect,
MLflow and DVC.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from flows import server
from longwriter.errors import StageBusy
from longwriter.io import access, disk, startup
from longwriter.io.files import LOCAL


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows", description="Run stages or groups of the pipeline."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a stage, an item or a group; none = everything"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value of a parameter, for this run only, which becomes a DVC experiment; may be repeated",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would run, its hours and its cost"
    )
    parser.add_argument(
        "--share", action="store_true", help="exchange results with other machines through the DVC remote"
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Run stages or groups; return the exit code (see longwriter/errors.py).

    Args:
        words: The command line, without the program.
    """
    options = _options(words)
    names = options.names
    try:
        own_server = None if server.is_configured() else server.start()
    except StageBusy as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    with startup.imports():
        from flows import pipeline, repro, tables
        from longwriter.errors import LongWriterError
        from longwriter.io import process
        from longwriter.tracking import connection

    try:
        pipeline.expand(names)
    except LongWriterError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    process.exit_on_sigterm()
    flows = {"data": pipeline.data, "training": pipeline.training, "benchmark": pipeline.benchmark}
    flow = flows.get(names[0]) if len(names) == 1 else None
    try:
        if own_server:
            connection.client()  # opens the database of MLflow while the server still starts
            own_server.wait()
        how = {"overrides": options.set, "dry_run": options.dry_run, "share": options.share}
        rows: Any = flow(**how) if flow else pipeline.pipeline(stages=names, **how)
    except repro.DvcFailed as error:
        sys.stderr.write(f"\n{error}\n")
        return error.stage_code or 1
    except LongWriterError as error:
        sys.stderr.write(f"\n{type(error).__name__}: {error}\n")
        return error.exit_code
    except Exception as error:
        if (trouble := server.trouble(error)) is None:
            raise
        sys.stderr.write(f"\n{type(trouble).__name__}: {trouble}\n")
        return trouble.exit_code
    if not options.dry_run:
        reports = pipeline.expand(["report"])
        sys.stdout.write(f"\n{tables.closing_block(rows, reports)}")
    return 0


def _main() -> int:
    """Run `main`; a full or write-protected disk is one line on stderr and exit code 2."""
    try:
        with access.kept_private(LOCAL):
            return main(sys.argv[1:])
    except Exception as error:
        if (trouble := disk.trouble(error)) is None:
            raise
        sys.stderr.write(f"{trouble}\n")
        return 2


if __name__ == "__main__":
    sys.exit(_main())
