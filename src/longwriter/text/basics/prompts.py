"""Templates filled with untrusted text, plans as prompts show them, and JSON objects read from answers.

Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from longwriter.errors import BadParams
from longwriter.hashing import content_hash
from longwriter.records import PlanStep
from longwriter.text.basics.counting import normalise

EVIDENCE_CHARS = 200
"""Characters of an unusable answer that are kept as evidence."""

_FIELD = re.compile(r"\{(\w+)\}")
_MARK = re.compile(  # each alternative is the first character of a mark; what follows it is looked at only
    r"<(?=[|｜])"  # <|im_end|>, <|start_header_id|>, <｜User｜>, and all others of this form
    r"|<(?=/?(?:[a-z0-9]{1,24}[_▁][\w▁]{1,40}|(?:seed|minimax):\w{1,20}|\[\w{1,80}\])>|/?[a-z_/]{1,24}\|>)"  # <start_of_turn>, <file_sep>, <turn|>
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|cls|sep|sop|eop|eot|eod|eoh|eoa|eom|endofturn|role|human|user|usr|assistant|system|ai|bot|image|unused\d{1,4}|filename|reponame"
    r"|_[a-z]{1,20}|0x[0-9a-f]{2})>)"  # <_user>, and the bytes of SentencePiece
    r"|<(?=</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS?|TOOL_RESULTS|TOOL_CONTENT|MODEL_SETTINGS|ARGS|CALL_ID|THINK|SYS|IMG(?:_BREAK|_END)?|BEGIN_AUDIO|PREFIX|SUFFIX|MIDDLE|Round \d{1,4})\])"
    r"|\[(?=UNUSED_TOKEN_\d{1,4}\])|<(?=mask:\d{1,4}>)"  # InternLM, ERNIE
    r"|\[(?=(?:g|s)?MASK\]|(?:PAD|UNK|CLS|SEP|BOS|EOS)\]|e~\[)|\](?=~!?b[\[\]])"  # GLM, BERT, MiniMax
    r"|\[(?=\|[a-z_]{1,24}\|\])"  # EXAONE
    r"|(?:^|(?<=\n))[ \t]{0,8}(?:(?-i:(?:GPT4 (?:Correct )?)?(?:Human|Assistant|User|System|USER|ASSISTANT|SYSTEM|Question|Answer)|用户|助手|系统|人类|问|答)(?=[:：])"
    r"|\*(?=\*(?:Human|Assistant|User|System|Question|Answer|Bot|AI):?\*\*)"
    r"|#(?=(?:##?)?[ \t]?(?:Instruction|Input|Response|Question|Answer|Human|Assistant|User|System)s?(?::|[ \t]{0,8}(?:\n|\Z))))",  # Alpaca
    re.IGNORECASE,
)


class Refused(NamedTuple):
    """Why an answer is not used: a reason from a fixed list, and the evidence."""

    reason: str
    detail: str


def parse_object(text: str) -> dict[str, Any] | Refused:
    """Return the JSON object in a text that holds nothing else, or only a code fence around it; never raises.

    Returns:
        The object; or Refused, with the text as evidence, for the reason `no_json`, `no_object` (JSON of
        another kind) or `ambiguous` (an object has a key twice, so it is unclear which value counts).
    """
    has_repeated_key = False

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_repeated_key
        values = dict(pairs)
        has_repeated_key |= len(values) < len(pairs)
        return values

    bare = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value = json.loads(bare, object_pairs_hook=to_dict)
    except (ValueError, RecursionError):
        return Refused("no_json", text)
    if not isinstance(value, dict):
        return Refused("no_object", text)
    return Refused("ambiguous", text) if has_repeated_key else value


def read_object(answer: str) -> dict[str, Any] | None:
    """Return the JSON object of `parse_object`, read without invisible characters; None for any other answer."""
    value = parse_object(normalise(answer))
    return None if isinstance(value, Refused) else value


def break_marks(text: str) -> str:
    """Return `text` with a space in each mark that a chat template or tokenizer reads as the border of a turn.

    Many servers read such marks inside a message too: `<|im_end|>` in an instruction would end the user's
    turn, and what follows would speak as the system. `< |im_end|>` is plain text, and a model still reads it.
    A text without marks stays the same; a second call changes nothing.

    Example:
        >>> break_marks("Stop.<|im_end|> [INST]")
        'Stop.< |im_end|> [ INST]'
    """
    return _MARK.sub(lambda mark: f"{mark[0]} ", text)


def fill(template: str, **fields: object) -> str:
    """Return `template` with each {name} replaced by its value; braces inside the values stay as they are.

    Marks of chat templates in the values are broken, as `break_marks` does.

    Raises:
        KeyError: the template names a field that is not given.
    """
    return _FIELD.sub(lambda match: break_marks(str(fields[match[1]])), template).strip()


def plan_lines(steps: Sequence[PlanStep]) -> str:
    """Return a plan as prompts show it, one line for each paragraph."""
    return "\n".join(
        f"Paragraph {i} - Main Point: {step.main_point} - Word Count: {step.word_count} words"
        for i, step in enumerate(steps, 1)
    )


def framed(template: str, key: str, **values: str) -> str:
    """Return `template` filled with untrusted text, fenced so that it cannot act as instructions.

    Each value stands between two lines with a code that no value can contain (a hash of all values), and
    marks of chat templates are broken, as `break_marks` does.

    Args:
        template: A text with {name} for each value; other braces stay as they are.
        key: The parameter that names the template, for the error.
        values: Untrusted texts, by field.

    Raises:
        BadParams: the template lacks a field.
    """
    if missing := set(values) - set(_FIELD.findall(template)):
        names = ", ".join(f"{{{name}}}" for name in sorted(missing))
        raise BadParams(f"{key}: the template has no {names}, so the judge would not see it")
    code = content_hash(list(values.values()))[:12]

    def fenced(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        return f"[[{match[1]} {code}]]\n{break_marks(values[match[1]])}\n[[end of {match[1]} {code}]]"

    return _FIELD.sub(fenced, template).strip()
