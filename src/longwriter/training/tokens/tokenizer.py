"""The tokenizer of a model folder: chats as token ids with labels, by the model's own chat template."""

from __future__ import annotations

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
    special = set(tokenizer.all_special_tokens)
    token = next((token for message in messages for token in special if token in message.content), None)
    if token:
        detail = f"its text holds the control token {token!r}, which would end or open a turn"
        return Rejection(row_id=row_id, stage=stage, reason="control_token", detail=detail)
    row = encode(tokenizer, messages)
    if len(row.input_ids) > max_length:
        detail = f"{len(row.input_ids):,} tokens, at most {max_length:,}"
        return Rejection(row_id=row_id, stage=stage, reason="too_long", detail=detail)
    return row
