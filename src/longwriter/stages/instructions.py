"""Choose the writing instructions of this night from a source that can grow.

Reads   instructions.source: folder of JSON Lines (prompt, type, length, language)
Writes  data/instructions/: instructions.jsonl, rejected.jsonl, metrics.json
Run     dvc repro instructions
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from longwriter import runner
from longwriter.core import select
from longwriter.edges import files
from longwriter.params import Params
from longwriter.records import SeedRow


def work(params: Params, folder: Path) -> runner.Summary:
    """Read every row, reject what does not fit with its reason, choose `limit`."""
    p = params.instructions
    rows = files.scan_folder(Path(p.source), p.pattern, SeedRow)
    kept, rejected = select.select_instructions(
        rows, languages=p.languages, max_required_words=p.max_required_words, limit=p.limit
    )
    files.check_malformed(rejected, len(kept) + len(rejected), p.max_malformed_share, p.source)
    files.write_jsonl(folder / "instructions.jsonl", kept)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    reasons = Counter(row.reason for row in rejected)
    stated = sum(row.required_words is not None for row in kept)
    numbers = {"stated_length": float(stated), "types": float(len({row.type for row in kept}))}
    return runner.Summary(len(kept) + len(rejected), len(kept), dict(reasons), numbers)


if __name__ == "__main__":
    runner.main("instructions", work)
