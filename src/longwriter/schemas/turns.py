"""Finds the first user turn of a chat, in each of the shapes in which people publish chats.

Pure.

| what differs | shapes that are read |
|---|---|
| the chat | a list of turns, one turn, a list as a JSON text or as Python prints it, one list for each key ({role: […], content: […]}), one key for each turn ({turn_1: …}) |
| the role | under `role`, `from`, `speaker`, `author` or `sender`; or the role is the key of the text ({human: …}), or a turn holds question and answer ({input: …, output: …}); LangChain's classes; `isCreatedByUser`; a `type` (Cursor), a `label` (Axolotl); texts without roles take turns, the user first |
| the text | under `content`, `value`, `text`, `message`, `utterance` or `parts`; a text, or a list of parts |
| around a turn | {message: {role: …, content: …}}, or the same as names of columns (`message.role`) |
| the order | a list; or a tree of messages with their parents, as ChatGPT exports chats (`mapping`) |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from longwriter.schemas.contents import Trouble, decoded, is_blank, kind_of, text_of
from longwriter.schemas.transcripts import first_user_text

ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
TEXT_KEYS = ("content", "value", "text", "message", "utterance", "parts", "contentParts", "contentChunks")
USER_ROLES = frozenset({
    "user", "human", "prompter", "you", "me", "用户", "问", "用戶", "使用者", "人类", "我", "usuario", "usuário", "utilisateur", "benutzer",
    "nutzer", "utente", "пользователь", "ユーザー", "사용자",
})  # fmt: skip
OTHER_ROLES = frozenset({
    "assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "system", "developer", "tool", "function",
    "function_call", "function_response", "tool_call", "tool_response", "observation", "ipython", "bing", "bard",
    "claude", "moss", "助手", "答", "助理", "机器人", "asistente", "assistente", "assistent", "ассистент", "アシスタント", "어시스턴트", "sistema",
    "système", "系统",
})  # fmt: skip
"""Roles that never state the instruction. If a chat has no user, and a role that is not known, it is malformed."""
_QUESTION_KEYS = ("input", "question", "instruction", "prompt", "query")
_ANSWER_KEYS = frozenset({"output", "answer", "response", "completion"})
BY_USER = ("isCreatedByUser", "is_user")  # true in a turn of the user
_TURN_OPENING = ('{"role"', '{"from"', "{'role'", "{'from'")  # a turn that is stored as a text
_NUMBERED = re.compile(r"turn_?\d{1,6}")
_ROLE_MARKS = " \t\n:：|<>[]#*"  # signs around a role that are not part of it, such as the colon of "Human:"
_PLACEHOLDER = "<image>"  # stands for a picture in the chats of LLaVA
_MARKED = re.compile(r"\s*(?:<\|Human\|>|\[Human\]): ?(.*?)<eo[hm]>\s*", re.DOTALL)


class UserTurn(NamedTuple):
    """The turn that states the instruction: its text, the turn itself, and the keys that were read."""

    text: str
    turn: Mapping[str, Any]
    keys: tuple[str, ...]


def first_user_turn(chat: Any, column: str) -> UserTurn:
    """Return the first turn of a user that has a text.

    Args:
        chat: Content of the column.
        column: Name of the column, for the messages.

    Raises:
        Trouble: the chat has no such turn, or cannot be read.
    """
    others: set[str] = set()
    attachments: list[str] = []
    for item in _turns(chat, column):
        if item is None:
            continue
        turn = _usual(item) if isinstance(item, dict) else item
        if not isinstance(turn, dict):
            raise Trouble(
                "malformed",
                f"{column}: each turn is an object such as "
                f'{{"role": "user", "content": "…"}}, found {kind_of(turn)}',
            )
        role_key, text_key, role = _keys(turn, column)
        if role not in USER_ROLES:
            others.add(role)
            continue
        if text_key not in turn and len(turn) > 1:
            names = ", ".join(repr(name[:20]) for name in list(turn)[:8])
            raise Trouble(
                "malformed",
                f"{column}: a turn of the user has no text: one of {', '.join(TEXT_KEYS)} is needed, found {names}",
            )
        text = text_of(turn.get(text_key), f"{column}.{text_key}", attachments)
        if text and not is_blank(text):
            if text.startswith(_PLACEHOLDER) or text.endswith(_PLACEHOLDER):
                attachments.append("image")
            if attachments:
                break
            return UserTurn(own_text(text), turn, (role_key, text_key))
    else:
        if not attachments:
            raise _no_user(column, others)
    raise Trouble("not_text", f"{column}: the user sends {', '.join(dict.fromkeys(attachments))}")


def _no_user(column: str, others: set[str]) -> Trouble:
    """Return the error of a chat without a user's text; `others` holds the roles of its other turns."""
    if others - OTHER_ROLES - {""}:
        names = ", ".join(repr(name[:20]) for name in sorted(others)[:5])
        return Trouble(
            "malformed",
            f"{column}: no turn of a user: the roles are {names}; a user is called user, human, prompter, you, or so in "
            "another language: change the name of the role",
        )
    return Trouble("no_instruction", f"{column}: no turn of a user with a text")


