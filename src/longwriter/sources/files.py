"""Rows of a source, streamed in chunks: files of a folder, objects of a bucket, a data set of the hub.

| format | recognised by, in any case |
|---|---|
| JSON Lines | `.jsonl` `.ndjson` `.jsonlines` `.ldjson`, or `.json` whose first line is a row with an instruction |
| one JSON array of rows, also under a key such as `data` | `.json`, or `.jsonl` that begins with `[{` |
| CSV, TSV; the first line names the columns | `.csv` `.tsv` |
| Parquet | `.parquet` |
| folder of `datasets.save_to_disk` | a `state.json` or `dataset_dict.json` in it |

JSON and CSV may be compressed (`.gz`, `.zst`, `.bz2`, `.xz` or `.lzma` after the name, or first bytes that say so). They may be UTF-16 or UTF-32; the first bytes show that.
Files of other formats (a README beside the data) and hidden files are left out, and the log says how many. A
chunk holds rows as they are stored; any process may decode it with `rows`. Memory holds a few chunks, never
a whole file.
"""

from __future__ import annotations

import io
import logging
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from longwriter.amounts import amount
from longwriter.errors import BadRecord
from longwriter.io import s3
from longwriter.schemas import rows as source_rows
from longwriter.schemas.contents import Unusable
from longwriter.sources import arrays, csv_files, packed, tables
from longwriter.sources.json_texts import of_json

log = logging.getLogger(__name__)

_TEXTS = r"jsonl|ndjson|jsonlines|ldjson|json|csv|tsv"
_PACKED = r"gz|gzip|zst|zstd|bz2|xz|lzma"
_FORMAT = re.compile(rf"\.(?:(?P<parquet>parquet)|(?P<text>{_TEXTS})(?:\.(?:{_PACKED}))?)$", re.IGNORECASE)
_PATTERN_END = re.compile(rf"(?:\.(?:{_TEXTS}|parquet|{_PACKED}))++(?P<end>\*?$)?", re.IGNORECASE)
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, UnicodeDecodeError)
_HIDDEN = (".", "__MACOSX")  # macOS puts hidden files into a folder of its archives
_LFS = b"version https://git-lfs"
_SAVED = ("dataset_dict.json", "state.json")
_SPACE = b" \t\r\n\v\f\0\x1a\x1e\xef\xbb\xbf"  # with the bytes of a byte order mark, which may stand between files that were joined
_CHUNK_ROWS = 2000
_CHUNK_BYTES = 8 * 2**20
_LINE_BYTES = 16 * 2**20  # a longer line is malformed: no person wrote it


class Chunk(NamedTuple):
    """Some neighbouring rows of one file.

    `where`: name of the file. `first`: number of the first row. `content`: JSON texts, or an Arrow batch; what
    cannot be a row is Unusable. `format`: name of the format, for the log.
    """

    where: str
    first: int
    content: list[bytes | Unusable] | pa.RecordBatch
    format: str


def chunks(source: str, pattern: str) -> Iterator[Chunk]:
    """Yield all rows of a source, in the order of its files' names.

    Args:
        source: A file, a folder, or `s3://bucket/prefix`.
        pattern: Glob below a folder or prefix. It is ignored if the source is one file or a saved data set.

    Raises:
        BadRecord: there is no readable file, a file is damaged, or no file holds a row.
    """
    is_empty = True
    for chunk in _all_chunks(source, pattern):
        is_empty = is_empty and not _has_rows(chunk)
        yield chunk
    if is_empty:
        raise BadRecord(
            f"{source}: no file of the pattern {pattern} holds a row: are the files empty? A .json file that is no array, "
            "and a CSV file without a known column, are read only if instructions.source or instructions.pattern names them"
        )


def _has_rows(chunk: Chunk) -> bool:
    """Tell whether a chunk holds more than empty lines."""
    if isinstance(chunk.content, pa.RecordBatch):
        return bool(chunk.content.num_rows)
    return any(isinstance(text, Unusable) or text.strip(_SPACE) for text in chunk.content)


def _all_chunks(source: str, pattern: str) -> Iterator[Chunk]:
    """Yield the rows of all files; see `chunks`."""
    if source.startswith("s3://"):
        yield from _objects(source, pattern)
        return
    root = Path(source)
    if _is_saved(root):
        yield from _saved(root)
        return
    is_named = root.is_file() or _names_text(pattern)
    matches, hidden = ([root], 0) if root.is_file() else _visible(root, pattern)
    data_sets = [path for path in matches if path.is_dir() and _is_saved(path)]
    paths = [str(path) for path in matches if path.is_file()]
    place = str(source) if root.is_file() else f"{pattern} below {source}"
    for path in _readable(paths, hidden, place) if paths or not data_sets else []:
        with _open(path) as file:
            yield from _file_chunks(path, file, is_named)
    for folder in data_sets:
        yield from _saved(folder)


