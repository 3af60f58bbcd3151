"""The tokenizer of a model folder: chats and answers as token ids, by the model's own chat template.

The stages pack (SFT) and dpo take their ids from here. An engine makes the same ids from a prompt, so a model is
trained on what it sees when it answers. The stage base_model has set the tokenizer's end-of-text token to the token
that ends an answer (`models/base/chat.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError

from longwriter.errors import ModelUnusable
from longwriter.records import JOINT, Message, Rejection
from longwriter.tokens.packing import Encoded, Turn, continuations, encode_chat, turn

_TAIL_CHARS = 200  # of a text: no token is longer
_Ids = TypeVar("_Ids", list[Encoded], Turn)


def load(folder: Path) -> Any:
    """Return the tokenizer of a model folder.

    Raises:
        ModelUnusable: there is none, or it has no chat template or no end-of-text token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{folder} holds no tokenizer: {error}") from None
    if not tokenizer.chat_template or tokenizer.eos_token_id is None:
        raise ModelUnusable(f"the tokenizer of {folder} lacks a chat template or an end-of-text token")
    return tokenizer


def control_tokens(tokenizer: Any) -> dict[str, int]:
    """Return text and id of each token that no text may produce.

    These are all special tokens of the tokenizer, also those without a role such as `<file_sep>`. (The embedded
    model has 17, and three of them have a role.) Other added tokens that look like a mark belong to them too
    (`<tool_call>`, `[TOOL]`). An added token that is a word, or a run of spaces, is ordinary text.
    """
    marks = {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or set(token.content) & set("<>[]|｜")
    }
    special = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return {token: number for token, number in {**marks, **dict(special)}.items() if token.strip()}


