"""The replay cache: an SQLite file with the answer to each request, which many processes share.

An answer is on disk before it is used, so a stage that is killed or run again pays no answer twice. The file
is not an output of DVC, because DVC deletes outputs before a stage runs. The cache also stores what `probing`
found out about each endpoint and model.

Two endpoints may answer the same request differently, even if both use the same name for their model. So the
key of a stored answer (`key`) holds the endpoint. The request hash does not hold it, because the hash goes into
rows and seeds, which must stay the same if a server moves. Older versions stored answers under the request
hash alone; such answers belong to the first endpoint that asks for their model.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import zstandard

from longwriter.calls import answers
from longwriter.calls.answers import Completion
from longwriter.errors import Unavailable
from longwriter.hashing import content_hash
from longwriter.io import databases
from longwriter.io.process import file_lock

log = logging.getLogger(__name__)

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
CREATE TABLE IF NOT EXISTS owners (
    model    TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL
) WITHOUT ROWID;
"""
_KEYS = {"answers": "request_hash", "capabilities": "engine_hash", "owners": "model"}  # key of each table
_VERSION = 2  # PRAGMA user_version; 0 = answers without these columns, 1 = no owners
_COLUMNS_SINCE_1 = (
    "model TEXT NOT NULL DEFAULT ''",  # '' = stored by version 0
    "latency_s REAL",
    "prompt_tokens INTEGER",
    "completion_tokens INTEGER",
)
_WAIT_S = 30.0  # longest wait for the transaction of another process
_INSERT = (
    "INSERT INTO answers (request_hash, body, model, latency_s, prompt_tokens, completion_tokens) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (request_hash) DO NOTHING"
)
_REPLACE = _INSERT.replace("INSERT", "INSERT OR REPLACE").replace(
    " ON CONFLICT (request_hash) DO NOTHING", ""
)
_SELECT = "SELECT body FROM answers WHERE request_hash = ?"
_LARGEST_BYTES = 2**28  # after unpacking; `transport` takes replies of at most 32 MiB
_START, _END = b'{"answer":', b',"latency_s":'  # around the body of a reply


class Stored(NamedTuple):
    """A stored answer, and the time that the server needed for it."""

    completion: Completion
    latency_s: float


class Row(NamedTuple):
    """A row of the cache; `body` is the result of `pack`, compressed with zstd."""

    request_hash: str
    body: bytes
    model: str = ""
    latency_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Damaged(NamedTuple):
    """A stored answer that cannot be read; `detail` says why."""

    detail: str


class Size(NamedTuple):
    """The size of one model's answers; `bytes` is their compressed size, times are UTC as ISO 8601."""

    model: str
    answers: int
    bytes: int
    oldest: str
    newest: str


class Speed(NamedTuple):
    """Means over the `n` stored answers of a model for which these numbers are known; all 0 if n is 0."""

    latency_s: float
    prompt_tokens: float
    completion_tokens: float
    n: int


def key(request_hash: str, endpoint: str) -> str:
    """Return the key of a stored answer.

    Args:
        request_hash: Hash of the request.
        endpoint: `Endpoint.origin` of an external endpoint; empty for an engine of this pipeline, because the
            model's name in its requests holds the digest of the weights, and its address changes each time.
    """
    return content_hash([request_hash, endpoint]) if endpoint else request_hash


def pack(body: bytes, latency_s: float) -> bytes:
    """Return the unchanged body of a reply with its latency, in the format that all versions of the cache read."""
    return b"".join((_START, body, _END, orjson.dumps(latency_s), b"}"))


def unpack(packed: bytes, request_hash: str) -> Stored | None:
    """Return a stored answer; if it is damaged, log a warning and return None."""
    return usable(read(packed), request_hash)


def read(packed: bytes) -> Stored | Damaged:
    """Return a stored answer, or what is wrong with it."""
    if size(packed) > _LARGEST_BYTES:  # one wrong bit in a frame can ask for more memory than a machine has
        return Damaged(f"it says that it has {size(packed):,} bytes")
    try:
        content = zstandard.decompress(packed)
        body, mark, end = content.rpartition(_END)
        if not mark or not body.startswith(_START):
            return Damaged("another format")
        return Stored(answers.read(body[len(_START) :]), float(orjson.loads(end[:-1])))
    except (zstandard.ZstdError, ValueError, TypeError) as error:
        return Damaged(str(error))