def rows(chunk: Chunk) -> Iterator[tuple[str, source_rows.SourceRow | Unusable]]:
    """Yield (`file:number`, row) for each row of a chunk; Unusable in place of a row without an instruction.

    The number of a row of JSON Lines is its line, and empty lines are not rows. Rows of arrays and tables are
    counted from 1.
    """
    for origin, value in decoded(chunk):
        yield origin, value if isinstance(value, Unusable) else source_rows.parse(value)


def decoded(chunk: Chunk) -> Iterator[tuple[str, Any]]:
    """Yield (`file:number`, value) for each row of a chunk; Unusable in place of a value that cannot be read."""
    if isinstance(chunk.content, pa.RecordBatch):
        for number, value in enumerate(tables.values(chunk.content), chunk.first):
            yield f"{chunk.where}:{number}", Unusable("malformed", value) if isinstance(value, str) else value
        return
    for number, text in enumerate(chunk.content, chunk.first):
        if isinstance(text, Unusable):
            yield f"{chunk.where}:{number}", text
        elif text.strip(_SPACE):
            yield f"{chunk.where}:{number}", of_json(text)


def _visible(root: Path, pattern: str) -> tuple[list[Path], int]:
    """Return (sorted matches of a pattern below a folder, number of hidden files that are left out)."""
    try:
        matches = sorted(root.glob(_any_case(pattern)))
    except (ValueError, NotImplementedError) as error:
        raise BadRecord(f"instructions.pattern {pattern!r} is no glob: {error}") from None
    visible = [path for path in matches if not _is_hidden(path.relative_to(root).parts, pattern)]
    return visible, sum(path.is_file() for path in matches) - sum(path.is_file() for path in visible)


def _is_hidden(parts: Sequence[str], pattern: str) -> bool:
    """Tell whether a file or one of its folders is hidden; never, if the pattern itself names a hidden file."""
    means_hidden = any(part.startswith(_HIDDEN) for part in pattern.split("/"))
    return not means_hidden and any(part.startswith(_HIDDEN) for part in parts)


def _any_case(pattern: str) -> str:
    """Return a glob that matches the suffix of a file in any case: `*.gz` becomes `*.[gG][zZ]`."""

    def either(suffixes: re.Match[str]) -> str:
        if suffixes["end"] is None:
            return suffixes[0]
        return re.sub("[a-zA-Z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", suffixes[0])

    return _PATTERN_END.sub(either, pattern)


def _names_text(pattern: str) -> bool:
    """Tell whether a pattern names files of text; if it does not, such files are often settings, not rows."""
    return any(suffix in pattern.lower() for suffix in (".json", ".csv", ".tsv"))


def _readable(paths: list[str], hidden: int, place: str) -> list[str]:
    """Return the files of a format that is read, and log how many others are left out; raise if there is none."""
    readable = [path for path in paths if _FORMAT.search(path)]
    others = [path.rpartition("/")[2] for path in paths if not _FORMAT.search(path)]
    left_out = [f"{hidden:,} hidden"] if hidden else []
    if others:
        names = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        left_out.append(f"{len(others):,} of other formats ({names})")
    note = f"; left out: {', '.join(left_out)}" if left_out else ""
    if not readable:
        raise BadRecord(
            f"no file matches {place}: .jsonl, .ndjson, .json, .csv, .tsv (also .gz, .zst, .bz2, .xz, .lzma) and .parquet are read{note}; "
            "check that instructions.source exists and that instructions.pattern fits to its files"
        )
    log.info("%s: %s%s", place, amount(len(readable), "file"), note)
    return readable


def _is_saved(path: Path) -> bool:
    return any((path / name).is_file() for name in _SAVED)


