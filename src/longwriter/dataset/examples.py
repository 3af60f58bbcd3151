"""From drafts to training examples: filters with reasons, relabelled lengths, a split by hash.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from longwriter.dataset import filters
from longwriter.dataset.filters import Limits
from longwriter.hashing import hash_share, short_id
from longwriter.lengths import stated as lengths
from longwriter.records import ChatRow, Draft, Example, GeneralRow, Language, Message, Rejection, roles
from longwriter.talk import poison
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics import counting as txt
from longwriter.text.basics import wording
from longwriter.text.basics.prompts import fill
from longwriter.text.language import sure_code


def relabel(prompt: str, words: int, wordings: list[str]) -> str:
    """Return the prompt with `words` as the length that it asks for; unchanged if that is not possible.

    If the prompt states a length for the whole text, `words` replaces that length; a range is replaced as a
    whole. If the prompt states no length, one of the `wordings` (templates with {words}) is appended; the
    prompt's hash selects it. It stands in a paragraph of its own if the prompt ends with a quotation. If the
    prompt also states other lengths (of parts, or in conflict), it stays unchanged, because a prompt must not
    ask for two lengths.
    """
    stated = lengths.statement(prompt)
    if stated.others:
        return prompt
    if stated.places:
        candidates = [lengths.restated(prompt, stated, words)]
    else:
        wording = fill(wordings[int(hash_share("wording", prompt) * len(wordings))], words=words)
        candidates = [f"{prompt} {wording}", f"{prompt}\n\n{wording}"]
    return next((text for text in candidates if lengths.stated_length(text) == words), prompt)


class _Source(NamedTuple):
    """A long text with its prompt, written here or imported; `row_id` names it in a rejection.

    `is_in_steps` is True if each section is the answer to its own request.
    """

    row_id: str
    kind: Literal["agentwrite", "imported"]
    before: list[Message]
    sections: list[str]
    language: Language
    type: str
    required_words: int | None
    call_ids: list[str]
    origin: str | None
    is_in_steps: bool


def example_of(draft: Draft, limits: Limits, wordings: list[str] | None) -> Example | Rejection:
    """Return the training row of a draft, or why there is none.

    Args:
        draft: The draft; each paragraph is a section.
        limits: Bounds of the filters.
        wordings: Templates of length requests. The prompt stays unchanged if this is None, or if the length
            in the prompt is not the recorded one ("400 words for each of five days").
    """
    instruction = draft.plan.instruction
    source = _Source(
        row_id=instruction.instruction_id,
        kind="agentwrite",
        before=[Message(role="user", content=instruction.prompt)],
        sections=draft.paragraphs,
        language=instruction.language,
        type=instruction.type,
        required_words=instruction.required_words,
        call_ids=[*draft.plan.call_ids, *draft.call_ids],
        origin=None,
        is_in_steps=bool(draft.plan.steps),
    )
    return _row(source, instruction.instruction_id, limits, wordings)


def imported_example(
    origin: str,
    row: ChatRow | str,
    languages: Sequence[str],
    limits: Limits,
    wordings: dict[Language, list[str]] | None,
) -> Example | Rejection:
    """Return the training row made from a row of a published data set, or why there is none.

    Args:
        origin: `file:line` of its source.
        row: The row, or a text that says what is wrong with its line.
        languages: Languages that are kept; a row's answer decides its language: CLD2 if it is sure, else the script.
        limits: Bounds of the filters, the same as for drafts; paragraphs are the sections.
        wordings: Templates of length requests by language, or None, as for `example_of`.
    """
    if isinstance(row, str):
        return _rejection(origin, "malformed", row)
    if not _in_turn(row.messages):
        return _rejection(origin, "roles", roles(row.messages))
    prompt, answer = row.messages[-2].content, row.messages[-1].content
    language = txt.language_of(answer)
    code = sure_code(answer) or language
    if code not in languages:
        return _rejection(origin, "language", code)
    source = _Source(
        row_id=origin,
        kind="imported",
        before=row.messages[:-1],
        sections=txt.BLANK_LINE.split(txt.normalise(answer)),
        language=language,
        type="Imported",
        required_words=lengths.stated_length(prompt),
        call_ids=[],
        origin=origin,
        is_in_steps=False,
    )
    key = short_id([language, *(message.content for message in row.messages[:-1])])
    return _row(source, key, limits, wordings[language] if wordings is not None else None)


def _row(
    source: _Source, instruction_id: str, limits: Limits, wordings: list[str] | None
) -> Example | Rejection:
    """Return the training row of a text, or its rejection; the prompt asks for the measured length."""
    sections = [txt.normalise(part) for part in source.sections]
    if source.kind == "agentwrite":
        sections = [wording.strip_identifiers(part) for part in sections]
    answer = "\n\n".join(sections)
    words = txt.count_words(answer)
    steps = sections if source.is_in_steps else ()
    *earlier, last = source.before
    prompt, required = last.content, source.required_words
    if wordings is not None:
        if required is None or lengths.stated_length(prompt) in (None, required):
            prompt = relabel(prompt, words, wordings)
        required = words if lengths.stated_length(prompt) == words else None
    earlier_turns = "\n".join(turn.content for turn in earlier)
    text = filters.Text(
        sections, answer, words, source.language, source.required_words, steps, prompt, earlier_turns
    )
    for turn in source.before:
        if turn.role == "assistant" and (refused := poison.check_markup(turn.content)) is not None:
            return _rejection(source.row_id, *refused, call_ids=source.call_ids)
    if (trouble := filters.trouble(text, limits)) is not None:
        return _rejection(source.row_id, *trouble, call_ids=source.call_ids)
    request = Message(role="user", content=prompt)
    messages = [*earlier, request, Message(role="assistant", content=answer)]
    return Example(
        sample_id=_sample_id(messages),
        instruction_id=instruction_id,
        kind=source.kind,
        language=source.language,
        type=source.type,
        messages=messages,
        required_words=required,
        words=words,
        call_ids=source.call_ids,
        origin=source.origin,
    )


def _rejection(row_id: str, reason: str, detail: str, call_ids: Sequence[str] = ()) -> Rejection:
    return Rejection(row_id=row_id, stage="dataset", reason=reason, detail=detail, call_ids=list(call_ids))


def without_duplicates(rows: Iterable[Example]) -> tuple[list[Example], list[Rejection]]:
    """Return (rows without duplicates, rejections of the duplicates); the first of equal rows stays."""
    first_rows: dict[str, Example] = {}
    duplicates = []
    for row in rows:
        if row.sample_id in first_rows:
            duplicates.append(_rejection(row.sample_id, "duplicate", "same messages", row.call_ids))
        else:
            first_rows[row.sample_id] = row
    return list(first_rows.values()), duplicates


def without_withdrawn(
    rows: Iterable[Example], withdrawn: Collection[str]
) -> tuple[list[Example], list[Rejection]]:
    """Return (rows that nobody withdrew, rejections of the others).

    Args:
        rows: Training rows.
        withdrawn: Ids of instructions, and ids of rows for general chats, which have no instruction.
    """
    kept, rejected = [], []
    for row in rows:
        key = row.instruction_id or row.sample_id
        if key in withdrawn:
            reason = "general_withdrawn" if row.kind == "general" else "withdrawn"
            rejected.append(_rejection(row.sample_id, reason, row.origin or key, row.call_ids))
        else:
            kept.append(row)
    return kept, rejected


def general_example(row: GeneralRow) -> Example:
    """Return a general chat as a training row."""
    return Example(
        sample_id=_sample_id(row.messages),
        instruction_id=None,
        kind="general",
        language=row.language,
        type="General",
        messages=row.messages,
        required_words=None,
        words=txt.count_words(row.messages[-1].content),
        call_ids=[],
    )


def mix_general(
    long: list[Example], general: list[Example], share: float
) -> tuple[list[Example], list[Rejection]]:
    """Return (`long` followed by the selected general rows, rejections of refused general rows).

    At most `share` of the result are general rows; `share` counts as an exact decimal. General rows are
    taken in the order of their hashes, so that one more long row adds at most a few general rows and replaces
    none. A row that would fail the gate is refused, and the next row is taken instead.
    """
    part = Fraction(str(share))
    room = len(general) if part >= 1 else int(part * len(long) / (1 - part))
    answers = {row.messages[-1].content for row in long}
    selected: list[Example] = []
    rejections = []
    for row in sorted(general, key=lambda row: row.sample_id):
        if len(selected) == room:
            break
        if (trouble := _general_trouble(row.messages, answers)) is not None:
            rejections.append(_rejection(row.sample_id, *trouble))
        else:
            selected.append(row)
            answers.add(row.messages[-1].content)
    return long + selected, rejections


def _general_trouble(messages: list[Message], answers: set[str]) -> tuple[str, str] | None:
    """Return why a general chat is refused, and the evidence; `answers` are those of the rows before it."""
    answer = messages[-1].content
    if not _in_turn(messages):
        return "general_roles", roles(messages)
    if is_refusal(answer, messages[-2].content):
        return "general_refusal", answer[:80]
    for turn in messages:
        if turn.role == "assistant" and (refused := poison.check_markup(turn.content)) is not None:
            return f"general_{refused.reason}", refused.detail
    if answer in answers:
        return "general_duplicate", f"an earlier row answers {answer[:80]!r}"
    return None


def _in_turn(messages: list[Message]) -> bool:
    """Tell whether user and assistant alternate, after an optional system message, and the assistant is last."""
    speakers = [message.role for message in messages]
    talk = speakers[1:] if speakers[0] == "system" else speakers
    return bool(talk) and talk == ["user", "assistant"] * (len(talk) // 2)


def is_test(example: Example, test_share: float) -> bool:
    """Tell whether a row is in the test split; only its instruction decides, so this never changes."""
    return hash_share("split", example.instruction_id or example.sample_id) < test_share


def _sample_id(messages: list[Message]) -> str:
    return short_id([message.model_dump() for message in messages])
