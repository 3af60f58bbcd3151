"""Finds what holds a row of this checkout: data sets, models and numbers. `lineage.py` goes the other way.

Reads the files data/lineage/STAGE.json and the data that they name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from longwriter.errors import UserError
from longwriter.io import files, packs
from longwriter.tracking import provenance, versioning
from longwriter.tracking.provenance import LINEAGE, Lineage

_IDS = ("instruction_id", "sample_id", "row_id", "pair_id", "prompt_id", "generation_id")
_TABLES = (".jsonl", ".parquet")


class Holders(NamedTuple):
    """What holds some rows.

    `ids`: all ids under which stages know the rows. `withdrawable`: the ids among them that `longwriter withdraw`
    can add to its list: those of instructions and of general chats. `origins`: where the rows come from. `data`:
    {data set: number of its rows that hold them}. `models`: weights that were trained on them. `numbers`: metrics
    files that were computed from them. `stale`: the stages that run again when the rows are removed. `doubts`:
    {data set: `missing`, or `changed` since its stage wrote it}; nobody knows whether these hold the rows.
    """

    ids: list[str]
    withdrawable: list[str]
    origins: list[str]
    data: dict[str, int]
    models: list[str]
    numbers: list[str]
    stale: list[str]
    doubts: dict[str, str]


def of_row(row_id: str) -> Holders:
    """Return what holds the row with this id, which may be that of an instruction, a training row or an answer.

    Raises:
        UserError: no row of the checkout has the id.
    """
    return _of(lambda row: row_id in _ids(row), f"row {row_id}")


def of_source(file: str) -> Holders:
    """Return what holds the rows of a source file, as `origin` names it.

    Raises:
        UserError: no row of the checkout comes from it; the message lists the sources.
    """
    return _of(lambda row: str(_origin(row)).rpartition(":")[0] == file, f"source {file}", lists_sources=True)


def _of(is_first: Callable[[dict[str, Any]], bool], what: str, *, lists_sources: bool = False) -> Holders:
    lineages = _lineages()
    paths = [path for lineage in lineages.values() for path in lineage.outputs]
    ids: set[str] = set()
    before: set[str] | None = None
    while ids != before:  # a training row names its instruction, which earlier stages know
        before = set(ids)
        data: dict[str, int] = {}
        origins: set[str] = set()
        sources: set[str] = set()
        withdrawable: set[str] = set()
        for path in paths:
            for row in _rows(path):
                origin = str(_origin(row) or "")
                sources.add(origin.rpartition(":")[0])
                if is_first(row) or ids & (_ids(row) | set(row.get("sample_ids", ()))):
                    ids |= _ids(row)
                    data[path] = data.get(path, 0) + 1
                    origins.add(origin)
                    withdrawable |= _withdrawable(row)
    if not data:
        hint = (
            f"; there are {', '.join(sorted(filter(None, sources)))}"
            if lists_sources
            else "; `longwriter lineage` shows a row and its id"
        )
        raise UserError(f"no data set of this checkout holds {what}{hint}")
    reached = _reached(lineages, set(data))
    numbers = [
        path
        for path in reached
        if PurePosixPath(path).name == "metrics.json" and path.startswith("data/report/")
    ]
    models = [path for path in reached if PurePosixPath(path).name == "weights"]
    stale = [name for name, lineage in lineages.items() if {*reached, *data} & set(lineage.outputs)]
    return Holders(
        sorted(ids),
        sorted(withdrawable),
        sorted(filter(None, origins)),
        data,
        models,
        numbers,
        stale,
        _doubts(lineages),
    )


def _lineages() -> dict[str, Lineage]:
    """Return the lineage of each stage that ran here, in the order of the pipeline."""
    names = [name for name in versioning.stage_names() if (LINEAGE / f"{name}.json").exists()]
    if not names:
        raise UserError(f"{LINEAGE} names no stage that ran: run the pipeline first")
    return {name: provenance.read(name) for name in names}


def _doubts(lineages: dict[str, Lineage]) -> dict[str, str]:
    """Return the data sets that are not here, or not as their stage wrote them, as `Holders.doubts`."""
    tables = {
        path: digest
        for lineage in lineages.values()
        for path, digest in lineage.outputs.items()
        if Path(path).suffix in _TABLES
    }
    here = versioning.digests(path for path in tables if Path(path).exists())
    words = {path: "changed" if path in here else "missing" for path in tables}
    return {path: word for path, word in words.items() if here.get(path) != tables[path]}


def _rows(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of an output; nothing if it is no table of rows, or does not exist any more."""
    file = Path(path)
    if file.suffix not in _TABLES or not file.exists():
        return
    yield from files.read_rows(file) if file.suffix == ".jsonl" else packs.read(file, ["sample_ids"])


def _instruction(row: dict[str, Any]) -> dict[str, Any]:
    """Return the instruction in a row of any stage; empty if it has none."""
    plan = row.get("plan")
    inner = row.get("instruction") or (plan.get("instruction") if isinstance(plan, dict) else None)
    return inner if isinstance(inner, dict) else {}


def _origin(row: dict[str, Any]) -> Any:
    """Return where a row of any stage comes from, as FILE:LINE; None if it does not say so."""
    return (_instruction(row) or row).get("origin")


def _ids(row: dict[str, Any]) -> set[str]:
    """Return all ids of a row of any stage."""
    values = [part.get(key) for part in (row, _instruction(row)) for key in _IDS]
    return {value for value in values if value and isinstance(value, str)}


def _withdrawable(row: dict[str, Any]) -> set[str]:
    """Return the id by which a row can be withdrawn; nothing for rejections, answers and scores."""
    inner = _instruction(row) or row
    key = inner.get("instruction_id") or (row.get("sample_id") if row.get("kind") == "general" else None)
    return {key} if key else set()


def _reached(lineages: dict[str, Lineage], data_sets: set[str]) -> list[str]:
    """Return the outputs of all stages that read, directly or not, one of the held data sets."""
    outputs: list[str] = []
    for lineage in lineages.values():  # in the order of the pipeline
        if {*data_sets, *outputs} & set(lineage.inputs):
            outputs += [path for path in lineage.outputs if path not in data_sets]
    return outputs
