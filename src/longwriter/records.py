"""The record types: every row of a JSON Lines file between two stages is one of these.

A record's id is a hash of its content, so the same text has the same id on every machine and in every
run. `call_ids` are the request hashes of the LLM calls that wrote a record; the call log of the
stage (`calls.jsonl.zst`) holds request and answer under the same hash.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Language = Literal["en", "zh"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
JOINT = "\n\n"
"""What stands between two paragraphs, and so between a prefix and its continuation."""


class Record(BaseModel):
    """Base of all records: frozen, and strict about unknown keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Instruction(Record):
    """A writing instruction.

    `required_words` is the length that the prompt states, or None. `origin` is the `file:line` of its source.
    """

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
    """An instruction and the steps that AgentWrite's first half planned; no steps in mode `direct`."""

    instruction: Instruction
    steps: list[PlanStep]
    call_ids: list[str]


class Draft(Record):
    """A plan and its text: one paragraph for each step, in order.

    In mode `direct` the plan has no steps, and the paragraphs are those of the one answer.
    """

    plan: Plan
    paragraphs: list[str]
    call_ids: list[str]


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


def roles(messages: list[Message]) -> str:
    """Return the roles of the messages in order, such as "user-assistant"."""
    return "-".join(message.role for message in messages)


class GeneralRow(Record):
    """A row of the general chat set that is mixed in to keep general ability."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    messages: Annotated[list[Message], Field(min_length=2)]
    language: Language


class ChatRow(Record):
    """A row of another project's long-output data set, in the format of LongWriter-6k: only messages."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    messages: Annotated[list[Message], Field(min_length=2)]


class Example(Record):
    """A training row: `messages` in TRL's format, and where the row comes from.

    `required_words` is the length that the prompt asks for after relabelling, or None; `words` is the
    length of the answer. `text.basics.counting.count_words` counts both. `origin` is the `file:line` of an
    imported row, which no LLM call of this pipeline wrote.
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
    """A row of a benchmark in LongBench-Write's format; `length` is what the prompt asks for, in words.

    The names of WritingBench (`query`, `domain1`) and of Arena-Write (`question`) are read too. Rows without
    `length`, as in WritingBench, have no length score: judges score and compare their answers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    prompt: Text = Field(validation_alias=AliasChoices("prompt", "query", "question"))
    type: Text = Field(validation_alias=AliasChoices("type", "domain1"))
    length: Annotated[int, Field(ge=1)] | None = None


class Check(Record):
    """Conditions of a right answer to a short prompt: at least one is stated, and all that are stated must hold.

    `one_of`: the answer is one of these; case, quotes, markup and a full stop at its end do not count. `exact`: the
    answer equals this text, apart from spaces around it. `regex`: this pattern (engine RE2) matches somewhere in
    the answer. `json_keys`: the answer is a JSON object with these keys and no others, and each value has the named
    type. `words_between`: its length in words, both bounds included. `lines`: its number of lines that are not
    empty.
    """

    one_of: Annotated[list[Text], Field(min_length=1)] | None = None
    exact: Text | None = None
    regex: Text | None = None
    json_keys: dict[str, Literal["string", "number", "boolean", "list", "object"]] | None = None
    words_between: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)] | None = (
        None
    )
    lines: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _states_a_condition(self) -> Check:
        if not self.model_fields_set:
            raise ValueError(f"a check states one of {', '.join(type(self).model_fields)}")
        return self


class ShortPrompt(Record):
    """A prompt with a short answer that code can check."""

    prompt: Text
    type: Annotated[str, Field(pattern="^[a-z0-9_]{1,40}$")]
    check: Check


class ShortAnswer(Record):
    """A model's answer to a short prompt; `task_id` is a hash of prompt, check and sampling."""

    task_id: str
    prompt: str
    type: str
    language: Language
    text: str
    finish_reason: str
    is_right: bool
    call_ids: list[str]


class Generation(Record):
    """One answer of a model to a prompt, which mostly asks for a length (else `required_words` is None).

    `prompt_id` is the instruction's id, or a hash of the benchmark's prompt. `finish_reason` says why the
    answer ended: `stop` means that the model ended it before `max_tokens`. `words` is the length of `text`.
    `thinking_words` is the length of the thinking before the answer; the thinking is not part of `text`.
    If the model only continued a text, `prefix` is the part that was given to it, and `text` is prefix, JOINT and
    continuation.
    """

    generation_id: str
    prompt_id: str
    prompt: str
    type: str
    language: Language
    required_words: int | None
    text: str
    words: int
    finish_reason: str
    max_tokens: int
    call_ids: list[str]
    thinking_words: int = 0
    prefix: Annotated[str, Field(exclude_if=lambda prefix: not prefix)] = ""


