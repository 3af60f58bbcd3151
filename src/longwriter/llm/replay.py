"""The replay cache, in SQLite, for many processes: has this exact request been answered?

A complete answer is stored durably before anybody judges it, so that a killed or repeated stage
pays for nothing twice. It lies outside DVC's outputs, which DVC deletes before a stage runs.
Beside the answers it keeps what a local engine with certain weights was seen to honour.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import zstandard
from filelock import FileLock

from longwriter.errors import Unavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    request_hash TEXT PRIMARY KEY,
    stored_at    TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    body         BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS capabilities (
    engine_hash TEXT PRIMARY KEY,
    stored_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
    body        TEXT NOT NULL
) WITHOUT ROWID;
"""
_VERSION = 1  # PRAGMA user_version; 0 = the tables above, without these columns
_ADDED = (
    "model TEXT NOT NULL DEFAULT ''",  # '' = stored before models were noted
    "latency_s REAL",
    "prompt_tokens INTEGER",
    "completion_tokens INTEGER",
)
_WAIT_S = 30.0  # for another process's transaction
_INSERT = (
    "INSERT INTO answers (request_hash, body, model, latency_s, prompt_tokens, completion_tokens) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request_hash) DO NOTHING"
)
_SELECT = "SELECT body FROM answers WHERE request_hash = ?"


class Row(NamedTuple):
    """An answer as it is stored; `body` is zstd-compressed JSON."""

    request_hash: str
    body: bytes
    model: str = ""
    latency_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Size(NamedTuple):
    """What the cache holds of one model; bytes are compressed, times are UTC as ISO 8601."""

    model: str
    answers: int
    bytes: int
    oldest: str
    newest: str


class Speed(NamedTuple):
    """Means over the `n` stored answers of a model that have them; all 0 where n is 0."""

    latency_s: float
    prompt_tokens: float
    completion_tokens: float
    n: int


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")  # an answer that was paid for survives a power cut
    return db


def _set_up(db: sqlite3.Connection) -> None:
    """Make the tables, or add the columns that an older cache lacks."""
    if db.execute("PRAGMA user_version").fetchone()[0] >= _VERSION:
        return
    db.executescript(_SCHEMA)
    there = {row[1] for row in db.execute("PRAGMA table_info(answers)")}
    for column in _ADDED:
        if column.split()[0] not in there:
            db.execute(f"ALTER TABLE answers ADD COLUMN {column}")
    db.execute(f"PRAGMA user_version = {_VERSION}")
    db.commit()


class ReplayCache:
    """Answers by request hash; safe for threads and for several processes at once.

    Reads and writes have connections of their own, so that no reader waits for the disk.
    """

    def __init__(self, path: Path) -> None:
        """Open the cache at `path`, made under a lock where it is not there yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            self._writer = _open(path)
            _set_up(self._writer)
            self._reader = _open(path)
        self._reading, self._writing = threading.Lock(), threading.Lock()

    def get(self, request_hash: str) -> dict[str, Any] | None:
        """Return the stored answer, or None."""
        with self._reading:
            row = self._reader.execute(_SELECT, (request_hash,)).fetchone()
        return None if row is None else orjson.loads(zstandard.decompress(row[0]))

    def put(self, request_hash: str, answer: dict[str, Any]) -> None:
        """Store an answer durably; the first one stored for a request stays."""
        self.put_many(
            [Row(request_hash, zstandard.compress(json.dumps(answer, ensure_ascii=False).encode()))]
        )

    def put_many(self, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
        """Store answers durably, in one transaction.

        Returns:
            What was stored before, by request hash, for the requests that had an answer already:
            the first one stays.

        Raises:
            sqlite3.Error: nothing was stored, such as on a full disk.
        """
        with self._writing, self._writer as db:
            late = [row.request_hash for row in rows if db.execute(_INSERT, row).rowcount == 0]
            first = {key: db.execute(_SELECT, (key,)).fetchone()[0] for key in late}
        return {key: orjson.loads(zstandard.decompress(body)) for key, body in first.items()}

    def capabilities(self, engine_hash: str) -> dict[str, Any] | None:
        """Return what an engine with these weights was last seen to honour, or None."""
        with self._reading:
            row = self._reader.execute(
                "SELECT body FROM capabilities WHERE engine_hash = ?", (engine_hash,)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def put_capabilities(self, engine_hash: str, seen: dict[str, Any]) -> None:
        """Store what an engine was seen to honour, in place of what was stored before."""
        with self._writing, self._writer as db:
            db.execute(
                "INSERT OR REPLACE INTO capabilities (engine_hash, body) VALUES (?, ?)",
                (engine_hash, json.dumps(seen)),
            )

    def close(self) -> None:
        """Close the database."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()


@contextmanager
def _existing(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection to the cache at `path`; None where there is none."""
    if not path.is_file():
        yield None
        return
    with FileLock(path.with_suffix(".lock")), closing(_open(path)) as db:
        _set_up(db)
        yield db


def sizes(path: Path) -> list[Size]:
    """Return what the cache at `path` holds, by model, the largest first; empty without a cache."""
    with _existing(path) as db:
        rows = [] if db is None else db.execute(
            "SELECT model, COUNT(*), SUM(LENGTH(body)), MIN(stored_at), MAX(stored_at) "
            "FROM answers GROUP BY model ORDER BY 3 DESC"
        ).fetchall()  # fmt: skip
    return [Size(*row) for row in rows]


def prune(path: Path, *, before: datetime | None, model: str | None) -> tuple[int, int]:
    """Remove answers, and give their room back to the disk.

    Args:
        path: The cache.
        before: Only answers stored before this time (with a time zone); None = of any age.
        model: Only answers of this model; None = of any.

    Returns:
        (answers, bytes) removed.

    Raises:
        Unavailable: a stage is using the cache.
    """
    where = " WHERE stored_at < ? AND model = COALESCE(?, model)"
    until = before.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if before else "9999"
    with _existing(path) as db:
        if db is None:
            return 0, 0
        try:
            found = db.execute(
                "SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM answers" + where, (until, model)
            )
            answers, size = found.fetchone()
            db.execute("DELETE FROM answers" + where, (until, model))
            db.commit()
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise Unavailable(f"{path} is in use: prune it when no stage is running") from None
    return answers, size


def speeds(path: Path, model: str) -> Speed:
    """Return the mean latency and token counts of the answers stored for `model`."""
    with _existing(path) as db:
        row = None if db is None else db.execute(
            "SELECT AVG(latency_s), AVG(prompt_tokens), AVG(completion_tokens), COUNT(*) FROM answers "
            "WHERE model = ? AND latency_s IS NOT NULL AND completion_tokens IS NOT NULL", (model,)
        ).fetchone()  # fmt: skip
    return Speed(*row) if row and row[3] else Speed(0.0, 0.0, 0.0, 0)
