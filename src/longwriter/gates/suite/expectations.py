"""What a gate is made of: expectations over the columns of tables, as data that `gx` runs.

Each gate has a file of its own, which builds its tables from records and its expectations from
params.yaml; the parameters also say which expectations only warn.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Expectation(NamedTuple):
    """One expectation over one table of a gate.

    `bound` says in words what is allowed. `kind` is a class of `great_expectations.expectations`, and
    `arguments` are its keyword arguments.
    """

    table: str
    name: str
    bound: str
    kind: str
    arguments: dict[str, Any]


class Gate(NamedTuple):
    """Expectations, and the tables that they are about.

    `key` is the column that names a row in a finding. The expectations named in `warn` do not stop.
    """

    expectations: list[Expectation]
    tables: Mapping[str, pd.DataFrame]
    key: str
    warn: Sequence[str]


def at_least(table: str, name: str, rows: int, what: str) -> Expectation:
    """Expect a minimum number of rows."""
    return Expectation(
        table, name, f">= {rows} {what}", "ExpectTableRowCountToBeBetween", {"min_value": rows}
    )


def unique(table: str, name: str, column: str, bound: str) -> Expectation:
    """Expect each value of a column once."""
    return Expectation(table, name, bound, "ExpectColumnValuesToBeUnique", {"column": column})


def among(table: str, name: str, column: str, values: list[str]) -> Expectation:
    """Expect only certain values in a column."""
    arguments = {"column": column, "value_set": values}
    return Expectation(table, name, " or ".join(values), "ExpectColumnValuesToBeInSet", arguments)


def never(table: str, name: str, column: str, bound: str) -> Expectation:
    """Expect False in each row of a column."""
    arguments = {"column": column, "value_set": [False]}
    return Expectation(table, name, bound, "ExpectColumnValuesToBeInSet", arguments)


def matches(table: str, name: str, column: str, regex: str, bound: str) -> Expectation:
    """Expect each value of a column to match a regular expression."""
    arguments = {"column": column, "regex": regex}
    return Expectation(table, name, bound, "ExpectColumnValuesToMatchRegex", arguments)


def between(
    table: str, name: str, column: str, low: float | None, high: float | None, what: str
) -> Expectation:
    """Expect each value of a column within two bounds; None = no bound on that side."""
    bound = f">= {low}" if high is None else f"<= {high}" if low is None else f"{low} to {high}"
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Expectation(table, name, f"{bound} {what}", "ExpectColumnValuesToBeBetween", arguments)
