"""Columns and size of a data set, as MLflow's UI shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from longwriter.text import inert

_PROFILED_BYTES = 50_000_000  # reading a larger data set would take seconds: its profile has only bytes


def profile(path: Path) -> dict[str, int]:
    """Return the size of a data set as MLflow shows it: bytes, rows, words, as far as they are known."""
    numbers = shape(path)[1]
    return dict(json.loads(numbers)) if numbers else {}


def shape(path: Path) -> tuple[str | None, str | None]:
    """Return schema and profile of a data set as JSON for the MLflow UI: columns; bytes, rows and words."""
    if not path.is_file():
        return None, None
    profile: dict[str, int] = {"bytes": path.stat().st_size}
    columns: dict[str, Any] = {}
    if path.suffix == ".jsonl" and profile["bytes"] < _PROFILED_BYTES:
        with path.open(encoding="utf-8", errors="replace") as lines:
            rows = [row for row in map(_row, lines) if row is not None]
        profile["rows"] = len(rows)
        if words := sum(row["words"] for row in rows if isinstance(row.get("words"), int)):
            profile["words"] = words
        columns = rows[0] if rows else {}
    types = {str: "string", int: "long", float: "double", bool: "boolean"}
    spec = [
        {"name": inert.line(name)[:200], "type": types.get(type(value), "string")}
        for name, value in columns.items()
    ]
    return json.dumps({"mlflow_colspec": spec}) if spec else None, json.dumps(profile)


def _row(line: str) -> dict[str, Any] | None:
    """Return the JSON object in a line; None for any other line, which a source that is not checked yet may hold."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
