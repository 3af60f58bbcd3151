"""The gate between data and training: Great Expectations checks the data set; a failed check stops the run.

Reads   data/dataset/train.jsonl, test.jsonl, benchmark_prompts.json: benchmark prompts that are in these rows
Writes  data/validate/: verdict.json (what later stages depend on), metrics.json
Run     dvc repro validate; exits with 3 if the gate stops
"""

from __future__ import annotations

from pathlib import Path

from longwriter.execution import runner
from longwriter.gates import examples
from longwriter.gates.suite import gx, verdicts
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Example
from longwriter.tracking import versioning


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Check the data set; write the verdict, or stop the stage."""
    data = [files.DATA / "dataset" / name for name in ("train.jsonl", "test.jsonl")]
    rows = [row for path in data for row in files.read_jsonl(path, Example)]
    docs = verdicts.DOCS / "validate"
    benchmark = files.read_json(files.DATA / "dataset" / "benchmark_prompts.json")
    findings = gx.run(examples.gate(rows, params.validate_, benchmark), docs)
    digests = {str(path): versioning.digest(path) for path in data}
    numbers = verdicts.settle("validate", findings, digests, len(rows), folder / "verdict.json")
    artifacts = [docs, files.DATA / "validate" / "verdict.json"]
    return runner.Summary(len(rows), len(rows), numbers=numbers, artifacts=artifacts)


if __name__ == "__main__":
    runner.main("validate", work)
