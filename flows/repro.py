"""Runs the dvc command, as a child process that ends with this one; no other file runs it.

Not named dvc.py: Prefect puts the folder of a flow first on the path, where it would hide dvc itself.
"""

from __future__ import annotations

import codecs
import logging
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from longwriter.text import inert
from longwriter.tracking import versioning

LOGS = Path(".lw/logs")
_HINT = re.compile(
    r"Updating lock file |Generating lock file |To track the changes with git, run:|\s*git add .*\bdvc\.lock\b"
    r"|Running stage '[^']*':$|> python -m longwriter\.stages\."  # the flow has announced the stage
    r"|\[[^]]*\] \[WARNING\] \[real_accelerator\.py"  # of DeepSpeed, on each machine without a GPU
    r"|WARNING: '[^']*' is empty\.$|To enable auto staging, run:|\s*dvc config core\.autostage |Use `dvc push` to send "
)
_BAR = re.compile(r"(?P<label>[^|]{1,100}?):\s+(?P<share>\d{1,3})%\|")
_REDRAWN = re.compile(r"\[\d\d:\d\d[^\]]*\] *$")
_BAR_S = 10.0
_SILENCE_S = 25.0
_LINE_CHARS = 300
_TEMPORARY = 75  # longwriter.errors.Unavailable
_UNREACHABLE = re.compile(
    r"connect|timed? ?out|connection (?:reset|refused|aborted)|unavailable|slow ?down|\b50[0234]\b", re.I
)
_STAGE_EXIT = re.compile(r"exited with (\d+)")


class CommandResult(NamedTuple):
    """How a dvc command ended: its code, the stage's own code, and its lines."""

    code: int
    stage_code: int | None
    lines: list[str]


class DvcFailed(Exception):
    """A dvc command failed.

    `stage_code` is the stage's exit code, see longwriter/errors.py; `can_pass` tells whether the cause can go
    away by itself: something could not be reached, or another dvc command works in the checkout.
    """

    def __init__(self, words: Sequence[str], result: CommandResult) -> None:
        """Quote the stage's own sentence; if it has none, name the command and its last lines that look like a reason."""
        sentence = own_sentence(words[-1] if words else "", result.lines)
        reasons = [line for line in result.lines if "ERROR" in line or "Error" in line or "stop" in line]
        busy = None if sentence else versioning.busy("\n".join(result.lines))
        self.stage_code = _TEMPORARY if busy else result.stage_code
        reason = busy or " | ".join((reasons or result.lines)[-3:])
        super().__init__(sentence or f"dvc {' '.join(words)}: {reason}")
        is_remote = bool(words) and words[0] in ("push", "update")
        self.can_pass = self.stage_code == _TEMPORARY or (is_remote and bool(_UNREACHABLE.search(str(self))))


def own_sentence(stage: str, lines: Sequence[str]) -> str:
    """Return the error message of a failed stage: `STAGE: ERROR: …`, up to the lines of dvc; "" if it has none."""
    head = re.compile(rf"{re.escape(stage)}: [A-Z]\w+: ")
    begins = [number for number, line in enumerate(lines) if head.match(line)]
    if not begins:
        return ""
    message = list(lines[begins[-1] :])
    end = next((number for number, line in enumerate(message) if line.startswith("ERROR: ")), len(message))
    return "\n".join(message[:end])


class _LineFilter:
    """Decides which lines of a stage go to the log of the flow; the file in .lw/logs has all of them.

    It leaves out hints of dvc, the command that dvc starts, and each bar that was shown less than `_BAR_S` seconds
    ago or is shown at 100 % already. It cuts long lines.
    """

    def __init__(self) -> None:
        """Begin without bars."""
        self._bars: dict[str, tuple[float, bool]] = {}

    def __call__(self, line: str) -> str | None:
        """Return what to show of a line; None = nothing."""
        if _HINT.match(line):
            return None
        if bar := _BAR.match(line):
            now, is_full = time.monotonic(), bar["share"] == "100"
            shown_at, was_full = self._bars.get(bar["label"], (-_BAR_S, False))
            if was_full if is_full else now - shown_at < _BAR_S:
                return None
            self._bars[bar["label"]] = now, is_full
        return line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]} …"


def run(
    words: Sequence[str],
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    log_file: str,
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run `dvc WORDS` and return how it went.

    Args:
        words: Arguments of dvc.
        log: Gets the lines without dvc's hints. It gets a progress bar at most every ten seconds, and a line when
            nothing comes for 25 s.
        log_file: Name of the file in .lw/logs that keeps all lines.
        env: Added to the environment.

    Raises:
        DvcFailed: dvc ended with another code than 0.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "longwriter.io.process", sys.executable, "-m", "dvc", *words]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    lines: list[str] = []
    line_filter, last_s = _LineFilter(), time.monotonic()
    with (
        (LOGS / log_file).open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": path, **(env or {})},
        ) as child,
    ):  # fmt: skip
        try:
            assert child.stdout is not None
            for line in _lines(child.stdout):
                if line is None:
                    log.info("%s: at work, %d s since its last line", words[-1], time.monotonic() - last_s)
                    continue
                last_s = time.monotonic()
                if line := inert.terminal(line.rstrip()):
                    lines.append(line)
                    file.write(line + "\n")
                    if (text := line_filter(line)) is not None:
                        log.info("%s", text)
            code = child.wait()
        except BaseException:
            child.terminate()
            raise
    exits = [int(match[1]) for line in lines for match in [_STAGE_EXIT.search(line)] if match]
    result = CommandResult(code, exits[-1] if exits else None, lines)
    if code:
        raise DvcFailed(words, result)
    return result


def _lines(pipe: IO[bytes], silence_s: float = _SILENCE_S) -> Iterator[str | None]:
    """Yield the lines of a process as soon as they are there, and None each time it was silent for `silence_s`.

    A bar ends with the carriage return of the next one, which may come minutes later. So a bar is yielded when
    nothing follows it for a second.
    """
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), ""
    while True:
        is_bar = bool(_REDRAWN.search(rest))
        if not select.select([pipe], [], [], 1.0 if is_bar else silence_s)[0]:
            yield rest if is_bar else None
            rest = "" if is_bar else rest
            continue
        chunk = os.read(pipe.fileno(), 65536)
        *lines, rest = re.split("[\r\n]", rest + decoder.decode(chunk, final=not chunk))
        yield from lines
        if not chunk:
            yield rest
            return


def outcome(result: CommandResult) -> str:
    """Return what `dvc repro --single-item` did: executed, restored or unchanged."""
    text = "\n".join(result.lines)
    if "Running stage" in text:
        return "executed"
    return "restored" if "is cached - skipping run" in text else "unchanged"