def usable(result: Stored | Damaged, request_hash: str) -> Stored | None:
    """Return a stored answer; if it is damaged, log a warning and return None."""
    if isinstance(result, Stored):
        return result
    log.warning(
        "the stored answer to request %s is damaged (%s): the request is sent again",
        request_hash,
        result.detail,
    )
    return None


def size(packed: bytes) -> int:
    """Return the size of a stored answer after unpacking, in bytes; 0 if it is not known."""
    try:
        return max(0, zstandard.frame_content_size(packed))
    except (zstandard.ZstdError, TypeError):
        return 0


def _repair(path: Path) -> None:
    """Rename a damaged cache, and use the answers that can be read; the caller holds the lock."""
    message = databases.repair(path)
    if message is None and path.exists() and not _is_cache(path):
        message = f"{path} holds other tables: kept as {databases.set_aside(path).name}"
    if message:
        log.warning("%s; requests whose answers are lost are sent again", message)


def _is_cache(path: Path) -> bool:
    """Tell whether a database has the tables of a cache, of any version, or none of these names, and no triggers."""
    with closing(sqlite3.connect(path, timeout=_WAIT_S)) as db:
        kinds = dict(db.execute("SELECT name, type FROM sqlite_master WHERE type != 'index'"))
        keys = {name: _columns(db, name) for name in _KEYS}
    is_other = any(columns and not columns.get(_KEYS[name]) for name, columns in keys.items())
    return set(kinds.values()) <= {"table"} and not is_other and (
        not keys["answers"] or {"stored_at", "body"} <= keys["answers"].keys()
    )  # fmt: skip


def _columns(db: sqlite3.Connection, table: str) -> dict[str, bool]:
    """Return the columns of a table, and whether they are its key; empty if there is no such table."""
    return {row[1]: bool(row[5]) for row in db.execute(f"PRAGMA table_info({table})")}


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    db.text_factory = lambda text: text.decode("utf-8", "replace")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")  # so that a paid answer survives a power cut
    return db


def _set_up(db: sqlite3.Connection) -> None:
    """Create what is missing: tables, which damage may have taken, and the columns that version 0 does not have."""
    tables = {name: _columns(db, name) for name in _KEYS}
    missing = [column for column in _COLUMNS_SINCE_1 if column.split()[0] not in tables["answers"]]
    if not missing and all(tables.values()):
        return
    db.executescript(_SCHEMA)
    existing = _columns(db, "answers")
    for column in _COLUMNS_SINCE_1:
        if column.split()[0] not in existing:
            db.execute(f"ALTER TABLE answers ADD COLUMN {column}")
    db.execute(f"PRAGMA user_version = {_VERSION}")
    db.commit()


