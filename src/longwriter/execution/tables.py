"""The table of a stage's rows in its MLflow run, kept and rejected, each with a link to its trace.

`rows.json` has all columns. MLflow shows its links as plain text, so `rows.md` shows the first rows with links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from longwriter.evaluation.scores import length_score
from longwriter.io import files
from longwriter.records import (
    JOINT,
    Draft,
    Example,
    Generation,
    Instruction,
    Plan,
    PreferencePair,
    RejectedInstruction,
    Rejection,
    Score,
)
from longwriter.text import inert
from longwriter.text.basics.counting import count_words
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
    lines = ["| trace | row | result | words | S_l | prompt | begins with |", "|---|---|---|---|---|---|---|"]
    for row in table[:_PAGE_ROWS]:
        cells = [
            f"[trace]({row['trace']})" if row["trace"] else "",
            inert.markdown(row["row_id"]),
            inert.markdown(row["result"]),
            "" if row["words"] is None else f"{row['words']:,}",
            "" if row["S_l"] is None else f"{row['S_l']:.0f}",
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
    if stage == "score":
        return list(islice(_scores(item), _ROWS))
    sources: dict[str, Callable[[Mapping[str, Instruction]], Iterator[dict[str, Any]]]] = {
        "instructions": _instructions,
        "plan": _plans,
        "write": _drafts,
        "dataset": _examples,
        "sample": _samples,
        "preferences": _pairs,
    }
    if stage not in sources:
        return []
    known = {} if stage == "instructions" else _known()
    return [*_rejected(stage, known), *islice(sources[stage](known), _ROWS)]


def _row(
    row_id: str,
    prompt: str,
    text: str = "",
    *,
    words: int | None = None,
    required: int | None = None,
    reason: str = "",
    trace_id: str | None = None,
) -> dict[str, Any]:
    """Return a row of the table; S_l compares the words with those that are required, if both are known."""
    score = None if words is None or required is None else round(length_score(required, words), 2)
    return {
        "row_id": row_id,
        "result": inert.line(reason)[:_PROMPT_CHARS] or "kept",
        "prompt": inert.line(prompt)[:_PROMPT_CHARS],
        "first_words": inert.line(" ".join(text.split(maxsplit=_FIRST_WORDS)[:_FIRST_WORDS])),
        "words": words,
        "S_l": score,
        "trace": trace_id,
    }


def _known() -> dict[str, Instruction]:
    rows = files.each_row(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    return {row.instruction_id: row for row in rows}


def _rejected(stage: str, known: Mapping[str, Instruction]) -> list[dict[str, Any]]:
    """Return the rejected rows of a stage; a text that became no training row is shown as `write` wrote it."""
    path = files.DATA / stage / "rejected.jsonl"
    kind = RejectedInstruction if stage == "instructions" else Rejection
    rejections = list(islice(files.each_row(path, kind), _ROWS)) if path.is_file() else []
    texts = _texts({tuple(row.call_ids) for row in rejections if row.call_ids}) if stage == "dataset" else {}
    rows = []
    for row in rejections:
        reason = f"{row.reason}: {row.detail}"
        if (draft := texts.get(tuple(row.call_ids))) is not None:
            rows.append(
                {**_of_draft(draft), "row_id": row.row_id, "result": inert.line(reason)[:_PROMPT_CHARS]}
            )
            continue
        if isinstance(row, RejectedInstruction):
            prompt = row.prompt
        else:
            prompt = known[row.row_id].prompt if row.row_id in known else ""
        trace_id = spans.trace_id(row.row_id, row.call_ids) if stage in ("plan", "write") else None
        rows.append(_row(row.row_id, prompt, reason=reason, trace_id=trace_id))
    return rows


def _texts(calls: Set[Sequence[str]]) -> dict[Sequence[str], Draft]:
    """Return the texts of `write` that these calls wrote, by their calls."""
    if not calls:
        return {}
    drafts = files.each_row(files.DATA / "write" / "drafts.jsonl", Draft)
    keys = ((tuple([*draft.plan.call_ids, *draft.call_ids]), draft) for draft in drafts)
    return {key: draft for key, draft in keys if key in calls}


def _instructions(_: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "instructions" / "instructions.jsonl", Instruction):
        yield _row(row.instruction_id, row.prompt)


def _plans(_: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "plan" / "plans.jsonl", Plan):
        steps = " / ".join(step.main_point for step in row.steps)
        instruction, words = row.instruction, sum(step.word_count for step in row.steps)
        yield _row(instruction.instruction_id, instruction.prompt, steps, words=words)


def _drafts(_: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    yield from map(_of_draft, files.each_row(files.DATA / "write" / "drafts.jsonl", Draft))


def _of_draft(draft: Draft) -> dict[str, Any]:
    row, text = draft.plan.instruction, JOINT.join(draft.paragraphs)
    return _row(
        row.instruction_id,
        row.prompt,
        text,
        words=count_words(text),
        required=row.required_words,
        trace_id=spans.trace_id(row.instruction_id, [*draft.plan.call_ids, *draft.call_ids]),
    )


def _examples(known: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    """Yield the training rows; S_l compares a text with its instruction, before the length in the prompt changed."""
    for split in ("train", "test"):
        for row in files.each_row(files.DATA / "dataset" / f"{split}.jsonl", Example):
            is_written = row.instruction_id is not None and row.call_ids
            trace_id = spans.trace_id(str(row.instruction_id), row.call_ids) if is_written else None
            source = known.get(row.instruction_id or "")
            required = row.required_words if source is None else source.required_words
            prompt, answer = row.messages[0].content, row.messages[-1].content
            yield _row(row.sample_id, prompt, answer, words=row.words, required=required, trace_id=trace_id)


def _samples(_: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    for row in files.each_row(files.DATA / "sample" / "generations.jsonl", Generation):
        reason = "" if row.finish_reason == "stop" else "cut off"
        yield _row(
            row.generation_id,
            row.prompt,
            row.text,
            words=row.words,
            required=row.required_words,
            reason=reason,
        )


def _pairs(_: Mapping[str, Instruction]) -> Iterator[dict[str, Any]]:
    """Yield the pairs with their chosen text; of a pair at a step this is the text so far and its continuation."""
    for split in ("train", "test"):
        for row in files.each_row(files.DATA / "preferences" / f"{split}.jsonl", PreferencePair):
            before = [row.prompt[-1].content] if row.prompt[-1].role == "assistant" else []
            text = JOINT.join([*before, row.chosen[-1].content])
            yield _row(
                row.pair_id,
                row.prompt[0].content,
                text,
                words=count_words(text),
                required=row.required_words,
            )


def _scores(item: str) -> Iterator[dict[str, Any]]:
    answers = files.each_row(files.DATA / "generate" / item / "generations.jsonl", Generation)
    scores = files.each_row(files.DATA / "score" / item / "scores.jsonl", Score)
    for answer, score in zip(answers, scores, strict=True):
        faults = {"refusal": score.refusal, "loop": score.loop, "cut off": not score.ended}
        yield _row(
            answer.generation_id,
            answer.prompt,
            answer.text,
            words=answer.words,
            required=answer.required_words,
            reason=", ".join(name for name, is_there in faults.items() if is_there),
            trace_id=spans.trace_id(answer.generation_id, []),
        )
