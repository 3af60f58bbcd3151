"""The licence of a source of rows, read from its README or LICENSE file."""

from __future__ import annotations

import re
from pathlib import Path

_LINE = re.compile(r"^\W*licen[cs]e\b\W*(.+)$", re.IGNORECASE)
NOT_STATED = "not stated: put a LICENSE or a README with a line `License: …` beside the rows"


def licence_of(source: Path) -> str:
    """Return the licence of a folder of rows, or of the folder of a file.

    If a README has a line `License: …`, as on the hub, that line is used, else the first line of a LICENSE
    file.
    """
    folder = source if source.is_dir() else source.parent
    files = sorted(path for path in folder.glob("*") if path.is_file())
    for path in (path for path in files if path.stem.upper() == "README"):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := _LINE.match(line):
                return f"{match[1].strip()} ({path.name})"
    for path in (path for path in files if path.stem.upper() in ("LICENSE", "LICENCE", "COPYING")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return f"{next((line for line in lines if line), 'empty file')} ({path.name})"
    return NOT_STATED
