"""The clients that `llm_throughput.py` measures, each in a process and a scratch folder of its own.

Each client function does its imports, writes its input files and returns the work to measure. The
process prints `ready`, waits for a line, does the work, and prints its time and memory as JSON.

Run: `python infra/bench/loopback_clients.py CLIENT URL CALLS CONCURRENCY WORDS`
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
STEPS = 3  # paragraphs of a text


def cpu_s() -> tuple[float, float]:
    """Return the CPU time of this process, and of the processes that it started, in seconds."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    own, *others = [item.user + item.system for item in times]
    return own, sum(others)


def _params(url: str, concurrency: int) -> Any:
    """Return the committed parameters, with the paper's settings of `write`, for the server at `url`."""
    from longwriter import params

    values = params.read(ROOT / "params.yaml")
    values["llm"] |= {
        "engine": "external", "base_url": f"{url}/v1", "model": "loopback", "max_concurrency": concurrency,
    }  # fmt: skip
    values["write"] |= {"keep": "whole_answer"}
    values["write"]["sampling"] |= {"max_tokens": 4096, "repetition_penalty": None, "stop": []}
    checked = params.check(values, "params.yaml")
    write = checked.write.model_copy(update={"prompt": str(ROOT / "src/longwriter/prompts/write.txt")})
    return checked.model_copy(update={"write": write})


def _prompt(number: int, words: int) -> str:
    """Return a prompt about as long as one of the stage `write`: template, plan, half of the text."""
    filler = "It is about water. " * ((900 + 7 * words * (STEPS - 1) // 2) // 19)
    return f"Write paragraph {number % STEPS + 1} of {STEPS} on subject {number}. {filler}"


async def _workers(calls: int, concurrency: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make the calls 0, 1, … `calls` - 1, at most `concurrency` at a time."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())


def bare(url: str, calls: int, concurrency: int, words: int) -> Callable[[], None]:
    """Return a loop over the client library and nothing else."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def main() -> None:
        async with AsyncOpenAI(
            base_url=f"{url}/v1", api_key="none", http_client=DefaultAioHttpClient()
        ) as client:

            async def call(number: int) -> None:
                await client.chat.completions.create(
                    model="loopback", messages=[{"role": "user", "content": _prompt(number, words)}],
                    temperature=0.8, max_tokens=4096, seed=number,
                )  # fmt: skip

            await _workers(calls, concurrency, call)

    return lambda: asyncio.run(main())


def sequential(url: str, calls: int, _concurrency: int, words: int) -> Callable[[], None]:
    """Return a loop that sends one request at a time."""
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="none")

    def main() -> None:
        for number in range(calls):
            client.chat.completions.create(
                model="loopback", messages=[{"role": "user", "content": _prompt(number, words)}],
                temperature=0.8, max_tokens=4096,
            )  # fmt: skip

    return main


def ask(url: str, calls: int, concurrency: int, words: int) -> Callable[[], None]:
    """Return a loop over `LLM.ask`."""
    from longwriter.models import servers as serving

    params = _params(url, concurrency)

    async def main() -> None:
        async with serving.model(params.llm, params.write.sampling, Path("calls.jsonl.zst")) as llm:
            await _workers(
                calls, concurrency, lambda number: llm.ask(_prompt(number, words), params.write.sampling)
            )

    return lambda: asyncio.run(main())


def write(url: str, calls: int, concurrency: int, words: int) -> Callable[[], None]:
    """Return the stage `write` over plans of `STEPS` steps."""
    from longwriter.io import files
    from longwriter.records import Instruction, Plan, PlanStep
    from longwriter.stages import write as stage
    from longwriter.tracking.runs import StageRun

    params = _params(url, concurrency)
    folder = files.DATA / "plan"
    folder.mkdir(parents=True)

    def plan(number: int) -> Plan:
        row = Instruction(
            instruction_id=f"{number:016x}", prompt=f"Write a report on subject {number}.", type="report",
            language="en", required_words=words * STEPS, origin="made",
        )  # fmt: skip
        steps = [PlanStep(main_point=f"The part {i} of {number}", word_count=words) for i in range(STEPS)]
        return Plan(instruction=row, steps=steps, call_ids=[])

    files.write_jsonl(folder / "plans.jsonl", (plan(number) for number in range(calls // STEPS)))

    def main() -> None:
        with files.published(files.DATA / "write") as out:
            summary = stage.work(params, out, StageRun("run", "fingerprint"))
        assert summary.rows_kept == summary.rows_in, summary

    return main


CLIENTS = {"bare": bare, "ask": ask, "write": write, "sequential": sequential}


def main() -> None:
    """Run the client that the command line names."""
    name, url, *counts = sys.argv[1:]
    calls, concurrency, words = map(int, counts)
    work = CLIENTS[name](url, calls, concurrency, words)
    if name in ("ask", "write"):
        from longwriter.io import startup

        startup.end()  # as a stage does after its imports
    if name == "write":
        from longwriter.agentwrite.paragraphs import drafts
        from longwriter.endpoints import reading

        asyncio.run(reading.run_in_process(drafts.prepare))  # the stage does this while MLflow starts
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    cpu_before_s, helper_before_s = cpu_s()
    started = time.monotonic()
    work()
    own_s, helper_s = cpu_s()
    report = {
        "cpu_s": own_s - cpu_before_s,
        "helper_cpu_s": helper_s - helper_before_s,
        "seconds": time.monotonic() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
