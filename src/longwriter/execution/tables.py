"""The table of a stage's rows in its MLflow run, kept and rejected, each with a link to its trace.

`rows.json` has all columns. MLflow shows its links as plain text, so `rows.md` shows the first rows with links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import islice
from typing import Any

from longwriter.io import files
from longwriter.records import Draft, Example, Generation, Instruction, Plan, Rejection, Score
from longwriter.text import inert
from longwriter.traces import spans, traces
from longwriter.tracking import provenance

_ROWS = 2000  # of each kind: the MLflow UI loads the whole table
_PAGE_ROWS = 500  # of rows.md
_PROMPT_CHARS = 200
_FIRST_WORDS = 20


def rows(name: str, run_id: str) -> list[dict[str, Any]]:
    """Return the table of a stage that makes data, rejected rows first; empty for other stages.

    Args:
        name: The stage, or an item of a matrix stage; its output is published, its traces are written.
        run_id: The stage's MLflow run.
    """
    table = _rows(name)
    ids = traces.ids_of(_traced_by(name, run_id)) if any(row["trace"] for row in table) else set()
    return [{**row, "trace": _link(row["trace"], ids)} for row in table]


def page(table: list[dict[str, Any]]) -> str:
    """Return the first rows of a table as Markdown, with a link to the trace of each; empty without rows."""
    if not table:
        return ""
    lines = ["| trace | row | result | words | prompt | begins with |", "|---|---|---|---|---|---|"]
    for row in table[:_PAGE_ROWS]:
        cells = [
            f"[trace]({row['trace']})" if row["trace"] else "",
            inert.markdown(row["row_id"]),
            inert.markdown(row["result"]),
            "" if row["words"] is None else f"{row['words']:,}",
            inert.markdown(row["prompt"]),
            inert.markdown(row["first_words"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if len(table) > _PAGE_ROWS:
        lines += ["", f"These are the first {_PAGE_ROWS} of {len(table):,} rows; `rows.json` has them all."]
    return "\n".join(lines) + "\n"


def _traced_by(name: str, run_id: str) -> str:
    """Return the run whose traces the table of a stage links to: for `dataset` the run of `write`, else its own."""
    if name != "dataset":
        return run_id
    return provenance.read("write").run_id


def _link(trace_id: str | None, ids: Set[str]) -> str | None:
    """Return the URL of a trace that MLflow has; `tracing` may have left it out."""
    return traces.url(trace_id) if trace_id is not None and trace_id in ids else None


def _rows(name: str) -> list[dict[str, Any]]:
    stage, _, item = name.partition("@")
    sources: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "instructions": _instructions,
        "plan": _plans,
        "write": _drafts,
        "dataset": _examples,
    }
    if stage == "score":
        return list(islice(_scores(item), _ROWS))
    if stage not in sources:
        return []
    prompts = {} if stage == "instructions" else _prompts()
    rejected = [
        _row(
            row.row_id,
            prompts.get(row.row_id, ""),
            "",
            None,
            None,
            f"{row.reason}: {row.detail}",
            spans.trace_id(row.row_id, row.call_ids) if stage in ("plan", "write") else None,
        )
        for row in islice(files.each_row(files.DATA / stage / "rejected.jsonl", Rejection), _ROWS)
    ]
    return [*rejected, *islice(sources[stage](), _ROWS)]


def _row(
    row_id: str,
    prompt: str,
    text: str,
    words: int | None,
    length_score: float | None,
    reason: str,
    trace_id: str | None,
) -> dict[str, Any]:
    return {
        "row_id": row_id,
        "result": inert.line(reason)[:_PROMPT_CHARS] or "kept",
        "prompt": inert.line(prompt)[:_PROMPT_CHARS],
        "first_words": inert.line(" ".join(text.split(maxsplit=_FIRST_WORDS)[:_FIRST_WORDS])),
        "words": words,
        "S_l": length_score,
        "trace": trace_id,
    }


def _prompts() -> dict[str, str]:
    rows = files.each_row(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    return {row.instruction_id: row.prompt for row in rows}


def _instructions() -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "instructions" / "instructions.jsonl", Instruction):
        yield _row(row.instruction_id, row.prompt, "", None, None, "", None)


def _plans() -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "plan" / "plans.jsonl", Plan):
        steps = " / ".join(step.main_point for step in row.steps)
        words = sum(step.word_count for step in row.steps)
        yield _row(row.instruction.instruction_id, row.instruction.prompt, steps, words, None, "", None)


def _drafts() -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "write" / "drafts.jsonl", Draft):
        own_id = row.plan.instruction.instruction_id
        trace_id = spans.trace_id(own_id, [*row.plan.call_ids, *row.call_ids])
        text = " ".join(row.paragraphs)
        yield _row(own_id, row.plan.instruction.prompt, text, len(text.split()), None, "", trace_id)


def _examples() -> Iterator[dict[str, Any]]:
    for split in ("train", "test"):
        for row in files.each_row(files.DATA / "dataset" / f"{split}.jsonl", Example):
            is_written = row.instruction_id is not None and row.call_ids
            trace_id = spans.trace_id(str(row.instruction_id), row.call_ids) if is_written else None
            prompt, answer = row.messages[0].content, row.messages[-1].content
            yield _row(row.sample_id, prompt, answer, row.words, None, "", trace_id)


def _scores(item: str) -> Iterator[dict[str, Any]]:
    answers = files.each_row(files.DATA / "generate" / item / "generations.jsonl", Generation)
    scores = files.each_row(files.DATA / "score" / item / "scores.jsonl", Score)
    for answer, score in zip(answers, scores, strict=True):
        own_id = answer.generation_id
        reason = "loop" if score.loop else "" if score.ended else "cut off"
        trace_id = spans.trace_id(own_id, [])
        length = None if score.length_score is None else round(score.length_score, 2)
        yield _row(own_id, answer.prompt, answer.text, answer.words, length, reason, trace_id)
