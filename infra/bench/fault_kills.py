"""Kills AgentWrite again and again under faults, and compares what it writes with a run that nobody killed.

The stages `plan` and `write` ask the scripted chat server of the tests. At 30 % of the requests it fails or
answers in an odd way: broken connections, error statuses, refusals, thinking, parts, odd usage. The second run
gets `kill -9` at random moments, then an account without money (the stage must end with exit code 2), and then
runs to its end. Measured:

    same bytes   sha256 of the four outputs of `plan` and `write` in both runs
    asked again  requests that were stored when the process was killed, and came again afterwards: must be 0
    repeated     requests that were answered but not yet stored at a kill: at most `--concurrency` for each
    poison       kept texts that hold what a fault put there: must be 0

Run: `python -m infra.bench.fault_kills --rows 200 --kills 20`; prints a table, exit code 1 if one is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.agentwrite_job import OUTPUTS, Job, make
from tests.chat_server import faults
from tests.chat_server.server import ChatServer, chat_server

_POISON = re.compile(
    "|".join(map(re.escape, (*faults.REFUSALS, *faults.ERROR_TEXTS, *faults.META_TALK, faults.THOUGHT)))
    + "|</?think>|<\\|im_|[\\x00\\x07\ud800-\udfff]|\\\\u0000|Main Point|Word Count|<html"
)
_PAID = 5  # requests that the account without money still answers
_LIMIT_S = 1200.0


class Stop(NamedTuple):
    """A moment when the process ended: the time, and the answers that were stored then."""

    at: float
    stored: set[str]


def main() -> None:
    """Run both, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--faults", type=float, default=0.3)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments of the kills")
    options = parser.parse_args()
    flags = ("--faults", str(options.faults), "--latency", "0.05")
    with tempfile.TemporaryDirectory() as folder:
        whole, requests = _undisturbed(Path(folder) / "whole", options, flags)
        killed, stops, killed_requests, code = _killed(Path(folder) / "killed", options, flags, len(requests))
        rows = _table(whole, killed, stops, killed_requests, options.concurrency)
        rows.append(("exit code of the stage at the account without money", code, code == 2))
    kinds = Counter(row["did"] for row in requests)
    sys.stdout.write(f"{len(requests):,} requests without kills: {dict(kinds.most_common())}\n\n")
    for name, value, _ in rows:
        sys.stdout.write(f"| {name} | {value} |\n")
    sys.exit(any(not is_right for _, _, is_right in rows))


def _job(path: Path, options: argparse.Namespace, url: str) -> Job:
    return make(
        path, options.rows, llm__base_url=url, llm__max_concurrency=options.concurrency, llm__timeout_s=3,
        llm__max_retries=8,
    )  # fmt: skip


def _undisturbed(
    path: Path, options: argparse.Namespace, flags: tuple[str, ...]
) -> tuple[Job, list[dict[str, Any]]]:
    """Return a finished job that nobody killed, and its requests."""
    path.mkdir()
    with chat_server(path / "requests.jsonl", *flags) as server:
        job = _job(path, options, server.url)
        job.run(limit_s=_LIMIT_S)
        return job, server.requests()


def _killed(
    path: Path, options: argparse.Namespace, flags: tuple[str, ...], total: int
) -> tuple[Job, list[Stop], list[dict[str, Any]], int | None]:
    """Return (a job that was killed and then finished, its stops, its requests, its exit code without money)."""
    path.mkdir()
    log = path / "requests.jsonl"
    with chat_server(log, *flags) as server:
        job = _job(path, options, server.url)
        stops = _kills(job, server, options, total)
        port = ("--port", server.url.split(":")[2].split("/")[0])
    with chat_server(log, *flags, *port, "--budget", str(_PAID)):
        child = job.start()
        child.join(_LIMIT_S)
        code = child.exitcode
        stops.append(Stop(time.time(), job.cached_answers()))
    with chat_server(log, *flags, *port) as server:
        job.run(limit_s=_LIMIT_S)
        return job, stops, server.requests(), code


def _kills(job: Job, server: ChatServer, options: argparse.Namespace, total: int) -> list[Stop]:
    """Start the job and kill it, several times; the kills are spread over nine tenths of the requests."""
    rng = random.Random(options.seed)
    stops: list[Stop] = []
    for number in range(options.kills):
        sent = len(server.requests())
        room = max(1, total * 9 // 10 - sent) // (options.kills - number)
        child, goal = job.start(), sent + rng.randint(1, max(1, room))
        while len(server.requests()) < goal and child.is_alive():
            time.sleep(0.01)
        time.sleep(rng.random() * 0.1)
        if child.exitcode is not None:
            raise SystemExit(
                f"the job ended with {child.exitcode} before kill {number + 1}:\n{job.log()[-2000:]}"
            )
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        stops.append(Stop(time.time(), job.cached_answers()))
    return stops


def _table(
    whole: Job, killed: Job, stops: list[Stop], requests: list[dict[str, Any]], concurrency: int
) -> list[tuple[str, object, bool]]:
    """Return (name, value, whether it is right) of each number."""
    digests = [[_digest(job.path / "data" / name) for name in OUTPUTS] for job in (whole, killed)]
    again, repeated = 0, 0
    ends = [stop.at for stop in stops[1:]] + [time.time()]
    for (at, stored), end in zip(stops, ends, strict=True):
        answered = {row["hash"] for row in requests if row["at"] <= at and row["did"] in faults.ANSWERED}
        after = {row["hash"] for row in requests if at < row["at"] <= end}
        again += sum(name[:16] in stored for name in after)
        repeated = max(repeated, len(after & answered))
    texts = [text for row in killed.rows("write/drafts.jsonl") for text in row["paragraphs"]]
    texts += [step["main_point"] for row in killed.rows("plan/plans.jsonl") for step in row["steps"]]
    poisoned = sum(_POISON.search(text) is not None for text in texts)
    rejected = [row for stage in ("plan", "write") for row in killed.rows(f"{stage}/rejected.jsonl")]
    of_account = sum("udget" in row["detail"] for row in rejected)
    equal = sum(first == second for first, second in zip(*digests, strict=True))
    return [
        ("kills", len(stops) - 1, True),
        (
            "answers stored at the first and at the last kill",
            f"{len(stops[0][1])}, {len(stops[-2][1])}",
            True,
        ),
        ("kept drafts", len(killed.rows("write/drafts.jsonl")), bool(texts)),
        ("outputs with the same bytes", f"{equal} of {len(OUTPUTS)}", equal == len(OUTPUTS)),
        ("stored answers asked again", again, again == 0),
        ("most answers repeated after a kill", repeated, repeated <= concurrency),
        ("kept texts with poison", f"{poisoned} of {len(texts)}", poisoned == 0),
        ("rows rejected because of the account", of_account, of_account == 0),
    ]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
