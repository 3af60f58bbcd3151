"""The record types: every row of a JSON Lines file between two stages is one of these.

A record's id is a hash of its content, so the same text has the same id on every machine and in every
run. `call_ids` are the request hashes of the LLM calls that wrote a record; the call log of the
stage (`calls.jsonl.zst`) holds request and answer under the same hash.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Language = Literal["en", "zh"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Instruction(Record):
    """A writing instruction; `origin` is the `file:line` of its source."""

    instruction_id: str
    prompt: str
    type: str
    language: Language
    required_words: int | None
    origin: str


class PlanStep(Record):
    """One planned paragraph: its main point and its length in words."""

    main_point: str
    word_count: int


class Plan(Record):
    """An instruction with the steps that AgentWrite's first half made for it; none in mode `direct`."""

    instruction: Instruction
    steps: list[PlanStep]
    call_ids: list[str]


class Draft(Record):
    """A plan with one written paragraph a step, in order; in mode `direct`, the paragraphs of one answer."""

    plan: Plan
    paragraphs: list[str]
    call_ids: list[str]


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


def roles(messages: list[Message]) -> str:
    """Return who speaks, in order, such as "user-assistant"."""
    return "-".join(message.role for message in messages)


class GeneralRow(Record):
    """A row of the general chat set that is mixed in to keep general ability."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    messages: Annotated[list[Message], Field(min_length=2)]
    language: Language


class ChatRow(Record):
    """A row of somebody else's long-output data set, as LongWriter-6k is published: messages alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    messages: Annotated[list[Message], Field(min_length=2)]


class Example(Record):
    """A training row: `messages` as TRL reads it, and where it came from.

    `required_words` is what the prompt now asks (after relabelling), `words` what the answer has;
    both null-safe counts as `text.count_words` makes them. `origin` is the `file:line` of a row that
    no LLM call of this pipeline wrote.
    """

    sample_id: str
    instruction_id: str | None
    kind: Literal["agentwrite", "imported", "general"]
    language: Language
    type: str
    messages: list[Message]
    required_words: int | None
    words: int
    call_ids: list[str]
    origin: str | None = None


class BenchmarkRow(Record):
    """A row of a benchmark in LongBench-Write's format; `length` is what the prompt asks, in words."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    prompt: Text
    type: Text
    length: Annotated[int, Field(ge=1)]


class Generation(Record):
    """One answer of a model to a prompt that asks for a length.

    `prompt_id` is the instruction's id, or a hash of the benchmark's prompt; `finish_reason` is
    the server's: `stop` under `max_tokens` means that the model ended by itself.
    """

    generation_id: str
    prompt_id: str
    prompt: str
    type: str
    language: Language
    required_words: int
    text: str
    words: int
    finish_reason: str
    max_tokens: int
    call_ids: list[str]


class Judgement(Record):
    """A judge's view of one text: an integer from 1 to 5 for each dimension, and S_q in [0, 100]."""

    dimensions: dict[str, int]
    quality_score: float
    analysis: str
    judge: str
    call_ids: list[str]


class Unscored(Record):
    """A text whose quality has no number, and why; never counted as one."""

    reason: str
    detail: str
    call_ids: list[str] = []


class Score(Record):
    """The scores of one generation; S_l is `length_score`, S_q is in `quality`."""

    generation_id: str
    prompt_id: str
    type: str
    language: Language
    required_words: int
    words: int
    length_score: float
    ended: bool
    loop: bool
    refusal: bool
    repeated_share: float
    quality: Judgement | Unscored


class PreferencePair(Record):
    """Two answers to one prompt, as TRL reads them, with the scores that put one first."""

    pair_id: str
    instruction_id: str
    language: Language
    required_words: int
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    chosen_score: float
    rejected_score: float
    call_ids: list[str]


class Rejection(Record):
    """A row that a stage refused, why, and enough of it to see that the reason is right."""

    row_id: str
    stage: str
    reason: str
    detail: str
    call_ids: list[str] = []
