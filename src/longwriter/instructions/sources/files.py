"""Rows of a source, streamed in chunks: files of a folder, objects of a bucket, a set of the hub.

| format | told by |
|---|---|
| JSON Lines, plain or packed | `.jsonl` `.ndjson`, also with `.gz` or `.zst` behind |
| Parquet | `.parquet` |
| folder of `datasets.save_to_disk` | a `state.json` or `dataset_dict.json` in it |

Other files are left out (a README beside the data is no row). A chunk holds rows as they were stored;
`rows` decodes it, in whatever process that is done. Memory holds a few chunks, never a file.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from longwriter.errors import BadRecord
from longwriter.instructions.sources import rows as source_rows
from longwriter.io import s3

log = logging.getLogger(__name__)

_LINES = (".jsonl", ".ndjson")
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_SAVED = ("dataset_dict.json", "state.json")
_CHUNK_ROWS = 2000
_CHUNK_BYTES = 8 * 2**20
_LINE_BYTES = 16 * 2**20  # a longer line is malformed: nobody typed it


class Chunk(NamedTuple):
    """Rows in a row of one file: its name, the number of the first, and lines or an Arrow batch.

    A line of None was longer than 16 MiB and is left out.
    """

    where: str
    first: int
    content: list[bytes | None] | pa.RecordBatch


def chunks(source: str, pattern: str) -> Iterator[Chunk]:
    """Yield all rows of a source, in the order of its files' names.

    Args:
        source: A file, a folder, or `s3://bucket/prefix`.
        pattern: Glob below a folder or prefix; one file, or a saved data set, is read whatever it is.

    Raises:
        BadRecord: there is no readable file, or one breaks off.
    """
    if source.startswith("s3://"):
        yield from _objects(source, pattern)
        return
    root = Path(source)
    if _is_saved(root):
        yield from _saved(root)
        return
    found = [root] if root.is_file() else sorted(path for path in root.glob(pattern) if path.is_file())
    saved = sorted(path for path in root.glob(pattern) if path.is_dir() and _is_saved(path))
    for path in _readable(found, f"{pattern} below {source}") if found or not saved else []:
        if _is_parquet(path.name):
            with path.open("rb") as file:
                yield from _parquet(str(path), file)
        else:
            with path.open("rb") as file, _unpacked(path.name, file) as lines:
                yield from _lines(str(path), lines)
    for folder in saved:
        yield from _saved(folder)


def rows(chunk: Chunk) -> Iterator[tuple[str, source_rows.SourceRow | str]]:
    """Yield (`file:line`, row) for each row of a chunk; (`file:line`, why) for a malformed one.

    Empty lines are no rows. Rows of Parquet and Arrow are counted from 1 as lines are.
    """
    if isinstance(chunk.content, pa.RecordBatch):
        for number, value in enumerate(_values(chunk.content), chunk.first):
            row = value if isinstance(value, str) else source_rows.parse(value)
            yield f"{chunk.where}:{number}", row
        return
    for number, line in enumerate(chunk.content, chunk.first):
        if line is None:
            yield f"{chunk.where}:{number}", f"a line of more than {_LINE_BYTES:,} bytes"
        elif line.strip():
            yield f"{chunk.where}:{number}", _of_json(line)


def _of_json(line: bytes) -> source_rows.SourceRow | str:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    return source_rows.parse(value)


def _values(batch: pa.RecordBatch) -> list[dict[str, Any] | str]:
    """Return the rows of a batch; for one whose text is no UTF-8, what is wrong with it."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [f"no UTF-8: {error.reason}"]
        return [value for at in range(batch.num_rows) for value in _values(batch.slice(at, 1))]


def _readable(found: list[Any], told: str) -> list[Any]:
    """Return the files of a known format; raise where there is none."""
    known = [path for path in found if _is_parquet(path.name) or _is_lines(path.name)]
    if len(known) < len(found):
        log.info("%d files of other formats left out of %s", len(found) - len(known), told)
    if not known:
        raise BadRecord(f"no file matches {told}: .jsonl, .ndjson (also .gz, .zst) and .parquet are read")
    return known


