"""The prompts of all benchmarks, also of those that do not run now. No model may be trained on them."""

from __future__ import annotations

from longwriter.errors import BadRecord
from longwriter.sources import files as sources
from longwriter.sources.turns import Unusable

_PATTERN = "**/*.jsonl"


def prompts(folder: str) -> list[str]:
    """Return the prompts in all JSON Lines files below `folder`, in the order of the files' names.

    Raises:
        BadRecord: there is no file, or a row has no prompt.
    """
    texts = []
    for chunk in sources.chunks(folder, _PATTERN):
        for where, row in sources.rows(chunk):
            if isinstance(row, Unusable):
                raise BadRecord(f"{where} is no row of a benchmark: {row.detail}")
            texts.append(row.prompt)
    return texts