class Judgement(Record):
    """A judge's scores of one text: an integer from 1 to 5 for each dimension, and S_q in [0, 100].

    `judge` identifies the judge: model, endpoint, and a hash that also covers prompt, schema and sampling. The
    judgement of a panel is the mean of its `members`, and that of a long text the mean over its `chunks`.
    """

    dimensions: dict[str, int | float]
    quality_score: float
    analysis: str
    judge: str
    call_ids: list[str]
    members: list[Judgement] = []
    chunks: int = 1


class Unscored(Record):
    """A text without a quality score, and the reason; it is never counted as a score."""

    reason: str
    detail: str
    call_ids: list[str] = []


class Preference(Record):
    """Which of two texts judges prefer; a judge votes for a text only if it names it in both orders, else for a tie.

    `orders`: for each judge, its answer with the first text shown first, and with the second text shown first.
    """

    winner: Literal["first", "second", "tie"]
    orders: list[list[Literal["first", "second", "tie"]]]
    judge: str
    call_ids: list[str]


class PairwiseRow(Record):
    """The answers of two models to one prompt, compared; `first` and `second` are the models."""

    benchmark: str
    prompt_id: str
    first: str
    second: str
    generation_ids: list[str]
    verdict: Preference | Unscored


class Vote(Record):
    """A person's vote on two answers to a prompt, and why, if the person said it."""

    prompt: Text
    first: Text
    second: Text
    vote: Literal["first", "second", "tie"]
    rater: Text
    reason: str = ""


class JudgeFitness(Record):
    """What a judge is worth: whether its scores are evidence, why not, and the measures as lines of Markdown.

    `pairs`: the same for its comparisons of two texts; None if it was not tested with pairs.
    """

    judge: str | None
    is_evidence: bool
    reasons: list[str]
    lines: list[str]
    pairs: JudgeFitness | None = None

    def of(self, judges: list[str]) -> JudgeFitness:
        """Return the fitness for scores by these judges; scores of a judge that was not tested are no evidence."""
        if not judges or judges == [self.judge]:
            return self
        reason = "the scores come from another judge than the one that was measured: run `dvc repro fitness`"
        return self.model_copy(update={"is_evidence": False, "reasons": [reason], "lines": []})


class Score(Record):
    """The scores of one generation; S_l is `length_score` in [0, 100], S_q is in `quality`.

    `length_score` is None if the prompt asks for no length.

    `ended` is True if the model ended the answer by itself. `repeated_share` is the share of 5-grams that
    repeat an earlier one, in [0, 1]; `loop` is True if it is above `score.max_repeated_share`.
    """

    generation_id: str
    prompt_id: str
    type: str
    language: Language
    required_words: int | None
    words: int
    length_score: float | None
    ended: bool
    loop: bool
    refusal: bool
    repeated_share: float
    quality: Judgement | Unscored


class TextMeasures(Record):
    """Measures of one generation beside its scores; all are shares in [0, 1] except the last two.

    `distinct`: distinct-n by n. `gopher`: the shares of text/repetition.py by name; `beyond_gopher` names those
    above Gopher's thresholds. `redundancy`: the largest overlap of two sections. `chunk_repetition`: for each
    tenth of the text, the share of 5-grams that occurred earlier. `chunk_quality`: S_q of each part that was
    judged, None where there is no judgement. `thinking_words`: length of the thinking before the text.
    """

    generation_id: str
    prompt_id: str
    distinct: dict[str, float]
    gopher: dict[str, float]
    beyond_gopher: list[str]
    redundancy: float
    chunk_repetition: list[float]
    chunk_quality: list[float | None] = []
    thinking_words: Annotated[int, Field(exclude_if=lambda words: not words)] = 0


class PairRow(Record):
    """A row of another project's preference pairs: a prompt, and two answers to it."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    prompt: Text
    chosen: Text
    rejected: Text


class PreferencePair(Record):
    """Two answers to one prompt in TRL's format, with their scores in [0, 100].

    If `prompt` ends with a message of the assistant, the pair is a pair at a step: that message is the text so far,
    and the answers are two continuations of it, after JOINT. Their scores are those of the whole texts.

    A general pair has no scores, no language and no length; `origin` is the `file:line` of its source, and
    `licence` that of the source.
    """

    pair_id: str
    instruction_id: str
    language: Language | None
    required_words: int | None
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    chosen_score: float | None
    rejected_score: float | None
    call_ids: list[str]
    origin: str | None = None
    licence: str | None = None


class Rejection(Record):
    """A row that a stage refused: the name of the reason, and a detail from which a person can check it."""

    row_id: str
    stage: str
    reason: str
    detail: str
    call_ids: list[str] = []


class RejectedInstruction(Rejection):
    """A row of the sources that became no instruction, and the beginning of its prompt.

    `prompt` is empty if the row has none, or if somebody withdrew it.
    """

    prompt: str
