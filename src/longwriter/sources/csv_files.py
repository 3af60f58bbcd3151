"""Rows of CSV and TSV files, as JSON texts: the first line names the columns.

The delimiter of a `.csv` file is `,` `;` or tab: the one that splits the first line into the most columns that are
read (Excel writes `;` in many countries). An empty cell counts as no value.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import orjson

from longwriter.errors import BadRecord
from longwriter.schemas.columns import (
    COLUMNS,
    INSTRUCTIONS,
    OTHER_NAMES,
    TRANSCRIPTS,
    readable_columns,
    usual_name,
)
from longwriter.schemas.contents import Unusable
from longwriter.schemas.turns import USER_ROLES

_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own first line, such as "sep=;"
_WHOLE_NUMBER = re.compile(r"\s*(\d{1,9})(?:\.0+)?\s*")
_SHOWN = 10  # names of columns in a message


class Table:
    """An open CSV or TSV file."""

    def __init__(self, where: str, file: io.BufferedReader, longest: int) -> None:
        """Read the names of the columns.

        Args:
            where: Name of the file; `.tsv` in it means that tabs divide the cells.
            file: Its bytes, UTF-8.
            longest: Largest number of characters of a row.

        Raises:
            BadRecord: the first line names a known column twice.
        """
        self._where = where
        self._longest = longest
        self._count = 0  # rows so far
        self._waiting = 0  # characters since the last row
        self._text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        csv.field_size_limit(
            max(csv.field_size_limit(), 2 * longest)
        )  # of the process; `_lines` stops before
        first = self._text.readline(longest)
        separator = _SEPARATOR_LINE.fullmatch(first)
        if separator:
            first = self._text.readline(longest)
        delimiters = (separator[1],) if separator else ("\t",) if ".tsv" in where.lower() else _DELIMITERS
        self._delimiter = max(delimiters, key=lambda sign: len(_columns(_cells(first, sign))))
        self._names = _cells(first, self._delimiter)
        columns = _columns(self._names)
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise BadRecord(f"{where}: its first line names the column {twice} more than once")

    def problem(self, is_named: bool) -> str | None:
        """Return why no column can hold an instruction, or None; `is_named`: a column of whole chats may hold one."""
        able = {*INSTRUCTIONS, *TRANSCRIPTS, *USER_ROLES, *OTHER_NAMES} if is_named else INSTRUCTIONS
        if {usual_name(name) for name in readable_columns(self._names)} & able:
            return None
        names = ", ".join(repr(name[:30]) for name in self._names[:_SHOWN]) or "nothing"
        return f"its first line must name one of the columns {', '.join(sorted(INSTRUCTIONS))}, and it holds {names}; rename the column of the instructions to prompt"

    def rows(self) -> Iterator[bytes | Unusable]:
        """Yield each row as a JSON text, with only the columns that are read.

        Raises:
            BadRecord: a quoted cell is not closed before the end, or a row is too long.
        """
        readable = readable_columns(self._names)
        places = [(place, _name(name)) for place, name in enumerate(self._names) if name in readable]
        reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise self._unclosed() from None
                yield Unusable("malformed", f"no CSV: {error}")
            else:
                if cells is None:
                    return
                if not cells:
                    continue  # an empty line
                yield self._row(cells, places)
            self._waiting = 0
            self._count += 1

    def _lines(self) -> Iterator[str]:
        """Yield the lines; raise an error instead of holding more than one row in memory."""
        while line := self._text.readline(self._longest):
            self._waiting += len(line)
            if self._waiting > self._longest:
                raise self._unclosed()
            yield line

    def _unclosed(self) -> BadRecord:
        return BadRecord(
            f"{self._where} breaks off after row {self._count:,}: a quoted cell is not closed within "
            f"{self._longest:,} characters and before the end of the file"
        )

    def _row(self, cells: list[str], columns: list[tuple[int, str]]) -> bytes | Unusable:
        """Return a row as a JSON text, or what is wrong with it."""
        if len(cells) != len(self._names):
            detail = f"{len(cells):,} cells, and the first line names {len(self._names):,} columns"
            return Unusable("malformed", f"{detail}: is a text with a delimiter or a line end not quoted?")
        row = {name: _value(name, cells[place]) for place, name in columns}
        try:
            return orjson.dumps(row)
        except TypeError:  # lone surrogates: bytes that are not UTF-8
            return Unusable("malformed", "no UTF-8: save the file as CSV UTF-8")


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of the first line; empty if the line is not CSV."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _name(cell: str) -> str:
    return cell.strip().lower()


def _columns(names: list[str]) -> list[str]:
    """Return those names of columns that are read."""
    return [name for name in map(_name, names) if name in COLUMNS]


def _value(name: str, cell: str) -> str | int | None:
    """Return the value of a cell: a number for a length, None for an empty cell, else its text."""
    if not cell.strip():
        return None
    number = _WHOLE_NUMBER.fullmatch(cell) if name == "length" else None
    return int(number[1]) if number else cell
