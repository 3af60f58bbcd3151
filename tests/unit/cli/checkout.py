"""What the tests of the command line put into a checkout: parameters, and answers in the replay cache."""

import os
import sqlite3
from pathlib import Path

import yaml
import zstandard

from longwriter.calls.replay import ReplayCache, Row
from longwriter.io import files

PARAMS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def set_params(values, **sections):
    changed = {**values, "instructions": {**values["instructions"], "source": "seeds"}}
    for name, over in sections.items():
        changed[name] = {**changed[name], **over}
    Path("params.yaml").write_text(yaml.safe_dump(changed, allow_unicode=True))


def store(*rows):
    """Put (key, model, day of 2026 on which it was stored, seconds, completion tokens) into the cache."""
    cache = ReplayCache(files.REPLAY)
    body = zstandard.compress(b"{}" + os.urandom(400))
    cache.put_many([Row(key, body, model, seconds, 10, count) for key, model, _, seconds, count in rows])
    cache.close()
    with sqlite3.connect(files.REPLAY) as db:
        for key, _, day, _, _ in rows:
            time = f"2026-{day}T10:00:00.000Z"
            db.execute("UPDATE answers SET stored_at = ? WHERE request_hash = ?", (time, key))
    db.close()
