"""Repairs damaged SQLite files: renames the file, and copies the rows that can be read into a new file.

It also corrects MLflow's paths in a checkout that was copied or moved.

SQLite reports damage only when a query reads the damaged page, so a check reads the whole file. A damaged inner
page of a table hides the rows below it: these rows are not copied, and stay in the renamed file.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from longwriter.errors import LongWriterError, Unavailable

DatabaseError = sqlite3.DatabaseError
_ARTIFACTS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("trace_tags", "value"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow stores paths of artifacts: (table, column); new runs take their path from the first column."""


def damage(file: Path) -> str | None:
    """Return what is wrong with a database, or None; None also for a missing or empty file.

    Raises:
        OSError: the file cannot be read.
    """
    if not file.exists():
        return None
    if not file.is_file():
        return "no file"
    if not file.stat().st_size:
        return None
    try:
        with closing(_connect(file)) as db:
            (message,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except DatabaseError as error:
        if _is_busy(error):
            return None  # another process is writing it, so it can be read
        return str(error)
    return None if message == "ok" else message.replace("\n", " ")


def clear(path: Path) -> Path | None:
    """Rename a folder that stands where a file is needed; return its new path, or None if there is no folder."""
    return _moved(path, ("",)) if path.is_dir() else None


def clear_beside(file: Path) -> list[Path]:
    """Rename the folders that stand where SQLite needs the files beside a database; return their new paths."""
    moved = (clear(file.with_name(file.name + suffix)) for suffix in ("-wal", "-shm", "-journal"))
    return [path for path in moved if path]


def set_aside(file: Path) -> Path:
    """Rename a database together with its journal; return the new path, which holds the time in UTC.

    Raises:
        LongWriterError: all names for this second are taken.
        Unavailable: it is a device, or a link to one; the machine needs its devices under their names.
    """
    if file.is_char_device() or file.is_block_device():
        raise Unavailable(f"{file} is a device, or a link to one, and no database: remove it, then run again")
    return _moved(file, ("-wal", "-shm", "-journal", ""))


def _moved(file: Path, suffixes: Sequence[str]) -> Path:
    """Rename a file and the files beside it with these suffixes; return its new path."""
    base = f"{file.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = [base, *(f"{base}-{number}" for number in range(2, 100))]
    target = next((file.with_name(name) for name in names if not file.with_name(name).exists()), None)
    if target is None:
        raise LongWriterError(f"{file.parent} has 99 files {base}: remove some")
    for suffix in suffixes:
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def repair(file: Path) -> str | None:
    """Replace a damaged database by a new one with the rows that can be read.

    The damaged file is kept under another name. The caller holds a lock that keeps other processes away.

    Returns:
        One line for the log: what was wrong, the new name of the damaged file, and how many rows were copied;
        None if nothing is wrong.

    Raises:
        Unavailable: the file is a link to a file that is missing, or a device; a device is never renamed.
    """
    if file.is_symlink() and not file.exists():
        raise Unavailable(
            f"{file} is a link to {file.readlink()}, which is missing: mount its disk, or remove the link"
        )
    beside = clear_beside(file)
    if (reason := damage(file)) is None:
        moved = ", ".join(path.name for path in beside)
        return f"{file}: a folder stood in place of a file beside it: kept as {moved}" if moved else None
    aside = set_aside(file)
    if not aside.is_file():
        return f"{file} is no file: kept as {aside.name}"
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    rows = _copy(aside, part)
    if rows:
        part.replace(file)
    else:
        part.unlink(missing_ok=True)
    return f"{file} is damaged ({reason}): kept as {aside.name}; {rows:,} rows could be read and are used"


def adopt_artifacts(file: Path, folder: Path) -> str | None:
    """Let MLflow's records name the artifacts of this checkout, if it is a copy or was moved.

    MLflow stores absolute paths, so a copied checkout would write into the first one. Paths of earlier runs
    are changed only if their artifacts are here too.

    Args:
        file: MLflow's database; it may be missing.
        folder: Where this checkout keeps artifacts.

    Returns:
        The folder that the records named before; None if nothing was changed.
    """
    if not file.exists():
        return None
    new = folder.resolve().as_uri()
    try:
        with closing(_connect(file)) as db, db:
            rows = db.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
            olds = [old for (old,) in rows if _is_artifacts(old) and old != new]
            for old in olds:
                columns = _ARTIFACTS if folder.is_dir() else _ARTIFACTS[:1]
                for table, column in columns:
                    db.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                    )
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such"):
            raise
        return None  # MLflow has not made its tables yet
    return olds[0] if olds else None


def _is_artifacts(location: str | None) -> bool:
    return bool(location) and str(location).startswith("file:") and str(location).endswith("/.lw/mlartifacts")


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=30.0)


def _is_busy(error: DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _copy(damaged: Path, new: Path) -> int:
    """Copy tables, readable rows and indexes into a new database; return the number of rows."""
    with closing(_connect(damaged)) as source, closing(sqlite3.connect(new)) as target:
        source.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            source.execute("PRAGMA writable_schema = ON")  # without it, SQLite opens no file that was cut
            version = source.execute("PRAGMA user_version").fetchone()[0]
            schema = source.execute(
                "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
        except DatabaseError:
            return 0
        for kind in ("table", "index", "view", "trigger"):
            for _, name, sql in (entry for entry in schema if entry[0] == kind):
                with contextlib.suppress(DatabaseError):  # the schema may be damaged too
                    target.execute(sql)
                    if kind == "table":
                        _copy_table(source, target, name)
        target.execute(f"PRAGMA user_version = {int(version)}")
        target.commit()
        return target.total_changes


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, name: str) -> None:
    """Copy the rows of a table from its first row and from its last row, each up to the first damaged page."""
    table = '"' + name.replace('"', '""') + '"'
    columns = source.execute(f"PRAGMA table_info({table})").fetchall()
    keys = [column[1] for column in sorted(columns, key=lambda column: int(column[5])) if column[5]]
    key = _order(source, table, keys)
    into = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{column} {direction}" for column in key)
        is_whole = True
        rows = source.execute(f"SELECT * FROM {table} ORDER BY {order}")
        while True:
            try:
                row = next(rows, None)
            except DatabaseError:
                is_whole = False
                break
            if row is None:
                break
            target.execute(into, row)
        if is_whole:
            return


def _order(source: sqlite3.Connection, table: str, keys: list[str]) -> list[str]:
    """Return the columns in whose order a table is stored: `rowid`, or its key if it has no rowid."""
    try:
        source.execute(f"SELECT rowid FROM {table} LIMIT 0")
    except sqlite3.OperationalError:
        return ['"' + key.replace('"', '""') + '"' for key in keys]
    return ["rowid"]
