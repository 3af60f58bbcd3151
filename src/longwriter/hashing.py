"""Hashes of content: ids that are equal on every machine, and numbers that replace random ones.

Pure.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def content_hash(value: Any) -> str:
    """Return the sha256 (64 hex digits) of a JSON value's canonical form.

    Canonical = sorted keys, no spaces, UTF-8, no NaN; equal values have equal hashes everywhere.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def short_id(value: Any) -> str:
    """Return the first 16 hex digits of a JSON value's `content_hash`: the id of a record."""
    return content_hash(value)[:16]


def hash_share(seed: int | str, key: str) -> float:
    """Return a number in [0, 1) that depends on `seed` and `key` alone, evenly spread."""
    return int(content_hash([seed, key])[:13], 16) / 16**13