def _objects(source: str, pattern: str) -> Iterator[Chunk]:
    """Yield the rows of the objects under a prefix."""
    bucket, prefix = s3.parts(source)
    below = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    keys = s3.keys(source)
    glob = _any_case(pattern).split("/")
    matches = [key for key in keys if key == prefix or _matches(key.removeprefix(below).split("/"), glob)]
    visible = [
        key for key in matches if key == prefix or not _is_hidden(key.removeprefix(below).split("/"), pattern)
    ]
    hidden = len(matches) - len(visible)
    is_named = visible == [prefix] or _names_text(pattern)
    for key in _readable(visible, hidden, f"{pattern} below {source}"):
        url = f"s3://{bucket}/{key}"
        with s3.copied(url) if _is_parquet(key) else s3.stream(url) as file:
            yield from _file_chunks(url, file, is_named)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether a pattern matches a path, as Path.glob does: `**` stands for zero or more folders."""
    if not parts or not pattern:
        return not parts and not pattern
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts)))
    return fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _open(path: str) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise BadRecord(f"{path} cannot be opened: {error.strerror}") from None


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _file_chunks(where: str, file: IO[bytes], is_named: bool) -> Iterator[Chunk]:
    """Yield the rows of a file.

    A `.json` file that neither source nor pattern names must be an array or begin with a row, and a `.csv` file must have a column
    that can hold an instruction; else it is left out.
    """
    if _is_parquet(where):
        yield from _parquet(where, file)
        return
    try:
        text = packed.plain_text(where, file)
        head = text.peek(packed.HEAD)[: packed.HEAD]
    except _DAMAGE as error:
        raise BadRecord(f"{where} breaks off after row 0: {error}") from None
    if head.startswith(_LFS):
        raise BadRecord(f"{where} is a pointer of Git LFS, not the file: run git lfs pull in its repository")
    kind = match["text"].lower() if (match := _FORMAT.search(where)) else ""
    if kind in ("csv", "tsv"):
        yield from _csv(where, text, kind.upper(), is_named)
        return
    is_json = kind == "json"
    if arrays.is_array(head) or (is_json and is_named and not arrays.is_lines(head)):
        yield from _in_chunks(where, arrays.rows(where, text, _LINE_BYTES), "JSON array")
    elif is_json and not is_named and not _begins_with_row(head):
        log.info("%s: left out: it holds no rows, and instructions.pattern does not end in .json", where)
    else:
        yield from _in_chunks(where, _lines(text), "JSON Lines")


def _begins_with_row(head: bytes) -> bool:
    """Tell whether the first line of a file is a whole row that has an instruction."""
    first = head.partition(b"\n")[0]
    return arrays.is_lines(head) and isinstance(source_rows.parse(of_json(first)), source_rows.SourceRow)


def _csv(where: str, file: io.BufferedReader, name: str, is_named: bool) -> Iterator[Chunk]:
    """Yield the rows of a CSV or TSV file."""
    try:
        table = csv_files.Table(where, file, _LINE_BYTES)
    except _DAMAGE as error:
        raise BadRecord(f"{where} breaks off after row 0: {error}") from None
    problem = table.problem(is_named)
    if problem is None:
        yield from _in_chunks(where, table.rows(), name)
    elif is_named:
        raise BadRecord(f"{where}: {problem}")
    else:
        log.info("%s: left out: %s", where, problem)


def _in_chunks(where: str, texts: Iterator[bytes | Unusable], name: str) -> Iterator[Chunk]:
    """Yield the rows of a file in chunks.

    Raises:
        BadRecord: the file is cut off or damaged.
    """
    first, size, chunk = 1, 0, []  # type: tuple[int, int, list[bytes | Unusable]]
    try:
        for text in texts:
            chunk.append(text)
            size += len(text) if isinstance(text, bytes) else 0
            if len(chunk) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
                yield Chunk(where, first, chunk, name)
                first, size, chunk = first + len(chunk), 0, []
    except _DAMAGE as error:
        raise BadRecord(f"{where} breaks off after row {first + len(chunk) - 1:,}: {error}") from None
    if chunk:
        yield Chunk(where, first, chunk, name)


def _lines(file: io.BufferedReader) -> Iterator[bytes | Unusable]:
    """Yield the lines of a file; Unusable in place of a line that is too long."""
    while line := file.readline(_LINE_BYTES):
        if len(line) < _LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while (piece := file.readline(_LINE_BYTES)) and not piece.endswith(b"\n"):
            pass
        yield Unusable("malformed", f"a line of more than {_LINE_BYTES:,} bytes")


def _parquet(where: str, file: IO[bytes]) -> Iterator[Chunk]:
    """Yield the rows of a Parquet file in chunks, with only the columns that are read."""
    try:
        table = pq.ParquetFile(file)
        columns = tables.columns(table.schema_arrow)
        if twice := [name for name in columns if table.schema_arrow.names.count(name) > 1]:
            raise BadRecord(f"{where}: its schema names the column {twice[0]} more than once")
        first = 1
        for batch in table.iter_batches(_CHUNK_ROWS, columns=columns):
            yield Chunk(where, first, batch, "Parquet")
            first += batch.num_rows
    except _DAMAGE as error:
        raise BadRecord(f"{where} is no whole Parquet file: {error}") from None


def _saved(folder: Path) -> Iterator[Chunk]:
    """Yield the rows of all splits of a data set that Hugging Face's `save_to_disk` wrote."""
    import datasets

    dataset = datasets.load_from_disk(str(folder))
    splits = dataset if isinstance(dataset, datasets.DatasetDict) else {"": dataset}
    for name, split in splits.items():
        yield from of_dataset(str(folder / name), split)


def of_dataset(where: str, split: Any) -> Iterator[Chunk]:
    """Yield the rows of one split of a Hugging Face data set, which may be in memory, on disk or streamed.

    Raises:
        BadRecord: the split has none of the columns that are read.
    """
    names = list(split.column_names or [])
    columns = tables.columns(split.features.arrow_schema) if split.features else []
    if not columns:
        raise BadRecord(f"{where}: none of its columns ({', '.join(names)}) can hold an instruction")
    first = 1
    for table in split.select_columns(columns).with_format("arrow").iter(_CHUNK_ROWS):
        for batch in table.combine_chunks().to_batches():
            yield Chunk(where, first, batch, "Hugging Face data set")
            first += batch.num_rows
