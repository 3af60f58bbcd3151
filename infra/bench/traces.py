"""How long traces take, and how large they are: texts of ten paragraphs, written to an MLflow database.

Run: python infra/bench/traces.py [--texts 1000] [--uri sqlite:////tmp/traces.db]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from longwriter.records import Draft, Instruction, Plan, PlanStep
from longwriter.traces import spans, traces
from longwriter.tracking import runs as tracking

_PARAGRAPHS = 10
_CHARS = 1200


def _draft(number: int) -> Draft:
    """Return a text of ten paragraphs; each costs one call."""
    instruction = Instruction(
        instruction_id=f"{number:016x}", prompt=f"Write text {number}. " + "word " * 40, type="Essay",
        language="en", required_words=2000, origin=f"bench:{number}",
    )  # fmt: skip
    steps = [PlanStep(main_point=f"point {step}", word_count=200) for step in range(_PARAGRAPHS)]
    plan = Plan(instruction=instruction, steps=steps, call_ids=[f"{number}-plan"])
    paragraphs = [(f"paragraph {step} " * _CHARS)[:_CHARS] for step in range(_PARAGRAPHS)]
    return Draft(plan=plan, paragraphs=paragraphs, call_ids=[f"{number}-{s}" for s in range(_PARAGRAPHS)])


def _line(call_id: str) -> spans.Line:
    messages = [{"role": "user", "content": (f"prompt {call_id} " * _CHARS)[:_CHARS]}]
    reply = {"message": {"role": "assistant", "content": (f"answer {call_id} " * _CHARS)[:_CHARS]}}
    return {
        "call_id": call_id, "request": {"messages": messages, "sampling": {"seed": 0}}, "attempt": 0,
        "replayed": False, "model": "bench", "finish_reason": "stop", "latency_s": 3.0,
        "usage": {"prompt_tokens": 300, "cached_tokens": 0, "completion_tokens": 280},
        "answer": {"choices": [reply]},
    }  # fmt: skip


def main() -> None:
    """Write the traces and print seconds and megabytes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--uri", help="an MLflow server or database (default: a new SQLite file)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        database = Path(folder) / "mlflow.db"
        os.environ["MLFLOW_TRACKING_URI"] = options.uri or f"sqlite:///{database}"
        run_id = tracking.start_run("bench", {})
        before = database.stat().st_size if database.exists() else 0

        def texts() -> list[spans.TextTrace]:
            drafts = map(_draft, range(options.texts))
            return [
                spans.of_draft(
                    draft,
                    spans.Calls(
                        {key: _line(key) for key in [*draft.plan.call_ids, *draft.call_ids]},
                        {},
                        lambda _: (0.001, 0.002),
                    ),
                    is_parallel=False,
                )
                for draft in drafts
            ]

        for attempt in ("first", "again"):
            begin = time.monotonic()
            made = texts()
            built = time.monotonic() - begin
            written = traces.write(
                run_id, made, started_s=time.time(), max_seconds=1e6, writer=traces.Writer(run_id)
            )
            size = (database.stat().st_size - before) / 1e6 if database.exists() else float("nan")
            seconds = f"{built:.1f} s to build, {written.seconds:.1f} s to write"
            sys.stdout.write(f"{attempt}: {written.traces} texts, {seconds}, {size:.1f} MB\n")
        tracking.end_run(run_id, "FINISHED")


if __name__ == "__main__":
    main()