class Coder:
    """Turns chats into token ids with one tokenizer, and rejects rows that it cannot turn into ids."""

    def __init__(self, tokenizer: Any) -> None:
        """Take a tokenizer from `load`."""
        self._tokenizer = tokenizer
        self._end = (str(tokenizer.eos_token), int(tokenizer.eos_token_id))
        marks = control_tokens(tokenizer)
        self._marks = sorted(marks)
        self._names = {number: token for token, number in marks.items()}
        if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id):
            self._names.pop(tokenizer.unk_token_id, None)  # an unknown character is no mark
        self._plain_counts = cache(self._count_of_plain_chat)

    def chat(
        self, messages: Sequence[Message], max_length: int, row_id: str, stage: str
    ) -> list[Encoded] | Rejection:
        """Return the sequences of a chat for SFT (see `packing.encode_chat`), or why the row is rejected.

        The reasons are `control_token` (a text holds one, or becomes one in the tokenizer), `template` (the
        chat template refuses the chat), `no_answer` and `too_long`.

        Args:
            messages: The chat.
            max_length: Largest number of tokens of one sequence; a longer row is rejected, not cut.
            row_id: Id for the rejection.
            stage: Stage for the rejection.
        """
        return self._coded(encode_chat, messages, max_length, row_id, stage)

    def answer(
        self, messages: Sequence[Message], max_length: int, row_id: str, stage: str
    ) -> Turn | Rejection:
        """Return the ids of the last message and of its prompt for DPO, or why it is rejected; see `chat`."""
        return self._coded(turn, messages, max_length, row_id, stage)

    def pair(
        self, prompt: Sequence[Message], answers: Sequence[Message], max_length: int, row_id: str, stage: str
    ) -> list[Turn] | Rejection:
        """Return the ids of several answers to one prompt for DPO, or why the pair is rejected; see `chat`.

        Args:
            prompt: The messages before the answers; if the last is the assistant's, the answers continue it, and it
                is part of the prompt's ids.
            answers: The answers.
            max_length: Largest number of tokens of the prompt and one answer.
            row_id: See `chat`.
            stage: See `chat`.
        """
        prefix = prompt[-1] if prompt[-1].role == "assistant" else None
        turns: list[Turn] = []
        for answer in answers:
            chat = [*prompt, answer]
            if prefix is not None:
                text = prefix.content + JOINT + answer.content
                chat = [*prompt[:-1], Message(role="assistant", content=text)]
            coded = self.answer(chat, max_length, row_id, stage)
            if isinstance(coded, Rejection):
                return coded
            turns.append(coded)
        if prefix is None:
            return turns
        beginning = self.answer(prompt, max_length, row_id, stage)
        return beginning if isinstance(beginning, Rejection) else continuations(beginning, turns)

    def line_ends(self, text: str) -> str:
        """Return the line ends with which a text must end, so that its ids stay the same if a paragraph follows.

        Many tokenizers have a token for two line ends that they use only at the end of a text (GPT-2), or one for a
        full stop and two line ends (Llama 3). A model continues a text badly if it sees other ids than in its
        training.

        Returns:
            Two line ends, one, or none.
        """
        tail = text[-_TAIL_CHARS:]
        continued = self._ids(f"{tail}{JOINT}A")
        for line_ends in (JOINT, "\n"):
            ids = self._ids(tail + line_ends)
            if continued[: len(ids)] == ids:
                return line_ends
        return ""

    def _coded(
        self,
        encode: Callable[..., _Ids],
        messages: Sequence[Message],
        max_length: int,
        row_id: str,
        stage: str,
    ) -> _Ids | Rejection:
        def rejection(reason: str, detail: str) -> Rejection:
            return Rejection(row_id=row_id, stage=stage, reason=reason, detail=detail)

        mark = next((mark for message in messages for mark in self._marks if mark in message.content), None)
        if mark is None:
            try:
                coded = self._encode(encode, [message.model_dump() for message in messages])
            except (ValueError, TemplateError) as error:
                return rejection("template", f"{type(error).__name__}: {error}")
            if self._count(coded) != self._plain_counts(encode, tuple(message.role for message in messages)):
                mark = self._mark_in_ids(messages)
        if mark is not None:
            detail = f"its text holds the control token {mark!r}, which would end or open a turn"
            return rejection("control_token", detail)
        longest = max(map(len, _sequences(coded)), default=0)
        if not longest:
            return rejection("no_answer", "no message is the assistant's")
        if longest > max_length:
            return rejection("too_long", f"{longest:,} tokens, at most {max_length:,}")
        return coded

    def _encode(self, encode: Callable[..., _Ids], turns: Sequence[dict[str, str]]) -> _Ids:
        def render(messages: Sequence[dict[str, str]], with_opening: bool) -> str:
            template = self._tokenizer.apply_chat_template
            return str(template(list(messages), tokenize=False, add_generation_prompt=with_opening))

        return encode(turns, render, self._ids, self._end)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _count(self, coded: list[Encoded] | Turn) -> Counter[int]:
        """Return how often each control token is among the ids."""
        return Counter(number for ids in _sequences(coded) for number in ids if number in self._names)

    def _count_of_plain_chat(self, encode: Callable[..., Any], roles: tuple[str, ...]) -> Counter[int] | None:
        """Return how often the chat template itself writes each control token; None if it refuses the roles."""
        try:
            return self._count(self._encode(encode, [{"role": role, "content": "a"} for role in roles]))
        except (ValueError, TemplateError):
            return None

    def _mark_in_ids(self, messages: Sequence[Message]) -> str | None:
        """Return the first control token that the tokenizer makes of a text, or None.

        Some tokenizers change a text before they look for tokens (＜s＞ becomes <s>), so a search in the text
        would miss some.
        """
        numbers = (number for message in messages for number in self._ids(message.content))
        return next((self._names[number] for number in numbers if number in self._names), None)


def _sequences(coded: list[Encoded] | Turn) -> list[list[int]]:
    """Return the token ids of each sequence that `encode_chat` or `turn` returned."""
    if isinstance(coded, Turn):
        return [[*coded.prompt_ids, *coded.completion_ids]]
    return [row.input_ids for row in coded]
