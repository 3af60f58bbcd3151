"""Files: JSON Lines in and out, with the row that is wrong named, and outputs published whole."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import zstandard
from pydantic import BaseModel, ValidationError

from longwriter.errors import BadRecord
from longwriter.records import Rejection

DATA = Path("data")
LOCAL = Path(".lw")

R = TypeVar("R", bound=BaseModel)


def scan_jsonl(path: Path, record: type[R]) -> Iterator[tuple[str, R | str]]:
    """Yield (`file:line`, record) for each non-empty line; (`file:line`, why) for a bad one."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path}:{number}"
                try:
                    yield where, record.model_validate_json(line)
                except ValidationError as error:
                    item = error.errors()[0]
                    key = ".".join(str(part) for part in item["loc"])
                    yield where, f"{key + ': ' if key else ''}{item['msg']}"


def scan_folder(folder: Path, pattern: str, record: type[R]) -> Iterator[tuple[str, R | str]]:
    """Yield what `scan_jsonl` yields for each matching file below `folder`, by name.

    Raises:
        BadRecord: no file matches.
    """
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise BadRecord(f"no file matches {pattern} below {folder}")
    for path in found:
        yield from scan_jsonl(path, record)


def check_malformed(rejected: list[Rejection], rows: int, max_share: float, source: str) -> None:
    """Let a few malformed rows pass as rejections, and stop at more.

    Raises:
        BadRecord: more than `max_share` of the rows are malformed; names the first.
    """
    bad = [row for row in rejected if row.reason == "malformed"]
    if len(bad) > max_share * rows:
        raise BadRecord(
            f"{len(bad):,} of {rows:,} rows of {source} are malformed (at most {max_share:.1%} may be); "
            f"the first: {bad[0].row_id}: {bad[0].detail}"
        )


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """Return the rows of `path`.

    Raises:
        BadRecord: the file is missing, or names the first bad line and what is wrong with it.
    """
    if not path.is_file():
        raise BadRecord(f"{path} is missing: run the stage that writes it (`dvc repro`)")
    rows: list[R] = []
    for where, row in scan_jsonl(path, record):
        if isinstance(row, str):
            raise BadRecord(f"{where} is no {record.__name__}: {row}")
        rows.append(row)
    return rows


def write_jsonl(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write rows as JSON Lines, UTF-8, keys in the record's order."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(row.model_dump_json() + "\n" for row in rows)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value, indented, keys as given."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the JSON value of a file.

    Raises:
        BadRecord: the file is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} is no JSON: {error}") from None


@contextmanager
def zstd_lines(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open `path` for text lines, compressed with zstd as they come."""
    with zstandard.open(path, "wt", encoding="utf-8") as out:
        yield out


def read_zstd_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a zstd-compressed text file."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        yield from lines


def template(path: str) -> str:
    """Return a prompt template.

    Raises:
        BadRecord: the file is missing or empty.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    if not text:
        raise BadRecord(f"prompt template {path} is missing or empty")
    return text


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Yield an empty folder on the same disk; when the block ends well, it becomes `target`.

    A reader sees the old folder, no folder, or the new one; a killed writer leaves at most a
    folder in `.lw/tmp`, which the next one removes.
    """
    scratch = LOCAL / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    prefix = ".".join((*target.parts[-2:], ""))
    for old in scratch.glob(f"{prefix}*"):
        shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=scratch))
    folder.chmod(0o755)
    yield folder
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.replace(target)
