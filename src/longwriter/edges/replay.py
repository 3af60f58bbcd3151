"""The replay cache, in SQLite, for many processes: has this exact request been answered?

A complete answer is stored durably before anybody judges it, so that a killed or repeated stage
pays for nothing twice. It lies outside DVC's outputs, which DVC deletes before a stage runs.
Beside the answers it keeps what a local engine with certain weights was seen to honour.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import zstandard
from filelock import FileLock

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


class ReplayCache:
    """Answers by request hash; safe for threads and for several processes at once."""

    def __init__(self, path: Path) -> None:
        """Open the cache at `path`, made under a lock where it is not there yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # an answer that was paid for survives a power cut
            self._db.executescript(_SCHEMA)
            self._db.commit()
        self._lock = threading.Lock()

    def get(self, request_hash: str) -> dict[str, Any] | None:
        """Return the stored answer, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM answers WHERE request_hash = ?", (request_hash,)
            ).fetchone()
        return None if row is None else json.loads(zstandard.decompress(row[0]))

    def put(self, request_hash: str, answer: dict[str, Any]) -> None:
        """Store an answer durably; the first one stored for a request stays."""
        body = zstandard.compress(json.dumps(answer, ensure_ascii=False).encode())
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO answers (request_hash, body) VALUES (?, ?)",
                (request_hash, body),
            )

    def capabilities(self, engine_hash: str) -> dict[str, Any] | None:
        """Return what an engine with these weights was last seen to honour, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM capabilities WHERE engine_hash = ?", (engine_hash,)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def put_capabilities(self, engine_hash: str, seen: dict[str, Any]) -> None:
        """Store what an engine was seen to honour, in place of what was stored before."""
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO capabilities (engine_hash, body) VALUES (?, ?)",
                (engine_hash, json.dumps(seen)),
            )

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()
