"""Packs as Parquet files: ragged int32 columns that the ranks memory-map instead of copying."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("labels", pa.list_(pa.int32())),
        ("seq_lengths", pa.list_(pa.int32())),
        ("sample_ids", pa.list_(pa.string())),
    ]
)


def write(path: Path, packs: Iterable[dict[str, Any]], group: int = 256) -> None:
    """Write packs, with at most `group` of them in memory; without packs, the table is empty."""
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as out:
        rows = iter(packs)
        while part := list(islice(rows, group)):
            out.write_table(pa.Table.from_pylist(part, schema=_SCHEMA))


def read(path: Path, columns: list[str]) -> list[dict[str, Any]]:
    """Return the named columns of all packs."""
    return list(pq.read_table(path, columns=columns).to_pylist())
