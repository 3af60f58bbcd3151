"""Packs and pairs of token ids as Parquet files: int32 lists of any length, which the ranks memory-map."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longwriter.errors import BadRecord
from longwriter.io import files

_SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("seq_lengths", pa.list_(pa.int32())),
        ("sample_ids", pa.list_(pa.string())),
    ]
)


PAIR_COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")
"""Columns of a preference pair, under the names that TRL uses."""
_PAIRS = pa.schema([(name, pa.list_(pa.int32())) for name in PAIR_COLUMNS])


def write(path: Path, packs: Iterable[dict[str, Any]], group: int = 256) -> None:
    """Write packs, each with the columns of `_SCHEMA`; hold at most `group` packs in memory.

    Without packs, the file holds an empty table.
    """
    _write(path, packs, _SCHEMA, group)


def write_pairs(path: Path, pairs: Iterable[dict[str, Any]], group: int = 256) -> None:
    """Write pairs, each with the columns `PAIR_COLUMNS`; hold at most `group` pairs in memory."""
    _write(path, pairs, _PAIRS, group)


def _write(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema, group: int) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as out:
        remaining = iter(rows)
        while part := list(islice(remaining, group)):
            out.write_table(pa.Table.from_pylist(part, schema=schema))


def count(path: Path) -> int:
    """Return the number of packs or pairs in a file."""
    return int(pq.ParquetFile(path).metadata.num_rows)


def read(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    """Return the named columns of all packs.

    Raises:
        BadRecord: the file is no Parquet file, is damaged, or lacks a column.
    """
    files.check_file(path)
    try:
        return list(pq.read_table(path, columns=columns).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise BadRecord(
            f"{path} cannot be read as packs ({_first_line(error)}): run its stage again"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