def _turns(chat: Any, column: str) -> list[Any]:
    """Return the turns of a chat."""
    if isinstance(chat, bytes):
        chat = text_of(chat, column, [])
    if isinstance(chat, str):
        chat = [] if is_blank(chat) else decoded(chat)
        chat = decoded(chat) if isinstance(chat, str) else chat  # some tools encode it twice
        if isinstance(chat, str):
            raise Trouble(
                "malformed",
                f"{column}: a list of turns is needed, found a text that is no JSON; if each row is one message, put all "
                "messages of a chat into one row",
            )
    if isinstance(chat, dict) and isinstance(chat.get("messages"), list):
        chat = chat["messages"]
    if isinstance(chat, dict):
        if column == "prompt" and isinstance(chat.get("text"), str) and chat.keys().isdisjoint(ROLE_KEYS):
            return [{"role": "user", "text": chat["text"]}]  # RealToxicityPrompts
        if is_numbered(chat) or _is_by_id(chat):
            return list(chat.values())
        columns = {key: values for key, values in chat.items() if isinstance(values, list)}
        if not columns.keys() & {*ROLE_KEYS}:
            return [chat] if chat else []
        return [dict(zip(columns, cells, strict=False)) for cells in zip(*columns.values(), strict=False)]
    if chat is None:
        return []
    if not isinstance(chat, list):
        raise Trouble("malformed", f"{column}: a list of turns is needed, found {kind_of(chat)}")
    if chat and isinstance(chat[0], list) and _is_pairs(chat[0]):  # Arrow gives a map as a list of pairs
        return [dict(turn) if _is_pairs(turn) else turn for turn in chat]
    if chat and isinstance(chat[0], list):  # one list for each round, or for each prompt of a batch
        chat = chat[0]
    if column == "turns" and all(isinstance(turn, dict) and turn.keys() == {"content"} for turn in chat):
        chat = [turn["content"] for turn in chat]  # Arena-Hard
    if chat and all(isinstance(text, str) for text in chat):
        turns = [decoded(text) for text in chat if text.startswith(_TURN_OPENING)]
        if len(turns) == len(chat) and all(isinstance(turn, dict) for turn in turns):
            return turns
        return [
            {"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(chat)
        ]
    return list(chat)


def is_numbered(chat: Any) -> bool:
    """Tell whether a chat is an object with one key for each turn, such as {turn_1: …, turn_2: …} of MOSS."""
    return isinstance(chat, dict) and bool(chat) and all(_NUMBERED.fullmatch(str(key)) for key in chat)


def _is_by_id(chat: Mapping[str, Any]) -> bool:
    """Tell whether a chat is an object of turns under their ids, such as Open WebUI's {id: {role: …, content: …}}."""
    return bool(chat) and all(isinstance(turn, dict) and "role" in turn for turn in chat.values())


def _usual(turn: dict[str, Any]) -> dict[str, Any]:
    """Return a turn with its role and its text under usual keys; a turn that has them is unchanged.

    Phoenix puts a turn under `message` or writes `message.role`; LibreChat tells only whether the user wrote it;
    LangChain and Cursor name the role by a type or a class, Copilot writes what the user said under `message` beside the
    `response`, and Axolotl says only which segments are trained on (`label`).
    """
    turn = {str(key): value for key, value in turn.items()}  # Python's texts may have numbers as keys
    if turn.keys().isdisjoint(ROLE_KEYS):
        lower = {key.lower(): value for key, value in turn.items()}
        turn = turn if lower.keys().isdisjoint(ROLE_KEYS) else lower
    if isinstance(author := turn.get("author"), dict):
        turn = _of_author(turn, author)
    if isinstance(pieces := turn.get("fragments"), list):  # big-AGI
        parts = [piece.get("part") for piece in pieces if isinstance(piece, dict)]
        turn = {
            **turn,
            "parts": [{"type": part.get("pt"), **part} for part in parts if isinstance(part, dict)],
        }
    if not turn.keys().isdisjoint(ROLE_KEYS):
        return turn
    if turn.keys() == {"label", "text"} and turn["label"] in (True, False):
        said = first_user_text(turn["text"], at_start=True) if isinstance(turn["text"], str) else None
        return {"role": "assistant" if turn["label"] else "user", "content": said or turn["text"]}
    if "response" in turn and isinstance(turn.get("message"), dict) and "text" in turn["message"]:
        return {"role": "user", "content": turn["message"]["text"]}
    if "bubbleId" in turn and turn.get("type") in (1, 2):
        return {"role": ("user", "assistant")[turn["type"] - 1], "content": turn.get("text")}
    if isinstance(turn.get("versions"), list) and turn["versions"]:  # LM Studio: the version that was shown
        shown, versions = turn.get("currentlySelected"), turn["versions"]
        is_place = type(shown) is int and 0 <= shown < len(versions)
        turn = version if isinstance(version := versions[shown if is_place else -1], dict) else {}
    for around in ("message", "response", "user"):  # "response" of Grok, "user" of the Chatbot Arena
        if isinstance(turn.get(around), dict):
            turn = turn[around]
    if any(key.startswith("message.") for key in turn):
        turn = {key.removeprefix("message."): value for key, value in turn.items()}
    by_user = next((turn[key] for key in BY_USER if isinstance(turn.get(key), bool)), None)
    if by_user is not None:
        return {**turn, "role": "user" if by_user else "assistant"}
    inner = turn.get("kwargs", turn.get("data"))
    fields = inner if isinstance(inner, dict) else turn
    names = turn.get("id")
    classes = names[-1:] if isinstance(names, list) else []
    kinds = [fields.get("type"), turn.get("type"), *classes]
    kind = next((kind for kind in kinds if isinstance(kind, str) and kind != "constructor"), "")
    if (
        isinstance(fields.get("text"), str)
        and kind.lower() in USER_ROLES | OTHER_ROLES
        and "content" not in fields
    ):
        return {"role": kind, "content": fields["text"]}
    if kind and "content" in fields and turn.keys().isdisjoint(ROLE_KEYS):
        return {"role": kind.removesuffix("Message").removesuffix("Chunk"), "content": fields["content"]}
    return turn


def _of_author(turn: Mapping[str, Any], author: Mapping[str, Any]) -> dict[str, Any]:
    """Return a turn whose author is an object, with the author's role; Character.AI says only whether a person wrote it."""
    role, is_human = author.get("role"), author.get("is_human")
    if not isinstance(role, str):
        if not isinstance(is_human, bool) and "candidates" not in turn:
            return dict(turn)
        role = "user" if is_human else "assistant"
    drafts = turn.get("candidates")
    first = drafts[0] if isinstance(drafts, list) and drafts and isinstance(drafts[0], dict) else {}
    return {**turn, "author": role, **({"text": first["raw_content"]} if "raw_content" in first else {})}


def branch(tree: Mapping[str, Any], end: Any) -> list[dict[str, Any]]:
    """Return the turns of one branch of a tree of messages, as ChatGPT exports chats.

    Each edit of a message begins another branch. Messages that the app hides (such as a person's custom
    instructions) are left out.

    Args:
        tree: {id: node}; a node has the id of its `parent`, and a `message` or null.
        end: Id of the last message of the branch (`current_node`); if the tree lacks it, the branch of the last
            node that is nobody's parent is taken.
    """
    nodes = {name: node for name, node in tree.items() if isinstance(node, dict)}
    if not isinstance(end, str) or end not in nodes:
        parents = {str(node.get("parent")) for node in nodes.values()}
        end = next((name for name in reversed(nodes) if name not in parents), None)
    turns: list[dict[str, Any]] = []
    visited: set[str] = set()
    while isinstance(end, str) and end in nodes and end not in visited:
        visited.add(end)  # a damaged tree may lead in a circle
        turns += _exported(nodes[end].get("message"))
        end = nodes[end].get("parent")
    return turns[::-1]


def _exported(message: Any) -> list[dict[str, Any]]:
    """Return a message of ChatGPT's export as a list of one turn; an empty list if it is hidden or no message."""
    author = message.get("author") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    pieces = message.get("fragments") if isinstance(message, dict) else None
    if isinstance(pieces, list):  # DeepSeek's export
        roles = {"REQUEST": "user", "RESPONSE": "assistant"}
        return [
            {"role": roles.get(str(piece.get("type")), "tool"), "content": piece.get("content")}
            for piece in pieces[::-1]
            if isinstance(piece, dict)
        ]
    if not isinstance(author, dict) or not isinstance(content, dict):
        return []
    notes, parts = message.get("metadata"), content.get("parts")
    is_hidden = isinstance(notes, dict) and notes.get("is_visually_hidden_from_conversation") is True
    if is_hidden or str(content.get("content_type")).endswith("_editable_context"):
        return []
    parts = [
        {"type": str(part.get("content_type", "file")).removesuffix("_asset_pointer"), **part}
        if isinstance(part, dict)
        else part
        for part in (parts if isinstance(parts, list) and parts else [content.get("text")])
    ]
    return [{"role": author.get("role"), "content": parts}]


def own_text(text: str) -> str:
    """Return the text of a turn without the marks that MOSS writes around it (`<|Human|>: …<eoh>`)."""
    return match[1].strip() if (match := _MARKED.fullmatch(text)) else text


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)


