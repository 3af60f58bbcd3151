"""Files: JSON Lines with errors that name the bad line, and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import zstandard
from pydantic import BaseModel, TypeAdapter, ValidationError

from longwriter.errors import BadRecord
from longwriter.io import access
from longwriter.settings import problems

DATA = Path("data")
LOCAL = Path(".lw")
_PART_BYTES = 2**16
REPLAY = LOCAL / "replay.sqlite"
CHAT_CHANGES = "chat.json"
"""File in a model's folder: what base_model changed in the chat template, the end of an answer, or the positions."""

R = TypeVar("R", bound=BaseModel)
S = TypeVar("S", bound=BaseModel)


def scan_jsonl(path: Path, record: type[R]) -> Iterator[tuple[str, R | str]]:
    """Yield (`file:line`, record) for each good line, and (`file:line`, reason) for each bad line.

    Empty lines are left out.
    """
    return ((where, row) for where, _, row in _scan(path, record))


def _scan(path: Path, record: type[R]) -> Iterator[tuple[str, int, R | str]]:
    """Yield what `scan_jsonl` yields, with the byte offset of each line."""
    begins = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path}:{number}"
                try:
                    yield where, begins, record.model_validate_json(line)
                except ValidationError as error:
                    yield where, begins, problems.row_problem(record, error.errors()[0])
            begins += len(line)


def check_malformed(malformed: int, rows: int, max_share: float, source: str, first: str | None) -> None:
    """Raise an error if too many rows are malformed; if there are few, the caller rejects each of them.

    Args:
        malformed: Number of malformed rows.
        rows: Number of all rows.
        max_share: Largest share of malformed rows, in [0, 1]: instructions.max_malformed_share.
        source: Where the rows come from, for the error.
        first: The first malformed row and what is wrong with it, for the error; None = there is none.

    Raises:
        BadRecord: more than `max_share` of the rows are malformed; the message shows `first`.
    """
    if malformed > max_share * rows:
        raise BadRecord(
            f"{malformed:,} of {rows:,} rows of {source} are malformed (at most {max_share:.1%} may be: "
            f"instructions.max_malformed_share); the first: {first}"
        )


def _rows(path: Path, record: type[R]) -> Iterator[tuple[int, R]]:
    """Yield (byte offset, row) for each row of `path`; raises as `read_jsonl` does."""
    check_file(path)
    for where, begins, row in _scan(path, record):
        if isinstance(row, str):
            raise BadRecord(f"{where} is not a valid {record.__name__}: {row}")
        yield begins, row


def missing_message(path: Path | str) -> str:
    """Return the message that a file is missing, and what to do: run its stage, if a stage writes it."""
    if stage := _writer(Path(path)):
        return f"{path} is missing: run the stage that writes it (`dvc repro {stage}`)"
    return f"{path} is missing: create it, or correct the key of params.yaml that names it"


def _writer(path: Path) -> str | None:
    """Return the stage that writes a file of data/; None for another file."""
    parts = path.parts
    if len(parts) < 2 or parts[0] != DATA.name:
        return None
    return path.stem if parts[1] == "lineage" else parts[1]


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """Return the rows of `path`.

    Raises:
        BadRecord: the file is missing or has a bad line; the message shows the first bad line and its error.
    """
    return [row for _, row in _rows(path, record)]


def each_row(path: Path, record: type[R]) -> Iterator[R]:
    """Yield the rows of `path`, one in memory at a time; raises as `read_jsonl` does."""
    return (row for _, row in _rows(path, record))


class Indexed(Generic[R]):
    """The rows of a JSON Lines file, kept on disk: 16 bytes of memory for each row; see `indexed`."""

    def __init__(self, path: Path, record: type[R], begins: array[int], weights: array[int]) -> None:
        """Keep the byte offset and the weight of each row."""
        self.weights: Sequence[int] = weights
        self._path, self._record, self._begins = path, record, begins

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._begins)

    def __getitem__(self, position: int, /) -> R:
        """Return a row, read from disk; BadRecord if the file has changed since it was indexed."""
        with self._path.open("rb") as lines:
            lines.seek(self._begins[position])
            try:
                return self._record.model_validate_json(lines.readline())
            except ValidationError:
                raise BadRecord(f"{self._path} changed while it was read: run the stage again") from None

    def __iter__(self) -> Iterator[R]:
        """Yield the rows, one in memory at a time."""
        return (self[position] for position in range(len(self)))