class ReplayCache:
    """Answers by request hash; safe for threads and for several processes at once.

    Reads and writes use separate connections, so that no reader waits for a commit.
    """

    def __init__(self, path: Path) -> None:
        """Open the cache at `path`; create it, under a lock, if it does not exist."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_suffix(".lock")):
            _repair(path)
            self._writer = _open(path)
            _set_up(self._writer)
            self._reader = _open(path)
        self._reading = threading.Lock()
        self._writing = threading.Lock()

    def get(self, request_hash: str) -> Stored | None:
        """Return the stored answer; None if there is none, or if it is damaged."""
        packed = self.packed(request_hash)
        return None if packed is None else unpack(packed, request_hash)

    def packed(self, request_hash: str) -> bytes | None:
        """Return the stored answer as it is stored, for `unpack`; None if there is none."""
        with self._reading:
            row = self._reader.execute(_SELECT, (request_hash,)).fetchone()
        return None if row is None else row[0]

    def put_many(self, rows: Sequence[Row]) -> dict[str, Stored]:
        """Store answers durably, in one transaction.

        Returns:
            The stored answers, by request hash, of requests that already had one. These are not replaced,
            unless they are damaged.

        Raises:
            sqlite3.Error: nothing was stored, for example because the disk is full.
        """
        with self._writing, self._writer as db:
            conflicts = [row for row in rows if db.execute(_INSERT, row).rowcount == 0]
            earlier: dict[str, Stored] = {}
            for row in conflicts:
                key = row.request_hash
                earlier_answer = unpack(db.execute(_SELECT, (key,)).fetchone()[0], key)
                if earlier_answer is None:
                    db.execute(_REPLACE, row)
                else:
                    earlier[key] = earlier_answer
        return earlier

    def owner(self, model: str, endpoint: str) -> str:
        """Return the endpoint that owns those answers of `model` whose key holds no endpoint.

        If they have no owner yet, `endpoint` becomes their owner. In an empty cache there are no such answers: then
        the owner is "", which means nobody.
        """
        with self._writing, self._writer as db:
            is_empty = db.execute("SELECT 1 FROM answers LIMIT 1").fetchone() is None
            claim = (model, "" if is_empty else endpoint)
            db.execute("INSERT OR IGNORE INTO owners (model, endpoint) VALUES (?, ?)", claim)
            owner: str = db.execute("SELECT endpoint FROM owners WHERE model = ?", (model,)).fetchone()[0]
        return owner

    def capabilities(self, engine_hash: str) -> dict[str, Any] | None:
        """Return the stored capabilities of an engine with these weights; None if none are stored."""
        with self._reading:
            row = self._reader.execute(
                "SELECT body FROM capabilities WHERE engine_hash = ?", (engine_hash,)
            ).fetchone()
        try:
            entry = None if row is None else json.loads(row[0])
        except (ValueError, RecursionError):  # damaged: the endpoint is probed again
            return None
        return entry if isinstance(entry, dict) else None

    def put_capabilities(self, engine_hash: str, capabilities: dict[str, Any]) -> None:
        """Store the capabilities of an engine; they replace those that were stored before."""
        with self._writing, self._writer as db:
            db.execute(
                "INSERT OR REPLACE INTO capabilities (engine_hash, body) VALUES (?, ?)",
                (engine_hash, json.dumps(capabilities)),
            )

    def forget_capabilities(self, engine_hash: str) -> None:
        """Remove the stored capabilities of an engine, if there are any."""
        with self._writing, self._writer as db:
            db.execute("DELETE FROM capabilities WHERE engine_hash = ?", (engine_hash,))

    def close(self) -> None:
        """Close the database."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()


@contextmanager
def _existing(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection to the cache at `path`; None if there is no cache."""
    if not path.is_file():
        yield None
        return
    with file_lock(path.with_suffix(".lock")):
        _repair(path)
        if not path.is_file():
            yield None
            return
        with closing(_open(path)) as db:
            _set_up(db)
            yield db


def sizes(path: Path) -> list[Size]:
    """Return the size of the cache at `path` by model, the largest first; empty if there is no cache."""
    query = (
        "SELECT model, COUNT(*), SUM(LENGTH(body)), MIN(stored_at), MAX(stored_at) "
        "FROM answers GROUP BY model ORDER BY 3 DESC"
    )
    with _existing(path) as db:
        return [] if db is None else [Size(*row) for row in db.execute(query)]


def prune(
    path: Path, *, before: datetime | None, model: str | None, only_count: bool = False
) -> tuple[int, int]:
    """Remove answers, and free their space on the disk.

    Args:
        path: The cache.
        before: Only answers stored before this time (with a time zone); None = of any age.
        model: Only answers of this model; None = of any model.
        only_count: Remove nothing.

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
            counts = db.execute(
                "SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM answers" + where, (until, model)
            )
            answers, size = counts.fetchone()
            if only_count or not answers:
                return answers, size
            db.execute("DELETE FROM answers" + where, (until, model))
            db.commit()
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise Unavailable(f"{path} is in use: run the command again when no stage is running") from None
    return answers, size


def speeds(path: Path, model: str) -> Speed:
    """Return the mean latency and token counts of the answers stored for `model`."""
    query = (
        "SELECT AVG(latency_s), AVG(prompt_tokens), AVG(completion_tokens), COUNT(*) FROM answers "
        "WHERE model = ? AND latency_s IS NOT NULL AND typeof(prompt_tokens) = 'integer' "
        "AND typeof(completion_tokens) = 'integer'"  # earlier versions stored what the server sent
    )
    with _existing(path) as db:
        row = None if db is None else db.execute(query, (model,)).fetchone()
    return Speed(*row) if row and row[3] else Speed(0.0, 0.0, 0.0, 0)
