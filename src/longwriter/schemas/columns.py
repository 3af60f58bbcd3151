"""Names of the columns that are read from a source; several names may mean the same.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from longwriter.schemas.turns import OTHER_ROLES, USER_ROLES

CHATS = ("conversation", "messages", "conversations", "chat_messages")
OTHER_CHATS = ("dialog", "dialogue", "chat", "turns", "utterances")  # read only if they hold turns
TREE, BRANCH_END = "mapping", "current_node"  # of ChatGPT's export
EARLIER = "history"  # the rounds of a chat before that of the row
QUESTIONS = ("instruction", "question", "query", "input", "inputs", "problem", "text_input")
TEXTS = "data"  # of UltraChat: the texts of user and assistant in turn
OTHER_NAMES = (
    "task", "request", "instructions", "turns", "specified_task", "message_1", "inputtext", "input_text", "q", "inst", "指令", "问题",
    "提示词",
)  # fmt: skip
"""Names of a question that may also name something else (a kind of task): read last, and only if they hold a sentence."""
MATERIAL = ("text", "content", "document", "article", "passage")
LATE_CHATS = (
    "contents",
    "input",
    "inputs",
    "items",
    "history",
    "context",
    "conversation_a",
    "full_conversation",
    "chunks",
    "segments",
    "bubbles",
    "requests",
    "chosen",
)
INSIDE = (
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
    "chunkedprompt",
    "inputbodyjson",
    "vars",
    "doc",
    "thread",
    "history",
)  # hold a whole row
TRANSCRIPTS = ("text", "chosen", "chat")
ADDED = ("input", "context")  # to an instruction
FLAGS = ("toxic", "redacted")
FLAG_NAMES = {
    flag: (
        flag,
        flag.title(),
        flag.upper(),
        f"is_{flag}",
        f"Is_{flag.title()}",
        f"IS_{flag.upper()}",
        f"is{flag.title()}",
    )
    for flag in FLAGS
}
"""The names that a flag may have; the first of them that has a value counts."""
STATED = ("type", "length", "language")
"""Columns that a plain row may have beside its prompt."""
INSTRUCTIONS = frozenset(("prompt", *CHATS, *OTHER_CHATS, *QUESTIONS, TEXTS, TREE))
"""Columns that can hold an instruction."""
COLUMNS = INSTRUCTIONS | {*ADDED, *FLAGS, *STATED, BRANCH_END, EARLIER}
"""Columns that are read; all others are ignored. The case of their names does not matter."""
LATE_COLUMNS = frozenset(
    (
        *LATE_CHATS,
        *INSIDE,
        *TRANSCRIPTS,
        *OTHER_NAMES,
        "responses",
        "message",
        "chat_history",
        "role",
        "parent_id",
        *USER_ROLES,
        *OTHER_ROLES,
    )
)
"""Columns that are read only if no other can hold an instruction."""
_AROUND = re.compile(
    r"^(?:.*\.)?(?:(?:user|human|input|request|writing|story|essay|initial|opening|backtranslated|english|chinese|translated)_)*+"
    r"|(?:_(?:text|content|en|zh|cn|str|pretokenized))++$"
)
"""Words around the name of a column that do not change what it holds."""


def usual_name(name: Any) -> str:
    """Return the name of a column in lower case, without the words around it: `User_Prompt` becomes `prompt`."""
    if flag := next((flag for flag in FLAGS if name in FLAG_NAMES[flag]), None):
        return flag
    lower = str(name).strip().lower().replace(" ", "_").replace("-", "_")
    return lower if lower in COLUMNS | LATE_COLUMNS else _AROUND.sub("", lower)


def readable_columns(names: Iterable[str]) -> list[str]:
    """Return the names of the columns of a table that are read."""
    usual = {name: usual_name(name) for name in names}
    has_instruction = any(name in INSTRUCTIONS - LATE_COLUMNS for name in usual.values())
    known = COLUMNS if has_instruction else COLUMNS | LATE_COLUMNS
    return [name for name in usual if usual[name] in known]
