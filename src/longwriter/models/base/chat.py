"""The chat template of a tokenizer, and the token that ends an answer.

The stage base_model sets both once, in the tokenizer and in `generation_config.json`. Packs, preference pairs
and engines read them there, so a model learns to write the token at which every engine stops.

`vllm` and `transformers` stop at every id of `eos_token_id` in `generation_config.json`; `openvino` and
`llama.cpp` at the `eos_token_id` of the GGUF, which `gguf_converter.py` takes from the tokenizer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from longwriter.errors import ModelUnusable

log = logging.getLogger(__name__)

_TEMPLATE_ERRORS = (
    TemplateError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip
"""What a template may raise: it is a program of the model's author."""
_ANSWER = "2718281828"  # no template changes or contains these digits
_QUESTION, _REPLY = {"role": "user", "content": "3141592653"}, {"role": "assistant", "content": _ANSWER}
_WITHOUT_REASONING = "{%- set enable_thinking = false -%}{%- set thinking = false -%}"
"""Names that templates give this switch: `enable_thinking` in Qwen3 and Nemotron, `thinking` in DeepSeek-V3.1."""
_CURE = "set base_model.chat_template to a file of src/longwriter/prompts/chat, such as a changed copy of it"


def configure(tokenizer: Any, template: str | None, end_of_turn: str | None) -> None:
    """Set the chat template and the end-of-text token of a tokenizer.

    A template that opens each answer with reasoning, but renders answers without it, is set to leave reasoning out.

    Args:
        tokenizer: Tokenizer of the model; it is changed.
        template: Text of a chat template that replaces the tokenizer's own; None = its own.
        end_of_turn: Token that ends an answer; None = the one that the chat template writes.

    Raises:
        ModelUnusable: there is no chat template, none that a model can be trained with, or no token that ends an
            answer.
    """
    if template is not None:
        tokenizer.chat_template = template
    if not tokenizer.chat_template:
        raise ModelUnusable(
            "base_model.source: its tokenizer has no chat template: set base_model.chat_template to a file of "
            "src/longwriter/prompts/chat, or choose a chat model"
        )
    _make_trainable(tokenizer)
    if end_of_turn is not None and end_of_turn not in tokenizer.get_vocab():
        raise ModelUnusable(
            f"base_model.end_of_turn: found {end_of_turn!r}, which is no token of the model; allowed: null, or "
            f"one of {', '.join(sorted(_tokens(tokenizer))[:20])}"
        )
    token = end_of_turn or written_end(tokenizer) or tokenizer.eos_token
    if token is None:
        raise ModelUnusable(
            "base_model.source: neither its chat template nor its tokenizer has a token that ends an answer: "
            "set base_model.end_of_turn"
        )
    if token != tokenizer.eos_token:
        tokenizer.eos_token = token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = token


def _make_trainable(tokenizer: Any) -> None:
    """Switch the reasoning of a template off if answers cannot be trained with it.

    Raises:
        ModelUnusable: answers cannot be trained without reasoning either, or the template leaves texts out.
    """
    if not (opening := _lost_opening(tokenizer)):
        return
    own = tokenizer.chat_template
    tokenizer.chat_template = f"{_WITHOUT_REASONING}{own}"
    if _lost_opening(tokenizer):
        tokenizer.chat_template = own
        raise ModelUnusable(
            f"the chat template opens an answer with {opening!r}, but renders the finished answer without it, so no "
            f"answer can be trained: {_CURE}"
        )
    log.info("base_model: the chat template opens an answer with %r: its reasoning is switched off", opening)


def _lost_opening(tokenizer: Any) -> str:
    """Return the text with which a template opens an answer, if that is not before the finished answer; else nothing."""
    opened, finished = _render(tokenizer, [_QUESTION], opens=True), _render(tokenizer, [_QUESTION, _REPLY])
    if not (_QUESTION["content"] in opened and _QUESTION["content"] in finished and _ANSWER in finished):
        raise ModelUnusable(
            "the chat template leaves the text of a message out, so it may be one for messages with pictures: "
            f"{_CURE}"
        )
    return "" if finished.startswith(opened) else opened.rpartition(_QUESTION["content"])[2]


def written_end(tokenizer: Any) -> str | None:
    """Return the control token that the chat template writes after an answer, or None.

    GLM-4's template writes nothing after the last answer. For it this is the token that opens the next turn
    (`<|user|>`), at which its engines stop too.

    Raises:
        ModelUnusable: the template cannot render a question and an answer.
    """
    for messages in ([_QUESTION, _REPLY], [_QUESTION, _REPLY, _QUESTION]):
        text = _render(tokenizer, messages)
        if token := _first_token(text.partition(_ANSWER)[2], _tokens(tokenizer)):
            return token
    return None


def _render(tokenizer: Any, messages: list[dict[str, str]], opens: bool = False) -> str:
    """Return a chat as text, with the opening of an answer at its end if it `opens` one."""
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens))
    except _TEMPLATE_ERRORS as error:
        raise ModelUnusable(
            f"the chat template cannot render a question and an answer ({type(error).__name__}: {error}): {_CURE}"
        ) from None


def stops(end: int, others: int | Sequence[int] | None) -> int | list[int]:
    """Return the `eos_token_id` of a generation config: the end of an answer first, then the model's others."""
    other_ids = [others] if isinstance(others, int) else list(others or ())
    ids = [end, *(number for number in other_ids if number != end)]
    return ids if len(ids) > 1 else end


def _tokens(tokenizer: Any) -> set[str]:
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return {token for token in added | set(tokenizer.all_special_tokens) if token.strip()}


def _first_token(text: str, tokens: set[str]) -> str | None:
    """Return the longest token at the start of a text, behind white space, or None."""
    start = text.lstrip()
    return max((token for token in tokens if start.startswith(token)), key=len, default=None)
