"""On what terms a source of rows may be used: what its own LICENSE or README says."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"^\W*licen[cs]e\b\W*(.+)$", re.IGNORECASE)
NOT_STATED = "not stated: put a LICENSE or a README with a line `License: …` beside the rows"


def licence_of(source: Path) -> str:
    """Return the terms of a folder of rows, or of the folder of a file.

    A README's line `License: …` is taken first, as on the hub; else the first line of a LICENSE file.
    """
    folder = source if source.is_dir() else source.parent
    files = sorted(path for path in folder.glob("*") if path.is_file())
    for path in (path for path in files if path.stem.upper() == "README"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if found := _LINE.match(line):
                return f"{found[1].strip()} ({path.name})"
    for path in (path for path in files if path.stem.upper() in ("LICENSE", "LICENCE", "COPYING")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return f"{next((line for line in lines if line), 'empty file')} ({path.name})"
    return NOT_STATED
