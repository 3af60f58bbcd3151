"""Reads the instruction out of one row of a source, in each of the common schemas.

Pure.

| schema | columns | instruction |
|---|---|---|
| plain | `prompt` (and `type`, `length`, `language`, where they are stated) | the prompt |
| chat | `prompt` (TRL), `conversation` (WildChat), `messages`, `conversations` (ShareGPT), `dialog`, `dialogue`, `chat` or `turns` | the first turn of a user that has a text |
| Alpaca | `instruction` with `input` or `context` | both, with a blank line between them |
| benchmark | `turns` or `prompt` with a list of texts (MT-Bench) | the first text |
| export | `mapping` with `current_node` (ChatGPT): a tree of messages | the first turn of a user on the branch that was shown last |
| question | `question`, `query`, `input`, `inputs`, `problem` or `text_input` | the question |
| texts | `data` (UltraChat), a list of texts | the first text |
| other chats | `contents` (Gemini), `input`, `inputs`, `items`, `history`, `context`, `conversation_a`, `chosen` | as of a chat |
| envelope | `inputs` (LangSmith), `input`, `data`, `fields` (Argilla), `body` (batches of OpenAI), `request`, `item`, `row`, `chat` | that of the row inside |
| one turn | `role` and `text` (OASST), or `user` and `assistant` | the text, unless it answers another row (`parent_id`) |
| transcript | a chat with role marks in one text, in `prompt`, `text`, `chosen` or `chat` | the first text of the user |

The first of these columns that holds a text counts. If there is none, names are read without case and without
words around them, so `user_prompt`, `input_messages` and `attributes.llm.input_messages` are read too. A row may hold anything, so `parse` never raises an
error: it returns what is wrong with the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Number
from typing import Any, NamedTuple, TypeGuard

from longwriter.sources.transcripts import first_user_text
from longwriter.sources.turns import (
    OTHER_ROLES,
    ROLE_KEYS,
    USER_ROLES,
    Trouble,
    Unusable,
    UserTurn,
    branch,
    decoded,
    first_user_turn,
    is_numbered,
    kind_of,
    own_text,
    text_of,
)
from longwriter.text.basics.counting import normalise

_CHATS = ("conversation", "messages", "conversations", "chat_messages")
_OTHER_CHATS = ("dialog", "dialogue", "chat", "turns", "utterances")  # read only if they hold turns
_TREE, _BRANCH_END = "mapping", "current_node"  # of ChatGPT's export
_QUESTIONS = ("instruction", "question", "query", "input", "inputs", "problem", "text_input")
_TEXTS = "data"  # of UltraChat: the texts of user and assistant in turn
_LATE_CHATS = ("contents", "input", "inputs", "items", "history", "context", "conversation_a", "chosen")
_INSIDE = (
    "inputs",
    "input",
    "data",
    "fields",
    "body",
    "request",
    "item",
    "row",
    "chat",
    "params",
    "modelinput",
    "vars",
)  # hold a whole row
_DEEPEST = 3  # envelopes in each other
TRANSCRIPTS = ("text", "chosen", "chat")
_ADDED = ("input", "context")  # to an instruction
_FLAGS = ("toxic", "redacted")
STATED = ("type", "length", "language")
"""Columns that a plain row may have beside its prompt."""
INSTRUCTIONS = frozenset(("prompt", *_CHATS, *_OTHER_CHATS, *_QUESTIONS, _TEXTS, _TREE))
"""Columns that can hold an instruction."""
COLUMNS = INSTRUCTIONS | {*_ADDED, *_FLAGS, *STATED, _BRANCH_END}
"""Columns that are read; all others are ignored. The case of their names does not matter."""
LATE_COLUMNS = frozenset(
    (*_LATE_CHATS, *_INSIDE, *TRANSCRIPTS, "role", "parent_id", *USER_ROLES, *OTHER_ROLES)
)
"""Columns that are read only if no other can hold an instruction."""
_AROUND = re.compile(
    r"^(?:.*\.)?(?:(?:user|human|input|request|writing|story|essay|initial|opening|backtranslated|english|chinese|translated)_)*+"
    r"|(?:_(?:text|content|en|zh|cn|str|pretokenized))++$"
)
"""Words around the name of a column that do not change what it holds."""
_JSON_OPENING = ('{"', "{'", '[{"', "[{'")
_CHAT_OPENING = (
    '[{"',
    "[{'",
    "[{ ",
    "[ {",
    "[\n",
    '["',
)  # first signs of a list of turns that is stored as a text
_TRUE = {"true", "yes", "y", "t", "1", "1.0"}
_FALSE = {"false", "no", "n", "f", "0", "0.0", "", "none", "null", "nan"}
_MARKUP = re.compile(r"<\|[a-z_]+\|>|\[/?INST\]|(^|\n)(### ?)?(Human|User|Instruction): ?", re.IGNORECASE)
_NAMES = {"english": "en", "chinese": "zh"}
_LONGEST = 10**9  # words; a larger number cannot be a length


class SourceRow(NamedTuple):
    """What a source states about a row; None = it states nothing.

    `length` is the length that the prompt states, in words (Chinese: characters). `language` is a code such
    as `en`. `toxic` and `redacted` (names were removed) are the source's own flags.
    """

    prompt: str
    type: str | None = None
    length: int | None = None
    language: str | None = None
    toxic: bool = False
    redacted: bool = False


def parse(value: Any) -> SourceRow | Unusable:
    """Return a decoded row as a SourceRow, or the reason why it gives no instruction.

    The `language` of a chat is not read: in WildChat it is the language of the whole chat, and the first turn
    may have another one.
    """
    try:
        return _read(value)[0]
    except Trouble as trouble:
        return trouble.unusable


def schema(value: Any) -> str:
    """Return a text that says from which columns and keys `parse` reads a row."""
    try:
        row, (column, *keys) = _read(value)
    except Trouble as trouble:
        return f"no instruction ({trouble.unusable.detail})"
    stated = STATED if row.prompt == value.get("prompt") else ()
    others = ", ".join(name for name in (*stated, *_FLAGS) if name in value)
    chat = f" (a chat: {', '.join(dict.fromkeys(keys))})" if keys else ""
    return f"{column}{chat}{f', with {others}' if others else ''}"


def _read(value: Any, depth: int = 0) -> tuple[SourceRow, tuple[str, ...]]:
    """Return a row, and the column and keys that it was read from; `depth` counts the envelopes around it."""
    if not isinstance(value, dict):
        hint = ": does the file hold one JSON array? Then name it .json" if isinstance(value, list) else ""
        raise Trouble("malformed", f"an object with named columns is needed, found {kind_of(value)}{hint}")
    prompt = value.get("prompt")
    if isinstance(prompt, str) and prompt and not prompt.isspace() and not prompt.startswith(_CHAT_OPENING):
        said = own_text(prompt)
        return _plain(value, first_user_text(said, at_start=True) or said), ("prompt",)
    nothing: Trouble | None = None
    for column in ("prompt", *_CHATS, *_OTHER_CHATS):
        content = value.get(column)
        if content is None or content != content or (column in _OTHER_CHATS and not _is_chat(content)):
            continue
        try:
            if column == "prompt" and _is_texts(content) and all(isinstance(c, list) for c in value.values()):
                raise Trouble(
                    "malformed", "prompt: a text is needed, found a list of texts"
                )  # many rows in one
            if (
                column == "prompt"
                and isinstance(content, str | bytes | int | float)
                and not _is_chat(content)
            ):
                return _plain(value, _text(content, column)), (column,)
            user = first_user_turn(content, column)
            return _of_chat(value, user), (column, *user.keys)
        except Trouble as trouble:
            if trouble.unusable.reason == "malformed":
                raise
            nothing = trouble if nothing is None or trouble.unusable.reason == "not_text" else nothing
    if isinstance(tree := value.get(_TREE), dict):
        user = first_user_turn(branch(tree, value.get(_BRANCH_END)), _TREE)
        return _of_chat(value, user), (_TREE, *user.keys)
    for column in _QUESTIONS:
        content = value.get(column)
        if isinstance(content, str | bytes) and content.strip() and not _has_row(column, content):
            return _question(value, column)
    texts = value.get(_TEXTS)
    if _is_texts(texts):
        return SourceRow(_text(texts[0], _TEXTS), toxic=_flag(value, "toxic") is True), (_TEXTS,)
    lowered = {str(name).lower(): content for name, content in value.items()}
    if nothing is None and lowered.keys() != value.keys():
        return _read(lowered, depth)
    if nothing is None and (late := _late(value, depth)):
        return late
    usual = {usual_name(name): content for name, content in value.items() if not isinstance(content, list)}
    usual |= {name: content for key, content in value.items() if (name := usual_name(key)) not in usual}
    if nothing is None and usual.keys() != value.keys():
        return _read(usual, depth)
    raise nothing or _nothing(value)


def _late(value: Mapping[str, Any], depth: int) -> tuple[SourceRow, tuple[str, ...]] | None:
    """Return a row, and what it was read from, if an instruction is in columns that often hold something else."""
    for column in _LATE_CHATS:
        content = _inner(value.get(column))
        if isinstance(content, list) and _has_roles(content):
            user = first_user_turn(content, column)
            return _of_chat(value, user), (column, *user.keys)
    for column in _INSIDE if depth < _DEEPEST else ():
        if isinstance(inner := _inner(value.get(column)), dict) and inner:
            flags = {name: value[name] for name in _FLAGS if name in value}
            try:
                row, (first, *keys) = _read(flags | inner, depth + 1)
            except Trouble as trouble:
                reason, detail = trouble.unusable
                raise Trouble(reason, f"{column}: {detail}") from None
            return row, (f"{column}.{first}", *keys)
    is_answered = not (USER_ROLES.isdisjoint(value) or OTHER_ROLES.isdisjoint(value))
    if is_answered or (isinstance(value.get("role"), str) and isinstance(value.get("text"), str)):
        if value.get("parent_id"):
            raise Trouble("no_instruction", "the row answers another one (parent_id)")
        user = first_user_turn([value], "row")
        return _of_chat(value, user), ("row", *user.keys)
    for column in TRANSCRIPTS:
        content = value.get(column)
        if isinstance(content, str) and (prompt := first_user_text(content, at_start=column != "text")):
            return SourceRow(_text(prompt, column), toxic=_flag(value, "toxic") is True), (column,)
    return None


def usual_name(name: Any) -> str:
    """Return the name of a column in lower case, without the words around it: `User_Prompt` becomes `prompt`."""
    lower = str(name).strip().lower()
    return lower if lower in COLUMNS | LATE_COLUMNS else _AROUND.sub("", lower)


def readable_columns(names: Iterable[str]) -> list[str]:
    """Return the names of the columns of a table that are read."""
    usual = {name: usual_name(name) for name in names}
    has_instruction = any(name in INSTRUCTIONS - LATE_COLUMNS for name in usual.values())
    known = COLUMNS if has_instruction else COLUMNS | LATE_COLUMNS
    return [name for name in usual if usual[name] in known]


def _inner(content: Any) -> Any:
    """Return the content of a column, decoded if it is an object or a list of objects stored as a text."""
    return decoded(content) if isinstance(content, str) and content.startswith(_JSON_OPENING) else content


def _has_row(column: str, content: Any) -> bool:
    """Tell whether a text is a stored row or chat (Langfuse's `input`), not a question."""
    inner = _inner(content) if column in _INSIDE else content
    return isinstance(inner, dict) or (isinstance(inner, list) and _has_roles(inner))


def _is_texts(content: Any) -> TypeGuard[list[str]]:
    return isinstance(content, list) and bool(content) and all(isinstance(text, str) for text in content)


def _has_roles(content: list[Any]) -> bool:
    """Tell whether a list holds turns: objects with a role, lists of turns, or Gemini's parts."""
    first = content[0] if content else None
    if isinstance(first, list):
        return bool(first) and isinstance(first[0], str | dict)
    return isinstance(first, dict) and not first.keys().isdisjoint((*ROLE_KEYS, "parts"))


def _is_chat(content: Any) -> bool:
    """Tell whether the content of a column, which may also be a text, is a list of turns."""
    if isinstance(content, str) and content.startswith(_CHAT_OPENING):
        content = decoded(content)
        first = content[0] if isinstance(content, list) and content else None
        if isinstance(first, str) and isinstance(content, list):
            return all(isinstance(text, str) for text in content)
        return isinstance(first, dict) and not first.keys().isdisjoint(ROLE_KEYS)
    is_turns = isinstance(content, list) and bool(content) and isinstance(content[0], dict)
    return is_turns or _is_texts(content) or is_numbered(content)


def _nothing(value: Mapping[str, Any]) -> Trouble:
    """Return the error of a row in which no column holds an instruction."""
    for column in ("prompt", *_CHATS, *_QUESTIONS):
        content = value.get(column)
        if content is not None and not isinstance(content, str | bytes):
            return Trouble("malformed", f"{column}: text is needed, found {kind_of(content)}")
    if empty := [column for column in ("prompt", *_CHATS, *_QUESTIONS) if column in value]:
        return Trouble("no_instruction", f"no text in {', '.join(empty)}")
    text = value.get("text")
    if isinstance(text, str) and _MARKUP.search(text[:2000]):
        return Trouble(
            "malformed",
            "text: this is a whole chat with role marks in one text, and no turn of a user is clear: put its turns "
            "into a column messages",
        )
    needed = ", ".join(("prompt", *_CHATS, *_QUESTIONS))
    names = ", ".join(repr(str(name)[:30]) for name in list(value)[:10]) or "none"
    return Trouble("malformed", f"no prompt: one of the columns {needed} is needed, found {names}")


def _plain(value: Mapping[str, Any], prompt: Any) -> SourceRow:
    """Return a row whose prompt is a text, with the type, length and language that it states."""
    kind, length, language = (_stated(value, name) for name in STATED)
    if kind is not None and not (isinstance(kind, str) and kind.strip()):
        raise Trouble("malformed", "type: text or null is needed")
    if length is not None and not (type(length) is int and 1 <= length <= _LONGEST):
        raise Trouble("malformed", "length: a whole number of words from 1, or null, is needed")
    if language is not None and not (isinstance(language, str) and language.strip()):
        raise Trouble("malformed", "language: a code such as en, or null, is needed")
    code = _text(language, "language").strip().lower() if language else None
    return SourceRow(
        prompt=_text(prompt, "prompt"),
        type=_text(kind, "type").strip() if kind else None,
        length=length,
        language=_NAMES.get(code, code) if code else None,
        toxic=_flag(value, "toxic") is True,
        redacted=_flag(value, "redacted") is True,
    )


def _stated(value: Mapping[str, Any], name: str) -> Any:
    """Return what a plain row states; tables give whole numbers as 300.0 and a missing value as NaN."""
    stated = value.get(name)
    if isinstance(stated, float | Decimal) and (stated != stated or stated % 1 == 0):
        return None if stated != stated else int(stated)
    return stated


def _of_chat(value: Mapping[str, Any], user: UserTurn) -> SourceRow:
    """Return the row of a chat; if its turns have a flag `redacted`, only the flag of this turn counts."""
    toxic, redacted = _flag(value, "toxic"), _flag(value, "redacted")
    in_turn = _flag(user.turn, "redacted")
    return SourceRow(
        prompt=user.text,
        toxic=_flag(user.turn, "toxic") is True or toxic is True,
        redacted=(redacted if in_turn is None else in_turn) is True,
    )


def _question(value: Mapping[str, Any], column: str) -> tuple[SourceRow, tuple[str, ...]]:
    """Return a row with a question; the input or context of an instruction is added after a blank line."""
    columns, text = [column], _text(value[column], column)
    for name in _ADDED if column == "instruction" else ():
        if isinstance(addition := value.get(name), str | bytes) and addition.strip():
            columns, text = [*columns, name], f"{text}\n\n{_text(addition, name)}"
            break
    toxic, redacted = _flag(value, "toxic") is True, _flag(value, "redacted") is True
    return SourceRow(text, toxic=toxic, redacted=redacted), (" and ".join(columns),)


def _text(content: Any, name: str) -> str:
    """Return a text that may be given as bytes of UTF-8.

    Raises:
        Trouble: the text is empty, or `text_of` cannot read it.
    """
    text = text_of(content, name, [])
    if not text or text.isspace() or not (text[0].isprintable() or normalise(text)):
        raise Trouble("no_instruction", f"no text in {name}")
    return text


def _flag(value: Mapping[str, Any], name: str) -> bool | None:
    """Return a flag that may also be given as a number or a text; None if it is not given.

    Raises:
        Trouble: the flag is not one of the usual words for true and false.
    """
    flag = value.get(name)
    if flag is None or flag is False or flag is True:
        return flag
    if isinstance(flag, Number) and flag != flag:  # NaN: a missing value in a table of numbers
        return None
    if isinstance(flag, str | Number):
        word = str(flag).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise Trouble("malformed", f"{name}: true or false is needed, found {str(flag)[:40]!r}")
