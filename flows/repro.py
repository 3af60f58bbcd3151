"""Runs the dvc command, as a child process that ends with this one; no other file runs it.

Not named dvc.py: Prefect puts the folder of a flow first on the path, where it would hide dvc itself.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from longwriter.text import inert

LOGS = Path(".lw/logs")
_STAGE_EXIT = re.compile(r"exited with (\d+)")


class Done(NamedTuple):
    """How a dvc command ended: its code, the stage's own code, and its lines."""

    code: int
    stage_code: int | None
    lines: list[str]


class DvcFailed(Exception):
    """A dvc command failed; `stage_code` is the stage's exit code, see longwriter/errors.py."""

    def __init__(self, words: Sequence[str], done: Done) -> None:
        """Name the command, and its last lines that look like a reason."""
        reasons = [line for line in done.lines if "ERROR" in line or "Error" in line or "stop" in line]
        super().__init__(f"dvc {' '.join(words)}: " + " | ".join((reasons or done.lines)[-3:]))
        self.stage_code = done.stage_code


def run(
    words: Sequence[str],
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    log_file: str,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run `dvc WORDS` and return how it went.

    Args:
        words: Arguments of dvc.
        log: Gets each line; progress bars are passed on as they are redrawn.
        log_file: Name of the file in .lw/logs that keeps them too.
        env: Added to the environment.

    Raises:
        DvcFailed: dvc ended with another code than 0.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "longwriter.io.process", sys.executable, "-m", "dvc", *words]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    lines: list[str] = []
    with (
        (LOGS / log_file).open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, encoding="utf-8", errors="replace", env={**os.environ, "PATH": path, **(env or {})},
        ) as child,
    ):  # fmt: skip
        try:
            assert child.stdout is not None
            for line in child.stdout:  # universal newlines: a redrawn bar comes as a line of its own
                if line := inert.terminal(line.rstrip()):
                    lines.append(line)
                    file.write(line + "\n")
                    log.info("%s", line)
            code = child.wait()
        except BaseException:
            child.terminate()
            raise
    exits = [int(match[1]) for line in lines for match in [_STAGE_EXIT.search(line)] if match]
    done = Done(code, exits[-1] if exits else None, lines)
    if code:
        raise DvcFailed(words, done)
    return done


def outcome(done: Done) -> str:
    """Return what `dvc repro --single-item` did: executed, restored or unchanged."""
    text = "\n".join(done.lines)
    if "Running stage" in text:
        return "executed"
    return "restored" if "is cached - skipping run" in text else "unchanged"
