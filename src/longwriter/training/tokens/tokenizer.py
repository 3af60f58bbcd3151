"""The tokenizer of a model folder: chats as token ids with labels, by the model's own chat template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longwriter.errors import ModelUnusable
from longwriter.records import Message, Rejection
from longwriter.training.tokens.packing import Encoded, labelled


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


def encode(tokenizer: Any, messages: Sequence[Message]) -> Encoded:
    """Return the token ids of a chat; see `packing.labelled`.

    Raises:
        ModelUnusable: training cannot use the chat template.
    """

    def render(turns: Sequence[dict[str, str]], with_opening: bool) -> str:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=with_opening)
        return str(text)

    def tokenise(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    turns = [message.model_dump() for message in messages]
    try:
        return labelled(turns, render, tokenise, (tokenizer.eos_token, tokenizer.eos_token_id))
    except ValueError as error:
        raise ModelUnusable(f"{tokenizer.name_or_path}: {error}") from None


def encode_or_reject(
    tokenizer: Any, messages: Sequence[Message], max_length: int, row_id: str, stage: str
) -> Encoded | Rejection:
    """Return the token ids of a chat, or why the row is rejected.

    Args:
        tokenizer: Tokenizer from `load`.
        messages: The chat.
        max_length: Largest number of tokens; a longer row is rejected, not cut.
        row_id: Id for the rejection.
        stage: Stage for the rejection.
    """
    row = None
    token = _mark_in(tokenizer, messages)
    if token is None:
        row = encode(tokenizer, messages)
        token = _token_of_text(tokenizer, messages, row)
    if row is None or token is not None:
        detail = f"its text holds the control token {token!r}, which would end or open a turn"
        return Rejection(row_id=row_id, stage=stage, reason="control_token", detail=detail)
    if len(row.input_ids) > max_length:
        detail = f"{len(row.input_ids):,} tokens, at most {max_length:,}"
        return Rejection(row_id=row_id, stage=stage, reason="too_long", detail=detail)
    return row


def control_tokens(tokenizer: Any) -> dict[str, int]:
    """Return text and id of each token that no text may produce.

    These are all special tokens of the tokenizer, also those without a role such as `<file_sep>` (the
    embedded model has 17, and three have a role), and further added tokens that look like a mark
    (`<tool_call>`, `[TOOL]`). An added token that is a word, or a run of spaces, is ordinary text.
    """
    added = {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or set(token.content) & set("<>[]|｜")
    }
    named = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
    return {token: number for token, number in {**added, **dict(named)}.items() if token.strip()}


def _mark_in(tokenizer: Any, messages: Sequence[Message]) -> str | None:
    """Return the first control token that stands in a text letter by letter, or None."""
    tokens = sorted(control_tokens(tokenizer))
    return next((token for message in messages for token in tokens if token in message.content), None)


def _token_of_text(tokenizer: Any, messages: Sequence[Message], row: Encoded) -> str | None:
    """Return a control token that the row has beyond those of the chat template, or None.

    Some tokenizers change a text before they look for tokens (＜s＞ becomes <s>), so the letters alone do not
    tell. The template's own tokens are those of the same chat with other texts.
    """
    plain = [message.model_copy(update={"content": "a"}) for message in messages]
    names = {number: token for token, number in control_tokens(tokenizer).items()}
    if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id):
        names.pop(tokenizer.unk_token_id, None)  # an unknown character is no mark
    counts = Counter(number for number in row.input_ids if number in names)
    counts.subtract(number for number in encode(tokenizer, plain).input_ids if number in names)
    return next((names[number] for number, count in counts.items() if count > 0), None)