def _is_given(value: Any) -> bool:
    return value is not None


def _keys(turn: Mapping[str, Any], column: str) -> tuple[str, str, str]:
    """Return (key of the role, key of the text, role) of a turn; the role is lower-case, without marks."""
    for role_key in ROLE_KEYS:
        role = turn.get(role_key)
        if role is None:
            continue
        if not isinstance(role, str):
            hint = (
                ": messages of a group, such as Discord's, name no user and no assistant"
                if isinstance(role, dict)
                else ""
            )
            raise Trouble("malformed", f"{column}.{role_key}: a role is a text, found {kind_of(role)}{hint}")
        text_keys = (key for has_value in (bool, _is_given) for key in TEXT_KEYS if has_value(turn.get(key)))
        return role_key, next(text_keys, "content"), role.strip(_ROLE_MARKS).lower().removeprefix("role.")
    for key, text in turn.items():
        name = key.strip(_ROLE_MARKS).lower()
        if text is not None and name in USER_ROLES:
            return key, key, name
    has_answer = not _ANSWER_KEYS.isdisjoint(turn)
    if has_answer and (question_key := next((key for key in _QUESTION_KEYS if turn.get(key)), None)):
        return question_key, question_key, "user"
    if turn.get("parts"):  # Gemini's API takes one turn without a role as the user's
        return "parts", "parts", "user"
    role = next((key.lower() for key in turn if key.lower() in OTHER_ROLES), "")
    if role or not any(turn.values()):
        return "", "", role or "system"
    if not {"messages", "responses"}.isdisjoint(turn):
        raise Trouble("malformed", f"{column}: it holds whole chats: put each chat into a row of its own")
    raise Trouble("malformed", f"{column}: a turn has no role: one of {', '.join(ROLE_KEYS)} is needed")
