"""The prompts of every benchmark: nobody may train on one, whether it is run tonight or not."""

from __future__ import annotations

from longwriter.errors import BadRecord
from longwriter.instructions.sources import files as sources
from longwriter.instructions.sources.turns import Unusable

_PATTERN = "**/*.jsonl"


def prompts(folder: str) -> list[str]:
    """Return the prompts of all JSON Lines below `folder`, in the order of the files' names.

    Raises:
        BadRecord: there is none, or a row has no prompt.
    """
    found = []
    for chunk in sources.chunks(folder, _PATTERN):
        for where, row in sources.rows(chunk):
            if isinstance(row, Unusable):
                raise BadRecord(f"{where} is no row of a benchmark: {row.detail}")
            found.append(row.prompt)
    return found
