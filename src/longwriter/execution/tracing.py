"""Selects the texts of a stage that get a trace, and finds the calls of each; traces/traces.py writes them.

The runner calls `record` when the work of a stage is done. A call log holds the calls in the order of their
answers. So a text is traced as soon as the last of its calls is read, and memory holds few texts at a time.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from longwriter.amounts import amount
from longwriter.calls import prices
from longwriter.hashing import hash_share
from longwriter.io import files
from longwriter.params import Params
from longwriter.params.tracing import TracingParams
from longwriter.records import Draft, Generation, Instruction, Plan, Rejection, Score
from longwriter.traces import spans, traces
from longwriter.traces.spans import Calls, Line, TextTrace

log = logging.getLogger("longwriter")


class Traced(NamedTuple):
    """A text to trace: the ids of its calls, and the function that makes the trace from the calls."""

    call_ids: list[str]
    trace: Callable[[Calls], TextTrace]


def record(name: str, params: Params, run_id: str, started_s: float, writer: traces.Writer) -> None:
    """Write the traces of a stage's texts, and log one line about them; a stage without texts gets no trace.

    Args:
        name: The stage, or an item of a matrix stage; its output is already published.
        params: All parameters; `tracing` says how many texts, and how long it may take.
        run_id: The stage's MLflow run.
        started_s: When the work started, in seconds since 1970.
        writer: The run and the model that gave the answers.
    """
    stage, _, item = name.partition("@")
    sources: dict[str, Callable[[], tuple[list[Traced], list[str]]]] = {
        "plan": lambda: (_refused_plans(), ["plan"]),
        "write": lambda: (_drafts(params), ["plan", "write"]),
        "generate": lambda: (_answers(item, is_scored=False), [f"generate/{item}"]),
        "score": lambda: (_answers(item, is_scored=True), [f"generate/{item}", f"score/{item}"]),
    }
    if stage not in sources:
        return
    texts, folders = sources[stage]()
    logs = [files.DATA / folder / "calls.jsonl.zst" for folder in folders]
    result = traces.write(
        run_id, _join(texts, logs), started_s=started_s, max_seconds=params.tracing.max_seconds, writer=writer
    )
    if result.traces or result.left_out:
        left_out = f", {result.left_out:,} left out (tracing.max_seconds)" if result.left_out else ""
        traces_text = amount(result.traces, "trace")
        log.info("%s: %s in MLflow in %.1f s%s", name, traces_text, result.seconds, left_out)


def _is_traced(row_id: str, sampling: TracingParams) -> bool:
    """Tell whether a text that was kept is in the share that gets a trace."""
    return hash_share(sampling.seed, row_id) < sampling.share


def _refused_plans() -> list[Traced]:
    prompts = _prompts()
    texts = []
    for row in files.read_jsonl(files.DATA / "plan" / "rejected.jsonl", Rejection):

        def trace(calls: Calls, row: Rejection = row) -> TextTrace:
            return spans.of_refused_plan(row, prompts[row.row_id], calls)

        texts.append(Traced(row.call_ids, trace))
    return texts


def _prompts() -> dict[str, str]:
    rows = files.read_jsonl(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    return {row.instruction_id: row.prompt for row in rows}


def _drafts(params: Params) -> list[Traced]:
    """Return the refused texts, then a share of the others, which `tracing.seed` draws."""
    is_parallel = params.write.mode == "parallel"
    folder = files.DATA / "write"
    rejections = files.read_jsonl(folder / "rejected.jsonl", Rejection)
    ids = {row.row_id for row in rejections}
    plans = {
        plan.instruction.instruction_id: plan
        for plan in files.read_jsonl(files.DATA / "plan" / "plans.jsonl", Plan)
        if plan.instruction.instruction_id in ids
    }
    texts = []
    for row in rejections:
        plan = plans[row.row_id]

        def refusal(calls: Calls, row: Rejection = row, plan: Plan = plan) -> TextTrace:
            return spans.of_refused_draft(row, plan, calls, is_parallel=is_parallel)

        texts.append(Traced([*plan.call_ids, *row.call_ids], refusal))
    for draft in files.read_jsonl(folder / "drafts.jsonl", Draft):
        key = draft.plan.instruction.instruction_id
        if _is_traced(key, params.tracing):

            def text(calls: Calls, draft: Draft = draft) -> TextTrace:
                return spans.of_draft(draft, calls, is_parallel=is_parallel)

            texts.append(Traced([*draft.plan.call_ids, *draft.call_ids], text))
    return texts


def _answers(item: str, *, is_scored: bool) -> list[Traced]:
    """Return a model's answers to a benchmark, with their scores if they have them."""
    scores: dict[str, Score] = {}
    if is_scored:
        rows = files.read_jsonl(files.DATA / "score" / item / "scores.jsonl", Score)
        scores = {row.generation_id: row for row in rows}
    texts = []
    for answer in files.read_jsonl(files.DATA / "generate" / item / "generations.jsonl", Generation):
        score = scores.get(answer.generation_id)

        def trace(calls: Calls, answer: Generation = answer, score: Score | None = score) -> TextTrace:
            return spans.of_answer(answer, calls, item, score)

        texts.append(Traced([*answer.call_ids, *(score.quality.call_ids if score else [])], trace))
    return texts


def _join(texts: Iterable[Traced], logs: list[Path]) -> Iterator[TextTrace]:
    """Yield the trace of each text when its last call is read; texts with missing calls come at the end."""
    refusals = {
        row["call_id"]: (row["reason"], row["detail"])
        for path in map(files.refusals_file, logs)
        if path.is_file()
        for row in map(json.loads, files.read_zstd_lines(path))
    }
    waiting = {number: text for number, text in enumerate(texts)}
    readers: dict[str, list[int]] = defaultdict(list)
    for number, text in waiting.items():
        for call_id in dict.fromkeys(text.call_ids):
            readers[call_id].append(number)
    open_ids = {number: set(text.call_ids) for number, text in waiting.items()}
    lines: dict[int, dict[str, Line]] = {number: {} for number in waiting}

    def finish(number: int) -> TextTrace:
        calls = Calls(lines.pop(number), refusals, _cost)
        return waiting.pop(number).trace(calls)

    for path in filter(Path.is_file, logs):
        for line in map(json.loads, files.read_zstd_lines(path)):
            for number in readers.pop(line["call_id"], ()):
                lines[number][line["call_id"]] = line
                open_ids[number].discard(line["call_id"])
                if not open_ids[number]:
                    yield finish(number)
    for number in list(waiting):
        yield finish(number)


def _cost(line: Line) -> tuple[float, float] | None:
    """Return what a request and its answer cost; None if the tokens or the price are unknown."""
    usage = line["usage"]
    price = prices.FREE if line.get("endpoint") is None else prices.price(line["model"])
    if price is None or usage is None:
        return None
    counts = usage["prompt_tokens"], usage["cached_tokens"]
    return prices.cost(price, *counts, 0), prices.cost(price, 0, 0, usage["completion_tokens"])
