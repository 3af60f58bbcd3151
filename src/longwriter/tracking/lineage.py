"""The audit walk: from a benchmark number, or from the gated data set, on to single LLM calls.

Goes by MLflow's API alone: each file is found by the digest that a run's data sets name, so the
walk holds for skipped and restored stages, and for data that later nights have replaced here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longwriter.errors import UserError
from longwriter.io import files, packs
from longwriter.tracking import logged_models as models
from longwriter.tracking import runs as tracking
from longwriter.tracking import versioning
from longwriter.tracking.runs import Run

Step = dict[str, Any]
_SPLITS = ("data/dataset/train.jsonl", "data/dataset/test.jsonl")


def walk(sample_id: str | None) -> Iterator[Step]:
    """Yield the steps: data set, row, producing runs, plan, and each call with request and answer.

    Raises:
        UserError: no such run, row or call; says which link is missing.
    """
    gate = _latest("validate")
    data = {path: md5 for path, md5 in tracking.datasets(gate, "input").items() if path in _SPLITS}
    yield {"gate": _run(gate), "data": data}
    yield from _row_to_calls(data, None if sample_id is None else {sample_id})


def walk_benchmark(benchmark: str, model: str, generation_id: str | None) -> Iterator[Step]:
    """Yield the steps from a model's number on a benchmark to the LLM calls behind its training data.

    Report, scores, one answer with its call, weights, training runs, one pack, and a row of it as
    `walk` shows rows. The base model has no training data here: its walk ends at its weights.

    Args:
        benchmark: Name of the benchmark.
        model: `base_model`, `sft` or `dpo`.
        generation_id: The answer to show; None = the one with the lowest length score.

    Raises:
        UserError: no such run, answer, row or call; says which link is missing.
    """
    item = f"{model}-{benchmark}"
    report = _latest(f"report@{benchmark}")
    scores, md5 = _source(report, f"data/score/{item}/scores.jsonl")
    rows = _rows(f"data/score/{item}/scores.jsonl", md5)
    s_l = [row["length_score"] for row in rows]
    number = {"benchmark": benchmark, "model": model, "S_l": round(sum(s_l) / len(s_l), 4), "n": len(s_l)}
    yield {"number": number, "report": _run(report)}
    score = min(rows, key=lambda row: row["length_score"])
    if generation_id is not None:
        score = _one(rows, "generation_id", generation_id, md5)
    yield {"score": score, "in": f"data/score/{item}/scores.jsonl", "md5": md5, "run": _run(scores)}
    answers, md5 = _source(scores, f"data/generate/{item}/generations.jsonl")
    answer = _one(
        _rows(f"data/generate/{item}/generations.jsonl", md5), "generation_id", score["generation_id"], md5
    )
    yield {"answer": answer, "md5": md5, "run": _run(answers)}
    yield from _calls(answers, f"generate/{item}", answer["call_ids"])
    yield from _weights_to_calls(answers, model)


def _weights_to_calls(reader: Run, model: str) -> Iterator[Step]:
    """Yield the steps from the weights that a run read."""
    trained, md5 = _source(reader, f"data/{model}/weights")
    logged = models.of_digest(md5)
    yield {"model": model, "weights": md5, "logged_model": logged and logged.model_uri, "run": _run(trained)}
    if model == "base_model":
        return
    if model != "sft":
        yield from _weights_to_calls(trained, "sft")
        return
    packed, md5 = _source(trained, "data/pack/train.parquet")
    rows = packs.read(versioning.bytes_of(md5, "data/pack/train.parquet"), ["sample_ids"])
    pack_ids = [row["sample_ids"] for row in rows]
    data = {_SPLITS[0]: tracking.datasets(packed, "input")[_SPLITS[0]]}
    steps = _row_to_calls(data, {sample_id for ids in pack_ids for sample_id in ids})
    row_step = next(steps)
    number = next(i for i, ids in enumerate(pack_ids) if row_step["row"]["sample_id"] in ids)
    yield {"pack": number, "of": len(pack_ids), "sample_ids": pack_ids[number], "run": _run(packed)}
    yield row_step
    yield from steps


def _row_to_calls(data: dict[str, str], sample_ids: set[str] | None) -> Iterator[Step]:
    """Yield the steps from a row to its calls: the first of `sample_ids` that LLM calls wrote.

    A single id is shown also where no call wrote it (a general chat).
    """
    row, path = _find_row(data, sample_ids)
    yield {"row": row, "in": path, "md5": data[path]}
    dataset = _producer("dataset", data[path])
    write, _ = _source(dataset, "data/write/drafts.jsonl")
    plan, _ = _source(write, "data/plan/plans.jsonl")
    yield {"runs": {"dataset": _run(dataset), "write": _run(write), "plan": _run(plan)}}
    wanted = list(row["call_ids"])
    for stage, run in (("plan", plan), ("write", write)):
        for step in _calls(run, stage, wanted):
            yield step
            wanted.remove(step["call"]["call_id"])
    if wanted:
        raise UserError(f"{len(wanted)} calls of row {row['sample_id']} are in no call log: {wanted[:3]}")


def _find_row(data: dict[str, str], sample_ids: set[str] | None) -> tuple[Step, str]:
    for path, md5 in data.items():
        for row in _rows(path, md5):
            named = sample_ids is None or row["sample_id"] in sample_ids
            if named and (row["call_ids"] or sample_ids == {row["sample_id"]}):
                return row, path
    told = next(iter(sample_ids)) if sample_ids and len(sample_ids) == 1 else "with LLM calls"
    raise UserError(f"no row {told} in {', '.join(data)}")


def _rows(path: str, md5: str) -> list[Step]:
    with versioning.bytes_of(md5, path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _one(rows: list[Step], key: str, value: str, md5: str) -> Step:
    found = [row for row in rows if row[key] == value]
    if not found:
        raise UserError(f"no row with {key} {value} in the file with md5 {md5}")
    return found[0]


def _latest(stage: str) -> Run:
    found = tracking.latest_run(stage)
    if found is None:
        raise UserError(f"MLflow knows no finished {stage} run: run the pipeline first")
    return found


def _source(reader: Run, path: str) -> tuple[Run, str]:
    """Return the run that wrote a file which `reader` read, and its digest."""
    inputs = tracking.datasets(reader, "input")
    if path not in inputs:
        raise UserError(f"run {reader.info.run_id} ({reader.info.run_name}) read no {path}")
    parts = Path(path).parts[1:-1]
    return _producer("@".join(parts), inputs[path]), inputs[path]


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


def _calls(run: Run, folder: str, wanted: list[str]) -> Iterator[Step]:
    """Yield the wanted calls that a run's call log holds, in the order wanted."""
    log = f"data/{folder}/calls.jsonl.zst"
    lines = files.read_zstd_lines(versioning.bytes_of(tracking.datasets(run, "output")[log], log))
    found = {row["call_id"]: row for row in map(json.loads, lines) if row["call_id"] in wanted}
    for call_id in [call_id for call_id in wanted if call_id in found]:
        yield {"stage": run.data.tags["lw.stage"], "call": found[call_id]}
