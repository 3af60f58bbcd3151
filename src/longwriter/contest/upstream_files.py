"""Converts the files of the paper's evaluation scripts (upstream), `pred.jsonl` and `judge.jsonl`, to records and back.

A row of `pred.jsonl` is a benchmark's row with `response` and `response_length`; in `judge.jsonl` it has `scores` too.
Upstream's scripts read the files written here. Rows have more fields than upstream's: how the answer ended,
which judge scored it, the marks of each judge of a panel, why it has no score, and the length of thinking.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from longwriter.errors import BadRecord
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.hashing import short_id
from longwriter.judge.judgements import DIMENSIONS, quality_score
from longwriter.records import BenchmarkRow, Generation, Judgement, Record, Text, Unscored
from longwriter.text.basics.counting import language_of

UNKNOWN = "unknown"
"""Finish reason of an answer if `pred.jsonl` names none; the paper's files never name one. Such an answer does not
count as ended by the model.
"""
_LOWEST, _HIGHEST = 1, 5


class PredRow(BenchmarkRow):
    """A row of `pred.jsonl`."""

    response: str
    finish_reason: str = UNKNOWN
    max_tokens: int = 0
    call_ids: list[str] = Field(default_factory=list)
    thinking_words: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class JudgeRow(Record):
    """A row of `judge.jsonl`; upstream's last row holds the means and has no `prompt`."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    prompt: Text | None = None
    response: str = ""
    scores: dict[str, Any] = Field(default_factory=dict)
    judge: str | None = None
    members: list[dict[str, Any]] = Field(default_factory=list)
    unscored: Unscored | None = None


def pred_row(generation: Generation) -> dict[str, Any]:
    """Return an answer as a row of `pred.jsonl`; the length of thinking is left out where there was none."""
    thinking = {"thinking_words": generation.thinking_words} if generation.thinking_words else {}
    return {
        "prompt": generation.prompt,
        "type": generation.type,
        "length": generation.required_words,
        "response_length": generation.words,
        "response": generation.text,
        "finish_reason": generation.finish_reason,
        "max_tokens": generation.max_tokens,
        "call_ids": generation.call_ids,
        **thinking,
    }


def judge_row(generation: Generation, quality: Judgement | Unscored) -> dict[str, Any]:
    """Return an answer as a row of `judge.jsonl`; without a judgement it has no scores, and says why."""
    if isinstance(quality, Unscored):
        return {**pred_row(generation), "scores": {}, "unscored": quality.model_dump()}
    members = {"members": list(map(_judged, quality.members))} if quality.members else {}
    return {**pred_row(generation), **_judged(quality), **members}


def _judged(quality: Judgement) -> dict[str, Any]:
    return {"scores": {"Analysis": quality.analysis, **quality.dimensions}, "judge": quality.judge}


def generations(rows: Sequence[PredRow]) -> list[Generation]:
    """Return the answers of `pred.jsonl`; words are counted again. Equal answers to a prompt stay separate."""
    return [
        generation_of(
            Prompt(short_id(row.prompt), row.prompt, row.type, language_of(row.prompt), row.length),
            row.response,
            finish_reason=row.finish_reason,
            max_tokens=row.max_tokens,
            call_ids=row.call_ids or [f"row {number}"],
        ).model_copy(update={"thinking_words": row.thinking_words})
        for number, row in enumerate(rows, 1)
    ]


def qualities(
    answers: Sequence[Generation], rows: Sequence[JudgeRow], source: str
) -> list[Judgement | Unscored]:
    """Return the judgement of each answer in `judge.jsonl`, or why it has none.

    Equal answers to a prompt get their judgements in the order of the file.

    Args:
        answers: The answers.
        rows: The rows of `judge.jsonl`.
        source: Name of the file; it stands for the judge, which upstream's files do not name.

    Raises:
        BadRecord: the file holds more judgements of an answer than answers, and they differ.
    """
    judged: defaultdict[tuple[str | None, str], list[JudgeRow]] = defaultdict(list)
    for row in rows:
        judged[row.prompt, row.response].append(row)
    numbers = Counter((answer.prompt, answer.text) for answer in answers)
    for (prompt, text), number in numbers.items():
        options = judged[prompt, text]
        if len(options) > number and any(row != options[0] for row in options):
            raise BadRecord(
                f"{source}: {len(options)} judgements of one answer to {prompt[:80]!r} differ: keep one row for each "
                "answer"
            )
    given = []
    for answer in answers:
        options = judged[answer.prompt, answer.text]
        given.append(_quality(options[0] if options else None, source))
        if len(options) > 1:
            options.pop(0)
    return given


def _quality(row: JudgeRow | None, source: str) -> Judgement | Unscored:
    if row is None:
        return Unscored(reason="not_judged", detail=f"{source} has no row with this answer")
    if row.unscored is not None:
        return row.unscored
    judge = row.judge or f"unknown judge of {source}"
    quality = _judgement(row.scores, judge, allows_mean=row.judge is not None)
    members = []
    for member in row.members:
        scores, name = member.get("scores"), member.get("judge")
        mark = _judgement(scores if isinstance(scores, dict) else {}, str(name), allows_mean=True)
        if isinstance(mark, Unscored):
            return mark
        members.append(mark)
    return quality if isinstance(quality, Unscored) else quality.model_copy(update={"members": members})


def _judgement(scores: dict[str, Any], judge: str, *, allows_mean: bool) -> Judgement | Unscored:
    """Return the judgement of one judge; `allows_mean`: a mark may be the mean of a panel or of chunks."""
    dimensions: dict[str, int | float] = {}
    for name in DIMENSIONS:
        value: Any = scores.get(name)
        is_mark = type(value) is int or (type(value) is float and allows_mean)
        if not is_mark or not _LOWEST <= value <= _HIGHEST:
            reason = "missing_dimension" if name not in scores else "not_an_integer_from_1_to_5"
            return Unscored(reason=reason, detail=f"{name}: {value!r}")
        dimensions[name] = value
    return Judgement(
        dimensions=dimensions,
        quality_score=quality_score(dimensions),
        analysis=str(scores.get("Analysis", scores.get("analysis", ""))),
        judge=judge,
        call_ids=[],
    )