def indexed(path: Path, record: type[R], weight: Callable[[R], int] = lambda _: 1) -> Indexed[R]:
    """Return the rows of `path` as a sequence that reads a row from disk on access.

    Every row is checked once now, so that a bad row stops a stage before its work begins.

    Args:
        path: A JSON Lines file that does not change while the sequence is in use.
        record: Type of the rows.
        weight: Amount of work in a row, at least 0, in the caller's unit; see `Indexed.weights`.

    Raises:
        BadRecord: the file is missing or has a bad line; the message shows the first bad line and its error.
    """
    begins, weights = array("q"), array("q")
    for begin, row in _rows(path, record):
        begins.append(begin)
        weights.append(weight(row))
    return Indexed(path, record, begins, weights)


class Spool(Generic[R]):
    """Records on disk. They are written in any order and read in the order of their positions; see `spool`."""

    def __init__(self, file: IO[bytes], types: tuple[type[R], ...]) -> None:
        """Take an empty file, and the types of the records."""
        self._file, self._types, self._end = file, types, 0
        self._begins: dict[int, tuple[int, type[R]]] = {}

    def put(self, position: int, row: R) -> None:
        """Write a row under its position.

        Raises:
            ValueError: the position is taken, or the row has none of the spool's types.
        """
        if position in self._begins or type(row) not in self._types:
            raise ValueError(f"position {position} is taken, or {type(row).__name__} is not of the spool")
        self._begins[position] = (self._end, type(row))
        if self._file.tell() != self._end:  # only after a read, because every seek flushes the buffer
            self._file.seek(self._end)
        self._end += self._file.write(row.model_dump_json().encode() + b"\n")

    def __iter__(self) -> Iterator[R]:
        """Yield the rows in the order of their positions, one in memory at a time."""
        for _, (begin, record) in sorted(self._begins.items()):
            self._file.seek(begin)
            yield record.model_validate_json(self._file.readline())


@contextmanager
def spool(first: type[R], second: type[S]) -> Iterator[Spool[R | S]]:
    """Yield a store on disk for records of two types that arrive in any order; the block's end removes it.

    Its file in `.lw/tmp` has no name, so nothing remains even if the process is killed.
    """
    (LOCAL / "tmp").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=LOCAL / "tmp") as file:
        yield Spool(file, (first, second))


@contextmanager
def jsonl(path: Path) -> Iterator[Callable[[BaseModel], object]]:
    """Yield a function that appends a row to a new JSON Lines file: UTF-8, keys in record order."""
    with path.open("w", encoding="utf-8") as out:
        yield lambda row: out.write(row.model_dump_json() + "\n")


