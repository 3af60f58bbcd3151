"""The parts of a gate: tables, and expectations about their columns, as data. `gx` runs them.

Each gate has its own file. It builds the tables from records, and the expectations from params.yaml. The
parameters also name the expectations that only warn.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Expectation(NamedTuple):
    """An expectation about one table of a gate.

    `bound` says what is allowed, for messages. `kind` is the name of a class in
    `great_expectations.expectations`; `arguments` are the keyword arguments of this class.
    """

    table: str
    name: str
    bound: str
    kind: str
    arguments: dict[str, Any]


class Gate(NamedTuple):
    """The expectations of a gate, and its tables.

    `key` is the column with the id of a row, which findings name. Expectations in `warn` do not stop the
    pipeline.
    """

    expectations: list[Expectation]
    tables: Mapping[str, pd.DataFrame]
    key: str
    warn: Sequence[str]


def at_least(table: str, name: str, rows: int, what: str) -> Expectation:
    """Expect at least `rows` rows."""
    return Expectation(
        table, name, f">= {rows} {what}", "ExpectTableRowCountToBeBetween", {"min_value": rows}
    )


def unique(table: str, name: str, column: str, bound: str) -> Expectation:
    """Expect that each value of a column occurs once."""
    return Expectation(table, name, bound, "ExpectColumnValuesToBeUnique", {"column": column})


def among(table: str, name: str, column: str, values: list[str]) -> Expectation:
    """Expect that a column has only these values."""
    arguments = {"column": column, "value_set": values}
    return Expectation(table, name, " or ".join(values), "ExpectColumnValuesToBeInSet", arguments)


def never(table: str, name: str, column: str, bound: str) -> Expectation:
    """Expect that each value of a column is False."""
    arguments = {"column": column, "value_set": [False]}
    return Expectation(table, name, bound, "ExpectColumnValuesToBeInSet", arguments)


def matches(table: str, name: str, column: str, regex: str, bound: str) -> Expectation:
    """Expect that each value of a column matches a regular expression."""
    arguments = {"column": column, "regex": regex}
    return Expectation(table, name, bound, "ExpectColumnValuesToMatchRegex", arguments)


def between(
    table: str, name: str, column: str, low: float | None, high: float | None, what: str
) -> Expectation:
    """Expect that each value of a column lies between two bounds; None = no bound on that side."""
    bound = f">= {low}" if high is None else f"<= {high}" if low is None else f"{low} to {high}"
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Expectation(table, name, f"{bound} {what}", "ExpectColumnValuesToBeBetween", arguments)