def _is_parquet(name: str) -> bool:
    return name.endswith(".parquet")


def _is_lines(name: str) -> bool:
    bare = name.removesuffix(".gz").removesuffix(".zst")
    return bare.endswith(_LINES)


def _is_saved(path: Path) -> bool:
    return any((path / name).is_file() for name in _SAVED)


def _objects(source: str, pattern: str) -> Iterator[Chunk]:
    """Yield the rows of the objects under a prefix."""
    bucket, prefix = source.split("/", 3)[2], PurePosixPath(source.partition("://")[2].partition("/")[2])
    found = [PurePosixPath(key) for key in s3.keys(source)]
    below = [key for key in found if key == prefix or _matches(key.relative_to(prefix), pattern)]
    for key in _readable(below, f"{pattern} below {source}"):
        url = f"s3://{bucket}/{key}"
        if _is_parquet(key.name):
            with s3.copied(url) as file:
                yield from _parquet(url, file)
        else:
            with s3.stream(url) as file, _unpacked(key.name, file) as lines:
                yield from _lines(url, lines)


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """Tell what Path.glob would: `**/` stands for any folders, none too."""
    if pattern.startswith("**/"):
        return path.match(pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)


@contextmanager
def _unpacked(name: str, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield the plain bytes of a file; Arrow's reader notices where a packed one breaks off."""
    packed = next((codec for end, codec in _PACKED.items() if name.endswith(end)), None)
    if packed is None:
        yield file
        return
    with pa.CompressedInputStream(pa.PythonFile(file, "r"), packed) as plain:
        yield io.BufferedReader(plain)


def _lines(where: str, file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the lines of a file in chunks.

    Raises:
        BadRecord: a packed file breaks off.
    """
    first, size, lines = 1, 0, []  # type: tuple[int, int, list[bytes | None]]
    try:
        for line in _bounded(file):
            lines.append(line)
            size += len(line or b"")
            if len(lines) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                yield Chunk(where, first, lines)
                first, size, lines = first + len(lines), 0, []
    except OSError as error:
        raise BadRecord(f"{where} breaks off after line {first + len(lines) - 1:,}: {error}") from None
    if lines:
        yield Chunk(where, first, lines)


def _bounded(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yield the lines of a file; None for one that is too long."""
    while line := file.readline(_LINE_BYTES):
        if len(line) < _LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while (rest := file.readline(_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _parquet(where: str, file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the rows of a Parquet file in chunks, the known columns alone."""
    try:
        table = pq.ParquetFile(file)
        columns = [name for name in table.schema_arrow.names if name in source_rows.COLUMNS]
        first = 1
        for batch in table.iter_batches(_CHUNK_ROWS, columns=columns):
            yield Chunk(where, first, batch)
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise BadRecord(f"{where} is no whole Parquet file: {error}") from None


def _saved(folder: Path) -> Iterator[Chunk]:
    """Yield the rows of a data set that was saved by Hugging Face's `save_to_disk`, all its splits."""
    import datasets

    found = datasets.load_from_disk(str(folder))
    splits = found if isinstance(found, datasets.DatasetDict) else {"": found}
    for name, split in splits.items():
        yield from of_dataset(str(folder / name), split)


def of_dataset(where: str, split: Any) -> Iterator[Chunk]:
    """Yield the rows of a data set of Hugging Face's library, in memory, on disk or streamed."""
    columns = [name for name in split.column_names or [] if name in source_rows.COLUMNS]
    first = 1
    for table in split.select_columns(columns).with_format("arrow").iter(_CHUNK_ROWS):
        for batch in table.combine_chunks().to_batches():
            yield Chunk(where, first, batch)
            first += batch.num_rows
