"""Rows of a JSON file that is not JSON Lines: an array of rows, an array under a key, or a series of objects.

The file is read in blocks, which are cut where a row begins or ends. Rows are not decoded here. Memory holds
one row and one block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

import orjson

from longwriter.errors import BadRecord
from longwriter.schemas.shapes import has_roles

KEYS = (
    "data", "rows", "items", "examples", "instances", "records", "train", "validation", "test", "tabs", "chats", "sessions",
    "entries", "prompts", "threads",
)  # fmt: skip
"""Keys under which a file may hold its arrays of rows."""
EXPORTED = "conversations"
"""Key of whole chats in the export of an app (Grok), and of the turns of one chat in a row (ShareGPT)."""
_CHAT_KEYS = ("conversation", "responses", "messages", "title")  # with which a whole chat begins
_FIRST_KEY = re.compile(rb'\s*(?:\{\s*(?:"([^"\\]*)"|[^\s"])|[^\s{])')
_KEYS = frozenset(key.encode() for key in KEYS)
_TOKEN = re.compile(rb'("(?:[^"\\]++|\\.)*+)(")?|([\[\]{}])', re.DOTALL)
"""A string (group 1; group 2 is missing if the block ends inside the string), or a bracket (group 3)."""
_TEXT_BEGINS, _BRACKET = 1, 3  # values of a match's `lastindex`
_SIGN = re.compile(rb"\S")
_BETWEEN = b", \t\r\n\xef\xbb\xbf"  # what may stand between two rows; a byte order mark too
_BLOCK = 2**20


def is_array(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is an array of objects, or of chats that are lists of turns.

    JSON Lines begin with `[{` only if each line is a chat.
    """
    begins = re.match(rb"(?:\xef\xbb\xbf)*\s*\[\s*(?:\[\s*)?\{", head)
    return begins is not None and not _is_chat(_first_line(head))


def is_lines(head: bytes) -> bool:
    """Tell whether the first line of a file that begins with `head` is a whole row, as in JSON Lines."""
    row = _first_line(head)
    if isinstance(row, dict):
        return not any(_holds_rows(key, row.get(key)) for key in (*KEYS, EXPORTED))
    return _is_chat(row)


def _first_line(head: bytes) -> Any:
    """Return the value of the first line of a file; None if it is no JSON or does not end."""
    line, end, _ = head.partition(b"\n")
    try:
        return orjson.loads(line.removeprefix(b"\xef\xbb\xbf")) if end else None
    except orjson.JSONDecodeError:
        return None


def _is_chat(value: Any) -> bool:
    """Tell whether a value is a list of turns."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and has_roles(value)


def _holds_rows(key: str, value: Any) -> bool:
    """Tell whether the value of a key is an array of rows."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return key != EXPORTED or not value[0].keys().isdisjoint(_CHAT_KEYS)


def rows(where: str, file: IO[bytes], longest: int) -> Iterator[bytes]:
    """Yield the JSON text of each row, in order.

    A value that is not an object is yielded too; the caller counts it as a malformed row.

    Args:
        where: Name of the file, for the messages.
        file: Its bytes, UTF-8.
        longest: Largest number of bytes of a row.

    Raises:
        BadRecord: the file breaks off, or a row is longer than `longest`.
    """
    cutter, count = _Cutter(where), 0
    while block := file.read(_BLOCK):
        for row in cutter.cut(block):
            count += 1
            yield row
        if cutter.waiting() > longest:
            raise BadRecord(
                f"{where}: row {count + 1:,} is longer than {longest:,} bytes; rows are read from JSON Lines, "
                f"from an array, or from an array under one of the keys {', '.join(KEYS)}"
            )
    if cutter.is_open():
        raise BadRecord(f"{where} breaks off after row {count:,}: a bracket or a text is not closed")
    yield from cutter.rest()


