"""How near AgentWrite comes to what an endpoint allows: calls a second, CPU a call, peak memory.

Everything is measured in one run, against a loopback server of its own process that answers after a
fixed latency, each client in a fresh process, the clients in turns, the median of the repeats:

    bare        a loop over openai[aiohttp] and nothing else, which is the most that can be had
    ask         `LLM.ask`: replay cache, call log, limits
    write       the stage `write`: chains of paragraphs, validation, cache, call log
    sequential  eight processes with one request under way each

The rate is the server's: answers, over the time from the first request to the last answer; probes
are left out. No number is asserted: machines differ, and the load on them.

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


def started(script: str, *words: object, folder: Path | None = None) -> subprocess.Popen[str]:
    """Return a script of this folder under way, which talks over pipes."""
    command = [sys.executable, str(HERE / script), *map(str, words)]
    return subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that a child writes."""
    assert child.stdout is not None
    told = child.stdout.readline().strip()
    if not told:
        raise SystemExit(f"a child process ended: {child.wait()}")
    return told


def stats(url: str) -> dict[str, float]:
    """Return what the server counted since it was asked last."""
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as answer:
        return dict(json.load(answer))


def measured(name: str, url: str, calls: int, concurrency: int, words: int) -> dict[str, float]:
    """Return rate, CPU and memory of one client, or of `SEQUENTIAL` sequential ones."""
    number = SEQUENTIAL if name == "sequential" else 1
    with tempfile.TemporaryDirectory() as scratch:
        children = []
        for i in range(number):
            folder = Path(scratch) / str(i)
            folder.mkdir()
            part = [name, url, calls // number, concurrency, words]
            children.append(started("loopback_clients.py", *part, folder=folder))
        for child in children:
            line(child)
        before = stats(url)
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [json.loads(line(child)) for child in children]
        for child in children:
            child.communicate()
    seen = stats(url)
    return {
        "calls": seen["calls"],
        "calls_a_second": seen["calls"] / (seen["last"] - seen["first"]),
        "cpu_ms_a_call": 1000 * sum(row["cpu_s"] for row in told) / seen["calls"],
        "server_cpu_ms_a_call": 1000 * (seen["cpu_s"] - before["cpu_s"]) / seen["calls"],
        "peak_mb": max(row["peak_mb"] for row in told),
        "seconds": max(row["seconds"] for row in told),
    }


def median(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each number."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def measure(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each client and concurrency; clients take turns."""
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
        rate, bare_rate = (
            row["calls_a_second"],
            median(rounds.get(("bare", concurrency), repeats))["calls_a_second"],
        )
        each_rate = [repeat["calls_a_second"] for repeat in repeats]
        shares = {
            "of_bare": rate / bare_rate,
            "of_latency": rate * options.latency / concurrency,
            "spread": (max(each_rate) - min(each_rate)) / rate,
        }
        rows.append({"client": name, "concurrency": concurrency, **row, **shares})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = [
        "client      at once  calls/s  of bare  of latency  spread  CPU ms/call  server's  peak MB",
        *(
            f"{row['client']:<11} {row['concurrency']:>7} {row['calls_a_second']:>8.1f} {row['of_bare']:>8.1%} "
            f"{row['of_latency']:>11.1%} {row['spread']:>7.1%} {row['cpu_ms_a_call']:>12.2f} "
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
        "--rows", type=int, nargs="*", default=[600, 6000], help="instructions written for memory"
    )
    parser.add_argument("--out", type=Path, default=Path(".lw/bench/llm_throughput.json"))
    options = parser.parse_args()
    server = started("loopback_server.py", "--latency", options.latency, "--words", options.words)
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
