"""Compares the throughput of AgentWrite with that of a bare client: calls/s, CPU a call, peak memory.

A loopback server in a process of its own answers after a fixed latency. Each client runs in a fresh
process, the clients take turns, and the median of the repeats is reported:

    bare        a loop over openai[aiohttp] and nothing else: the upper bound
    ask         `LLM.ask`: replay cache, call log, limits
    write       the stage `write`: chains of paragraphs, validation, cache, call log
    sequential  eight processes that send one request at a time

The rate is measured by the server: answers, divided by the time from the first request to the last
answer, without probes. No number is asserted, because machines and their load differ.

Run: `python infra/bench/llm_throughput.py`; prints a table, and writes it as JSON to `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STEPS = 3  # paragraphs of a text
SEQUENTIAL = 8


def start(script: str, *words: object, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start a script of this folder, and return its process, whose stdin and stdout are pipes."""
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that a child process writes."""
    assert child.stdout is not None
    text = child.stdout.readline().strip()
    if not text:
        raise SystemExit(f"a child process ended with exit code {child.wait()}")
    return text


def stats(url: str) -> dict[str, float]:
    """Return the counts of the server since the last call of this function."""
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as answer:
        return dict(json.load(answer))


def measured(name: str, url: str, calls: int, concurrency: int, words: int) -> dict[str, float]:
    """Return rate, CPU time and memory of one client process, or of `SEQUENTIAL` sequential ones."""
    number = SEQUENTIAL if name == "sequential" else 1
    with tempfile.TemporaryDirectory() as scratch:
        children = []
        for i in range(number):
            folder = Path(scratch) / str(i)
            folder.mkdir()
            part = [name, url, calls // number, concurrency, words]
            children.append(start("loopback_clients.py", *part, folder=folder))
        for child in children:
            line(child)
        before = stats(url)
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        reports = [json.loads(line(child)) for child in children]
        for child in children:
            child.communicate()
    after = stats(url)
    return {
        "calls": after["calls"],
        "calls_a_second": after["calls"] / (after["last"] - after["first"]),
        "cpu_ms_a_call": 1000 * sum(report["cpu_s"] for report in reports) / after["calls"],
        "helper_cpu_ms_a_call": 1000 * sum(report["helper_cpu_s"] for report in reports) / after["calls"],
        "server_cpu_ms_a_call": 1000 * (after["cpu_s"] - before["cpu_s"]) / after["calls"],
        "peak_mb": max(report["peak_mb"] for report in reports),
        "seconds": max(report["seconds"] for report in reports),
    }


def median(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each number."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def measure(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each client and concurrency."""
    rounds: dict[tuple[str, int], list[dict[str, float]]] = {}
    chain = round(options.seconds / options.latency / STEPS) * STEPS
    for _ in range(options.repeats):
        for concurrency in options.concurrency:
            for name in ("bare", "ask", "write"):
                row = measured(name, url, chain * concurrency, concurrency, options.words)
                rounds.setdefault((name, concurrency), []).append(row)
        row = measured("sequential", url, chain * SEQUENTIAL, SEQUENTIAL, options.words)
        rounds.setdefault(("sequential", SEQUENTIAL), []).append(row)
    rows = []
    for (name, concurrency), repeats in rounds.items():
        row = median(repeats)
        rate = row["calls_a_second"]
        bare_rate = median(rounds.get(("bare", concurrency), repeats))["calls_a_second"]
        rates = [repeat["calls_a_second"] for repeat in repeats]
        shares = {
            "of_bare": rate / bare_rate,
            "of_latency": rate * options.latency / concurrency,
            "spread": (max(rates) - min(rates)) / rate,
        }
        rows.append({"client": name, "concurrency": concurrency, **row, **shares})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table of text.

    `requests` is the number of requests at a time, `helper's` the CPU of the process that reads answers.
    """
    lines = [
        "client     requests  calls/s  of bare  of latency  spread  CPU ms/call  helper's  server's  peak MB",
        *(
            f"{row['client']:<11} {row['concurrency']:>7} {row['calls_a_second']:>8.1f} {row['of_bare']:>8.1%} "
            f"{row['of_latency']:>11.1%} {row['spread']:>7.1%} {row['cpu_ms_a_call']:>12.2f} "
            f"{row['helper_cpu_ms_a_call']:>9.2f} "
            f"{row['server_cpu_ms_a_call']:>9.2f} {row['peak_mb']:>8.0f}"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure everything, print it and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latency", type=float, default=0.2, help="of the server, in seconds")
    parser.add_argument("--words", type=int, default=80, help="length of a paragraph")
    parser.add_argument("--concurrency", type=int, nargs="*", default=[8, 64, 256])
    parser.add_argument("--seconds", type=float, default=6, help="of one measurement, at the full rate")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--rows", type=int, nargs="*", default=[600, 6000], help="instructions, to measure memory"
    )
    parser.add_argument("--out", type=Path, default=Path(".lw/bench/llm_throughput.json"))
    options = parser.parse_args()
    server = start("loopback_server.py", "--latency", options.latency, "--words", options.words)
    try:
        url = line(server)
        rows = measure(url, options)
        sys.stdout.write(table(rows))
        memory = [
            {"rows": n, **measured("write", url, n * STEPS, max(options.concurrency), options.words)}
            for n in options.rows
        ]
    finally:
        server.terminate()
        server.wait()
    for row in memory:
        sys.stdout.write(
            f"{row['rows']:,.0f} instructions of {STEPS} paragraphs: {row['peak_mb']:.0f} MB at most, "
            f"{row['seconds']:.1f} s, {row['calls_a_second']:.0f} calls/s\n"
        )
    settings = {key: value for key, value in vars(options).items() if key != "out"}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"cores": os.cpu_count(), "settings": settings, "clients": rows, "memory": memory}
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