class _Cutter:
    """Cuts rows out of blocks of JSON.

    `_path` holds the brackets that are open. A row is an object, or a list or a text in an array, that begins while `_path`
    equals `_around`: [] for objects one after another, ["["] in an array, ["{", "["] in an array under a key.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._data = b""
        self._begin = 0  # where the row begins, or the text before it
        self._at = 0  # the brackets before this place are already counted in `_path`
        self._path: list[bytes] = []
        self._around: list[bytes] = []
        self._key, self._key_end = b"", 0  # the last text on the first level of an object
        self._is_wrapper = False  # the open object holds arrays of rows and is not a row itself
        self._has_texts = False  # a text in an array was a row
        self._is_cut = False  # the data end inside a text, or after a bracket that needs more data

    def waiting(self) -> int:
        """Return the number of bytes of the row that has not ended yet."""
        return len(self._data) - self._begin

    def is_open(self) -> bool:
        """Tell whether the data end inside a row, an array or a text."""
        return bool(self._path) or self._is_cut

    def rest(self) -> Iterator[bytes]:
        """Yield the text after the last row, if there is any."""
        yield from self._between(len(self._data))

    def cut(self, block: bytes) -> Iterator[bytes]:
        """Yield the rows that end in the next block."""
        self._data = self._data[self._begin :] + block
        self._at -= self._begin
        self._key_end -= self._begin
        self._begin, self._is_cut = 0, False
        for token in _TOKEN.finditer(self._data, self._at):
            if token.lastindex == _TEXT_BEGINS:
                self._at, self._is_cut = token.start(), True
                return
            if token.lastindex != _BRACKET:
                if self._path == [b"{"] and not self._around:
                    self._key, self._key_end = token[1][1:], token.end()
                elif self._path and self._path == self._around:
                    yield from self._between(token.start())
                    yield token[0]
                    self._begin, self._has_texts = token.end(), True
            elif token[3] in b"[{":
                if self._needs_more(token):
                    self._at, self._is_cut = token.start(), True
                    return
                yield from self._open(token)
            else:
                yield from self._close(token)
            self._at = token.end()
        if self._is_wrapper and not self._around:
            self._begin = self._at

    def _is_under_key(self, token: re.Match[bytes]) -> bool:
        """Tell whether a bracket opens the value of one of `KEYS` on the first level of an object."""
        is_first_level = token[3] == b"[" and self._path == [b"{"] and not self._around
        return (
            is_first_level
            and (self._key in _KEYS or self._key == EXPORTED.encode())
            and self._data[self._key_end : token.start()].strip() == b":"
        )

    def _needs_more(self, token: re.Match[bytes]) -> bool:
        """Tell whether the next block is needed to know if an array under a key holds rows."""
        return self._is_under_key(token) and not _FIRST_KEY.match(self._data, token.end())

    def _holds_rows(self, token: re.Match[bytes]) -> bool:
        """Tell whether an array under a key holds rows."""
        first = _FIRST_KEY.match(self._data, token.end())
        if self._key == EXPORTED.encode():
            return (
                first is not None and first[1] is not None and first[1].decode(errors="replace") in _CHAT_KEYS
            )
        return self._next_sign(token) == b"{"

    def _next_sign(self, token: re.Match[bytes]) -> bytes:
        """Return the first byte after a token that is not a space; b"" if the data end before it."""
        sign = _SIGN.search(self._data, token.end())
        return sign[0] if sign else b""

    def _open(self, token: re.Match[bytes]) -> Iterator[bytes]:
        bracket = token[3]
        if self._path == self._around and (bracket == b"{" or self._around):
            yield from self._between(token.start())
        elif not self._path and bracket == b"[":
            if self._has_texts:
                raise BadRecord(
                    f"{self._where}: a second array of texts begins, so it is not clear which texts are instructions: "
                    "write one array of all instructions"
                )
            yield from self._between(token.start())
            self._around, self._begin = [b"["], token.end()
        elif self._is_under_key(token) and self._holds_rows(token):
            self._around, self._begin, self._is_wrapper = [b"{", b"["], token.end(), True
        self._path.append(bracket)

    def _close(self, token: re.Match[bytes]) -> Iterator[bytes]:
        if not self._path or self._path[-1] != (b"[" if token[3] == b"]" else b"{"):
            return  # a bracket that closes nothing belongs to a malformed row
        is_array_end = bool(self._around) and self._path == self._around
        opening = self._path.pop()
        if is_array_end:
            yield from self._between(token.start())
            self._around, self._begin = [], token.end()
        elif self._is_wrapper and not self._path:
            self._is_wrapper, self._begin = False, token.end()
        elif self._path == self._around and (opening == b"{" or self._around):
            yield self._data[self._begin : token.end()]
            self._begin = token.end()

    def _between(self, end: int) -> Iterator[bytes]:
        """Yield the text before a row or at the end of an array, if it is more than commas and spaces."""
        if between := self._data[self._begin : end].strip(_BETWEEN):
            yield between
        self._begin = end