def write_jsonl(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write rows as JSON Lines, as `jsonl` does."""
    with jsonl(path) as write:
        for row in rows:
            write(row)


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value, indented, with keys in the given order."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, kind: Any = Any) -> Any:
    """Return the JSON value of a file.

    Args:
        path: The file.
        kind: Type that the value must have, such as `dict[str, float]` or a TypedDict; other keys are allowed.

    Raises:
        BadRecord: the file is missing, is not valid JSON or of another type, or is a folder, a pipe or a device.
    """
    text = read_text(path)
    try:
        value = json.loads(text)
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        raise BadRecord(f"{path} {_mismatch(path, error)}") from None
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{path} is not valid JSON: {error}") from None
    return value


def read_record(path: Path, record: type[R]) -> R:
    """Return the record that a JSON file holds; raises as `read_json` does."""
    try:
        return record.model_validate_json(read_text(path), strict=True)
    except ValidationError as error:
        raise BadRecord(f"{path} {_mismatch(path, error)}") from None


def _mismatch(path: Path, error: ValidationError) -> str:
    """Return what is wrong with the JSON value of a file, and what to do."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    stage = _writer(path)
    advice = f"run the stage that writes it again (`dvc repro {stage}`)" if stage else "write it again"
    return f"does not have the form that it needs ({place}: {first['msg']}): {advice}"


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON Lines file whose type is not known, one in memory at a time.

    Raises:
        BadRecord: the file is missing, or a line is no JSON object; the message names the line.
    """
    check_file(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadRecord(f"{path}:{number} is not valid JSON: {error}") from None
            if not isinstance(row, dict):
                raise BadRecord(f"{path}:{number} is no JSON object, so it is no row")
            yield row


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        BadRecord: the file is missing or not UTF-8, or is a folder, a pipe or a device.
    """
    check_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(f"{path} is not UTF-8: {error}") from None


def check_file(path: Path) -> None:
    """Raise BadRecord if a file is missing, and for a folder, or a pipe, at which a reader would wait without end."""
    if not path.exists():
        raise BadRecord(missing_message(path))
    if not path.is_file():
        raise BadRecord(
            f"{path} is a folder, a pipe or a device, not a file: remove it, and make the file again"
        )


@contextmanager
def zstd_lines(path: Path) -> Iterator[io.TextIOWrapper]:
    """Yield a text file at `path` that compresses each line with zstd while it is written."""
    with zstandard.open(path, "wt", encoding="utf-8") as out:
        yield out


def read_zstd_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a zstd-compressed text file.

    Raises:
        BadRecord: the file is damaged, or was cut: then the lines before the cut come first.
    """
    check_file(path)
    frame, rest = zstandard.ZstdDecompressor().decompressobj(), b""
    try:
        with path.open("rb") as file:
            while not frame.eof and (part := file.read(_PART_BYTES)):
                *lines, rest = (rest + frame.decompress(part)).split(b"\n")
                for line in lines:
                    yield f"{line.decode()}\n"
            if not frame.eof or frame.unused_data or file.read(1):  # zstandard.open takes a cut for the end
                raise zstandard.ZstdError("it does not end where its content ends")
        if rest:
            yield rest.decode()
    except (zstandard.ZstdError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} is damaged ({error}): run the stage that writes it again") from None


def refusals_file(calls: Path) -> Path:
    """Return the path beside a call log for the reasons why answers were not used: call_id, reason, detail."""
    return calls.with_name(calls.name.replace("calls", "refusals"))


def join_call_logs(logs: Sequence[Path], target: Path) -> None:
    """Move the lines of several call logs into one, and their refusals too; `target` may be one of the logs."""
    _join(logs, target)
    if refusals := [file for file in map(refusals_file, logs) if file.exists()]:
        _join(refusals, refusals_file(target))


def _join(parts: Sequence[Path], target: Path) -> None:
    whole = target.with_suffix(".joined")
    with zstd_lines(whole) as out:
        for part in parts:
            out.writelines(read_zstd_lines(part))
            part.unlink()
    whole.replace(target)


def template(path: str) -> str:
    """Return a prompt template.

    Raises:
        BadRecord: the file is missing, empty or not UTF-8.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    except UnicodeDecodeError:
        raise BadRecord(f"prompt template {path} is not UTF-8: save it as UTF-8") from None
    if not text:
        raise BadRecord(f"prompt template {path} is missing or empty")
    return text


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Yield an empty folder; if the block succeeds, the folder becomes `target`, and all users may read it.

    A reader sees the old folder, no folder, or the new folder. A killed writer leaves at most a folder in
    `.lw/tmp`; the next writer of the same target removes it.
    """
    scratch = LOCAL / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    prefix = ".".join((*target.parts[-2:], ""))
    for leftover in scratch.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=scratch))
    yield folder
    access.publish(folder)
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_to_other_disk(folder, target)


def _copy_to_other_disk(folder: Path, target: Path) -> None:
    """Move a folder where `data/` lies on another disk than `.lw/`; the target appears when it is whole."""
    part = target.with_name(f".{target.name}.part")
    if part.exists():  # of a killed writer
        shutil.rmtree(part)
    shutil.copytree(folder, part)
    part.replace(target)
    shutil.rmtree(folder)
