"""Reads the instruction out of one row of a source, in each of the common schemas.

Pure.

| schema | columns | instruction |
|---|---|---|
| text | none: the row is a text | the text |
| plain | `prompt` (and `type`, `length`, `language`, where they are stated) | the prompt |
| chat | `prompt` (TRL), `conversation` (WildChat), `messages`, `conversations` (ShareGPT), `dialog`, `dialogue`, `chat` or `turns` | the first turn of a user that has a text |
| Alpaca | `instruction` with `input` or `context` | both, with a blank line between them |
| benchmark | `turns` or `prompt` with a list of texts (MT-Bench) | the first text |
| export | `mapping` with `current_node` (ChatGPT): a tree of messages | the first turn of a user on the branch that was shown last |
| question | `question`, `query`, `input`, `inputs`, `problem` or `text_input`; a sentence in `task`, `request`, `instructions`, `inputText` (Titan), `message_1` (CAMEL), `q`, 指令 | the question |
| export | `responses` (Grok); `message` with `chat_history` (Cohere) | the first turn of a user |
| activity | `title` of Google's Takeout (`MyActivity.json`) | what follows "Prompted" |
| later round | `history` of Alpaca and ChatGLM, a list of [question, answer], beside any of these | the first question |
| texts | `data` (UltraChat), a list of texts | the first text |
| other chats | `contents` (Gemini), `chunks` (AI Studio), `segments` (Axolotl), `bubbles` (Cursor), `requests` (Copilot), `input`, `inputs`, `items`, `history`, `context`, `conversation_a`, `chosen` | as of a chat |
| envelope | `inputs` (LangSmith), `input`, `data`, `fields` (Argilla), `body` (batches of OpenAI), `request`, `item`, `row`, `chat` | that of the row inside |
| one turn | `role` and `text` (OASST), or `user` and `assistant` | the text, unless it answers another row (`parent_id`) |
| transcript | a chat with role marks in one text, in `prompt`, `text`, `chosen` or `chat` | the first text of the user |

The first of these columns that holds a text counts. If there is none, names are read without case and without
words around them, so `user_prompt`, `input_messages` and `attributes.llm.input_messages` are read too. A row may hold anything, so `parse` never raises an
error: it returns what is wrong with the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from numbers import Number
from typing import Any, NamedTuple

from longwriter.schemas.columns import (
    ADDED,
    BRANCH_END,
    CHATS,
    EARLIER,
    FLAG_NAMES,
    FLAGS,
    INSIDE,
    LATE_CHATS,
    MATERIAL,
    OTHER_CHATS,
    OTHER_NAMES,
    QUESTIONS,
    STATED,
    TEXTS,
    TRANSCRIPTS,
    TREE,
    usual_name,
)
from longwriter.schemas.contents import Trouble, Unusable, is_blank, kind_of, text_of
from longwriter.schemas.shapes import (
    CHAT_OPENING,
    has_key,
    has_roles,
    has_row,
    is_chat,
    is_replies,
    is_rounds,
    is_sentence,
    is_texts,
    stored_value,
)
from longwriter.schemas.transcripts import TEMPLATE_OPENING, first_user_text
from longwriter.schemas.turns import (
    BY_USER,
    OTHER_ROLES,
    ROLE_KEYS,
    TEXT_KEYS,
    USER_ROLES,
    UserTurn,
    branch,
    first_user_turn,
    own_text,
)

_DEEPEST = 3  # envelopes in each other
_SIGNS = {"segments": "label", "bubbles": "type", "requests": "message"}  # a key of a turn without a role
_PROMPTED = re.compile(r"Prompted\s+")  # how Google's Takeout begins the title of a prompt
_WORD = re.compile(r"\w")
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
    columns = value if isinstance(value, dict) else {}
    stated = STATED if row.prompt == columns.get("prompt") else ()
    others = ", ".join(name for name in (*stated, *FLAGS) if name in columns)
    chat = f" (a chat: {', '.join(dict.fromkeys(keys))})" if keys else ""
    return f"{column}{chat}{f', with {others}' if others else ''}"


def _read(value: Any, depth: int = 0) -> tuple[SourceRow, tuple[str, ...]]:
    """Return a row, and the column and keys that it was read from; `depth` counts the envelopes around it."""
    if isinstance(value, list) and has_roles(value):
        value = {"messages": value}
    if isinstance(value, str):
        if is_blank(value):
            raise Trouble("no_instruction", "the text is empty")
        return SourceRow(_text(own_text(value), "text")), ("a text",)
    if not isinstance(value, dict):
        hint = ": does the file hold one JSON array? Then name it .json" if isinstance(value, list) else ""
        raise Trouble("malformed", f"an object with named columns is needed, found {kind_of(value)}{hint}")
    if _is_table(value):
        raise Trouble(
            "malformed",
            "the object is a whole table: write one row a line, in pandas to_json(path, orient='records', lines=True)",
        )
    if is_rounds(earlier := stored_value(value.get(EARLIER))):  # the row is a later round of a chat
        user = first_user_turn(earlier, EARLIER)
        return _of_chat(value, user), (EARLIER, *user.keys)
    prompt = value.get("prompt")
    if isinstance(prompt, str) and not _WORD.search(prompt) and any(value.get(name) for name in CHATS):
        prompt, value = None, {**value, "prompt": None}  # such as "[]" beside messages
    if isinstance(prompt, str) and not is_blank(prompt) and not prompt.startswith(CHAT_OPENING):
        said = own_text(prompt)
        return _plain(value, first_user_text(said, at_start=True) or said), ("prompt",)
    nothing: Trouble | None = None
    if is_replies(replies := value.get("responses")):
        user = first_user_turn(replies, "responses")
        return _of_chat(value, user), ("responses", *user.keys)
    for column in ("prompt", *CHATS, *OTHER_CHATS):
        content = value.get(column)
        if content is None or content != content or (column in OTHER_CHATS and not is_chat(content)):
            continue
        try:
            if column == "prompt" and isinstance(content, str | bytes | int | float) and not is_chat(content):
                return _plain(value, _text(content, column)), (column,)
            user = first_user_turn(content, column)
            return _of_chat(value, user), (column, *user.keys)
        except Trouble as trouble:
            if trouble.unusable.reason == "malformed":
                raise
            nothing = trouble if nothing is None or trouble.unusable.reason == "not_text" else nothing
    if isinstance(tree := value.get(TREE), dict):
        user = first_user_turn(branch(tree, value.get(BRANCH_END)), TREE)
        return _of_chat(value, user), (TREE, *user.keys)
    for column in QUESTIONS:
        content = value.get(column)
        if isinstance(content, str | bytes) and content.strip() and not has_row(column, content):
            return _question(value, column)
    texts = value.get(TEXTS)
    if is_texts(texts):
        return SourceRow(_text(texts[0], TEXTS), toxic=_flag(value, "toxic") is True), (TEXTS,)
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


def _is_table(value: Mapping[str, Any]) -> bool:
    """Tell whether an object is a whole table, as pandas writes it by columns or in parts, or as lists of texts."""
    if {"columns", "data"} <= value.keys() and is_texts(value["columns"]):
        return True
    if is_texts(texts := value.get("prompt")):
        return len(texts) > 1 and all(isinstance(column, list) for column in value.values())
    return bool(value) and all(
        isinstance(column, dict)
        and column
        and all(str(name).isdecimal() and not isinstance(cell, dict) for name, cell in column.items())
        for column in value.values()
    )


def _late(value: Mapping[str, Any], depth: int) -> tuple[SourceRow, tuple[str, ...]] | None:
    """Return a row, and what it was read from, if an instruction is in columns that often hold something else."""
    for column in LATE_CHATS:
        content = stored_value(value.get(column))
        content = [content] if isinstance(content, dict) and content.get("parts") else content
        if isinstance(content, list) and (has_roles(content) or has_key(content, _SIGNS.get(column))):
            user = first_user_turn(content, column)
            return _of_chat(value, user), (column, *user.keys)
    if isinstance(cases := value.get("instances"), list) and len(cases) == 1 and depth < _DEEPEST:
        row, (first, *keys) = _read(cases[0], depth + 1)  # a request to Vertex AI
        return row, (f"instances.{first}", *keys)
    if {"header", "products"} <= value.keys() and isinstance(title := value.get("title"), str):
        start = _PROMPTED.match(title)
        if start is None:
            detail = "the activity is no prompt: its title does not begin with 'Prompted'"
            raise Trouble("no_instruction", detail)
        return SourceRow(_text(title[start.end() :], "title")), ("title",)
    for column in INSIDE if depth < _DEEPEST else ():
        if isinstance(inner := stored_value(value.get(column)), dict) and inner:
            flags = {name: value[name] for name in FLAGS if name in value}
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
    if isinstance(value.get("message"), str) and isinstance(earlier := value.get("chat_history", []), list):
        if earlier:
            user = first_user_turn(earlier, "chat_history")
            return _of_chat(value, user), ("chat_history", *user.keys)
        if "chat_history" in value or "preamble" in value:
            return _question(value, "message")
    column = next((name for name in OTHER_NAMES if is_sentence(value.get(name))), "")
    has_material = any(isinstance(value.get(name), str) for name in MATERIAL)
    return _question(value, column) if column and not has_material else None


def _nothing(value: Mapping[str, Any]) -> Trouble:
    """Return the error of a row in which no column holds an instruction."""
    for column in ("prompt", *CHATS, *QUESTIONS):
        content = value.get(column)
        if content is not None and not isinstance(content, str | bytes):
            return Trouble("malformed", f"{column}: text is needed, found {kind_of(content)}")
    if empty := [column for column in ("prompt", *CHATS, *QUESTIONS) if column in value]:
        return Trouble("no_instruction", f"no text in {', '.join(empty)}")
    if detail := _no_instruction_in(value):
        return Trouble("malformed", detail)
    text = value.get("text")
    if isinstance(text, str) and _MARKUP.search(text[:2000]):
        return Trouble(
            "malformed",
            "text: this is a whole chat with role marks in one text, and no turn of a user is clear: put its turns "
            "into a column messages",
        )
    needed = ", ".join(("prompt", *CHATS, *QUESTIONS))
    names = ", ".join(repr(str(name)[:30]) for name in list(value)[:10]) or "none"
    return Trouble(
        "malformed",
        f"no prompt: one of the columns {needed} is needed, found {names}; if one of them holds the instructions, "
        "rename it to prompt",
    )


def _no_instruction_in(value: Mapping[str, Any]) -> str | None:
    """Return what is known of a row that holds no instruction, and what to do; None if nothing is known."""
    names = {str(name).lower() for name in value}
    is_message = bool(names & {*ROLE_KEYS, *BY_USER}) and bool(names & {*TEXT_KEYS, "mes"})
    is_of_slack = {"ts", "text"} <= names
    is_event = any(
        isinstance(value.get(name), dict) and "role" in value[name] for name in ("message", "payload")
    )
    if is_message or is_event or is_of_slack or "character_name" in names:
        return "the row is one message of a chat: put all messages of a chat into one row, as a list in a column messages"
    if "first_mes" in names:
        return "the row is a character card, which asks for no text: name a file of prompts or chats"
    if "instances" in names:
        return "the row holds no instance or several: put each of them into a row of its own, or name the file .json"
    if "custom_id" in names:
        return "the row is an answer of a batch, without its prompt: name the file of the batch's requests"
    return None


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
    if text.lstrip().startswith(TEMPLATE_OPENING):
        text = first_user_text(text, at_start=True) or text
    for name in ADDED if column == "instruction" else ():
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
    if not text or is_blank(text):
        raise Trouble("no_instruction", f"no text in {name}")
    return text


def _flag(value: Mapping[str, Any], name: str) -> bool | None:
    """Return a flag that may also be given as a number or a text; None if it is not given.

    Raises:
        Trouble: the flag is not one of the usual words for true and false.
    """
    flag = next((flag for key in FLAG_NAMES[name] if (flag := value.get(key)) is not None), None)
    if flag is None or flag is False or flag is True:
        return flag
    if isinstance(flag, Number) and flag != flag:  # NaN: a missing value in a table of numbers
        return None
    if isinstance(flag, str | Number):
        word = str(flag).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise Trouble("malformed", f"{name}: true or false is needed, found {str(flag)[:40]!r}")
