"""The audit walk: from the gated data set to a row, and on to the LLM calls that wrote it.

Goes by MLflow's API alone: each file is found by the digest that a run's data sets name, so the
walk holds for skipped and restored stages, and for data that later nights have replaced here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longwriter.edges import files, tracking, versioning
from longwriter.edges.tracking import Run
from longwriter.errors import UserError


def walk(sample_id: str | None) -> Iterator[dict[str, Any]]:
    """Yield the steps: data set, row, producing runs, plan, and each call with request and answer.

    Raises:
        UserError: no such run, row or call; says which link is missing.
    """
    gate = tracking.latest_run("validate")
    if gate is None:
        raise UserError("MLflow knows no finished validate run: run the pipeline first")
    data = {path: md5 for path, md5 in tracking.datasets(gate, "input").items() if path.endswith(".jsonl")}
    row, path = _find_row(data, sample_id)
    yield {"gate": _run(gate), "data": data}
    yield {"row": row, "in": path, "md5": data[path]}
    runs = {"dataset": _producer("dataset", data[path])}
    for stage, file in (("write", "data/write/drafts.jsonl"), ("plan", "data/plan/plans.jsonl")):
        reader = runs["dataset" if stage == "write" else "write"]
        runs[stage] = _producer(stage, tracking.datasets(reader, "input")[file])
    yield {"runs": {stage: _run(run) for stage, run in runs.items()}}
    wanted = list(row["call_ids"])
    for stage in ("plan", "write"):
        log = f"data/{stage}/calls.jsonl.zst"
        found = _calls(log, tracking.datasets(runs[stage], "output")[log], set(wanted))
        for call_id in [call_id for call_id in wanted if call_id in found]:
            yield {"stage": stage, "call": found[call_id]}
            wanted.remove(call_id)
    if wanted:
        raise UserError(f"{len(wanted)} calls of row {row['sample_id']} are in no call log: {wanted[:3]}")


def _find_row(data: dict[str, str], sample_id: str | None) -> tuple[dict[str, Any], str]:
    for path, md5 in data.items():
        with versioning.bytes_of(md5, path).open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["sample_id"] == sample_id or (sample_id is None and row["call_ids"]):
                    return row, path
    raise UserError(f"no row {sample_id or 'with LLM calls'} in {', '.join(data)} of the latest gate")


def _producer(stage: str, md5: str) -> Run:
    found = tracking.runs_with_output(stage, md5)
    if not found:
        raise UserError(f"MLflow knows no {stage} run that wrote md5 {md5}")
    return found[0]


def _run(run: Run) -> dict[str, str]:
    tags = run.data.tags
    return {
        "run": run.info.run_name,
        "url": tracking.run_url(run.info.run_id),
        "status": tags.get("lw.status", ""),
        "git_commit": tags.get("git.commit", ""),
        "fingerprint": tags.get("lw.fingerprint", ""),
    }


def _calls(path: str, md5: str, wanted: set[str]) -> dict[str, Any]:
    rows = (json.loads(line) for line in files.read_zstd_lines(Path(versioning.bytes_of(md5, path))))
    return {row["call_id"]: row for row in rows if row["call_id"] in wanted}
