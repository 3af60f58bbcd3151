"""Choose the writing instructions of this night from a source that can grow.

Reads   instructions.source: folder of JSON Lines (prompt, type, length, language); the benchmarks' prompts
Writes  data/instructions/: instructions.jsonl, rejected.jsonl, verdict.json, metrics.json
Run     dvc repro instructions; a stopped gate leaves with exit code 3
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from longwriter import runner
from longwriter.core import select
from longwriter.edges import files, quality, versioning
from longwriter.params import Params
from longwriter.records import SeedRow

FOLDER = files.DATA / "instructions"


def work(params: Params, folder: Path) -> runner.Summary:
    """Read every row, reject what does not fit with its reason, choose `limit`; pass the gate, or stop."""
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
    docs = quality.DOCS / "instructions"
    findings = quality.validate_instructions(kept, p, quality.benchmark_prompts(params.generate.folder), docs)
    data = {str(FOLDER / "instructions.jsonl"): versioning.digest(folder / "instructions.jsonl")}
    gate = quality.settle("instructions", findings, data, len(kept), folder / "verdict.json")
    artifacts = [docs, FOLDER / "verdict.json"]
    rows_in = len(kept) + len(rejected)
    return runner.Summary(rows_in, len(kept), dict(reasons), {**numbers, **gate}, artifacts=artifacts)


if __name__ == "__main__":
    runner.main("instructions", work)
