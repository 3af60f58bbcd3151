"""Which fields `extra_body` may add to a request. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from longwriter.settings.section import Conflict, conflict_error
from longwriter.settings.texts import is_secret_name

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
_NAMES = "names of fields: ASCII letters, digits, _ . : and -, without spaces"
_SAMPLING = (
    "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "maxtokens", "n_predict",
    "num_predict", "top_p", "stop", "seed",
)  # fmt: skip
_FORMAT = (
    "response_format", "json_schema", "grammar", "structured_outputs",
    "guided_json", "guided_regex", "guided_choice", "guided_grammar",
)  # fmt: skip
_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "modalities", "audio")
RESERVED = {
    **dict.fromkeys(("model", "models"), "set `model` beside extra_body"),
    **dict.fromkeys(("messages", "prompt", "input", "echo"), "the prompt comes from the template of the stage"),
    **dict.fromkeys(("stream", "stream_options"), "answers are not streamed"),
    **dict.fromkeys(("add_generation_prompt", "continue_final_message"), "each answer is a turn of its own"),
    "truncate_prompt_tokens": "no prompt is cut; set context_tokens",
    **dict.fromkeys(("n", "best_of"), "a request has one answer"),
    **dict.fromkeys(_TOOLS, "an answer is text"),
    **dict.fromkeys(_SAMPLING, "set it in `sampling` of the stage"),
    **dict.fromkeys(("repetition_penalty", "repeat_penalty"), "set `repetition_penalty` in `sampling` of the stage"),
    **dict.fromkeys(_FORMAT, "the stage chooses the format; set plan.answer_format"),
    **dict.fromkeys(("extra_body", "extra_query"), "write its fields here, without this key"),
    **dict.fromkeys(("extra_headers", "headers"), "only the API key is sent in a header; set api_key_env"),
}  # fmt: skip
"""Fields that the program sets, or that change the form of an answer; each with what to do instead."""


def sendable(body: dict[str, Any]) -> dict[str, Any]:
    """Return `extra_body` unchanged.

    Raises:
        PydanticCustomError: a field is in `RESERVED`, is a secret, or is not JSON; the error names all such
            fields, and what to do instead.
    """
    conflicts = [
        Conflict((name,), f"fields that the program does not set itself ({RESERVED[name.lower()]})")
        for name in body
        if name.lower() in RESERVED
    ]
    conflicts += [Conflict((name,), _NAMES) for name in body if not _NAME.fullmatch(name)]
    conflicts += _unsendable(body, ())
    if conflicts:
        raise conflict_error(conflicts)
    return body


def _unsendable(value: Any, key: tuple[str | int, ...]) -> Iterator[Conflict]:
    """Yield the values that are secrets, or that JSON cannot hold."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if is_secret_name(name) and isinstance(inner, str):
                advice = "no secrets; put the key into the environment variable that api_key_env names"
                yield Conflict((*key, name), advice, is_secret=True)
            else:
                yield from _unsendable(inner, (*key, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _unsendable(inner, (*key, place))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Conflict(key, "a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield Conflict(key, "a number of at most 64 bits")
    elif not (value is None or isinstance(value, (str, int, float))):
        yield Conflict(key, "what JSON has: text, number, true, false, null, list or mapping")
