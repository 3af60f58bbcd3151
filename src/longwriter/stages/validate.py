"""The gate between data and training: a Great Expectations checkpoint that passes or stops.

Reads   data/dataset/train.jsonl, test.jsonl
Writes  data/validate/: verdict.json (what later stages depend on), metrics.json
Run     dvc repro validate; a stopped gate leaves with exit code 3
"""

from __future__ import annotations

from pathlib import Path

from longwriter import runner
from longwriter.edges import files, quality, versioning
from longwriter.errors import GateStopped
from longwriter.params import Params
from longwriter.records import Example

DOCS = files.LOCAL / "data_docs"


def work(params: Params, folder: Path) -> runner.Summary:
    """Judge the data set; write the verdict, or stop."""
    data = [files.DATA / "dataset" / name for name in ("train.jsonl", "test.jsonl")]
    rows = [row for path in data for row in files.read_jsonl(path, Example)]
    findings = quality.validate_examples(rows, params.validate_, DOCS)
    failed = [finding for finding in findings if not finding.passed]
    stopped = [finding for finding in failed if finding.critical]
    verdict = {
        "passed": not stopped,
        "data": {str(path): versioning.digest(path) for path in data},
        "rows": len(rows),
        "expectations": [finding._asdict() for finding in findings],
    }
    files.write_json(folder / "verdict.json", verdict)
    if stopped:
        kept = files.LOCAL / "stopped" / "verdict.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(kept, verdict)
        raise GateStopped(
            f"{len(stopped)} of {len(findings)} expectations stop the data set ({len(rows):,} rows): "
            + " | ".join(finding.sentence() for finding in stopped)
            + f". All failing rows: {kept}; Data Docs: {DOCS / 'index.html'}",
            artifacts=(kept, DOCS),
        )
    numbers = {
        "expectations": float(len(findings)),
        "warnings": float(len(failed)),
    }
    return runner.Summary(
        len(rows), len(rows), numbers=numbers, artifacts=[DOCS, files.DATA / "validate" / "verdict.json"]
    )


if __name__ == "__main__":
    runner.main("validate", work)
