"""Traces a benchmark number, or a row of the gated data set, back to the LLM calls behind it.

It uses only MLflow's API, and gets each file by the digest that a run recorded. So it also works for stages that
were skipped or restored, and for data that later runs have replaced in this checkout.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from longwriter.amounts import amount
from longwriter.errors import UserError
from longwriter.io import files, packs
from longwriter.tracking import logged_models, provenance, versioning
from longwriter.tracking import runs as tracking
from longwriter.tracking.runs import Run

Step = dict[str, Any]
_SPLITS = ("data/dataset/train.jsonl", "data/dataset/test.jsonl")
_PACKS = "data/pack/train.parquet"
_PAIRS = "data/preferences/train.jsonl"
_BASE = "data/base_model/weights"
_NO_RUN = (
    "it was deleted (`mlflow runs restore` brings it back until `mlflow gc` erases it), or belongs to another MLflow "
    "store; set MLFLOW_TRACKING_URI to that, or run the stage again"
)


def walk(sample_id: str | None) -> Iterator[Step]:
    """Yield the steps: data set, row, the runs that wrote it, and each call with request and answer.

    Args:
        sample_id: The row to show; None = the first one that LLM calls wrote.

    Raises:
        UserError: there is no such run, row or call; the message says which link is missing.
    """
    gate = _latest_run("validate")
    digests = {path: _input_digest(gate, path) for path in _SPLITS}
    yield {"gate": _run_step(gate), "data": digests}
    yield from _row_to_calls(digests, None if sample_id is None else {sample_id})


def walk_benchmark(benchmark: str, model: str, generation_id: str | None) -> Iterator[Step]:
    """Yield the steps from a model's number on a benchmark to the LLM calls behind its training data.

    The steps are: report, scores, one answer with its call, weights, training runs, one pack, and one row of
    the pack, shown as `walk` shows it. For a model that was not trained here, the last step is its weights.

    Args:
        benchmark: Name of the benchmark.
        model: Name of the compared model.
        generation_id: The answer to show; None = the one with the lowest length score.

    Raises:
        UserError: there is no such benchmark, model, run, answer, row or call; the message says which link is
            missing, and names the benchmarks or models that there are.
    """
    scores_path = f"data/score/{model}-{benchmark}/scores.jsonl"
    answers_path = f"data/generate/{model}-{benchmark}/generations.jsonl"
    report = _report(benchmark, model, scores_path)
    score_run, md5 = _writer_of_input(report, scores_path)
    rows = _rows(scores_path, md5)
    length_scores = [row["length_score"] for row in rows if row["length_score"] is not None]
    mean = round(sum(length_scores) / len(length_scores), 4) if length_scores else None
    number = {"benchmark": benchmark, "model": model, "S_l": mean, "n": len(rows)}
    yield {"number": number, "report": _run_step(report)}
    score = min(rows, key=lambda row: math.inf if row["length_score"] is None else row["length_score"])
    if generation_id is not None:
        score = _row_with(rows, "generation_id", generation_id, md5)
    yield {"score": score, "in": scores_path, "md5": md5, "run": _run_step(score_run)}
    generate_run, md5 = _writer_of_input(score_run, answers_path)
    answer = _row_with(_rows(answers_path, md5), "generation_id", score["generation_id"], md5)
    yield {"answer": answer, "md5": md5, "run": _run_step(generate_run)}
    yield from _calls(generate_run, f"generate/{model}-{benchmark}", answer["call_ids"])
    yield from _weights_to_calls(generate_run, f"data/{model}/weights")


def _weights_to_calls(reader: Run, path: str) -> Iterator[Step]:
    """Yield the steps from the weights that a run read, through parent models, to the training packs."""
    md5 = _input_digest(reader, path)
    model = Path(path).parts[1]
    logged = logged_models.of_digest(md5)
    writers = tracking.runs_with_output(model, md5)
    if not writers and logged:  # a copy of weights that another stage wrote
        source = tracking.find_run(logged.source_run_id)
        writers = [source] if source else []
    if not writers:
        raise UserError(f"MLflow has no {model} run that wrote weights with md5 {md5}: {_NO_RUN}")
    training = writers[0]
    yield {
        "model": model,
        "weights": md5,
        "logged_model": logged and logged.model_uri,
        "run": _run_step(training),
    }
    inputs = tracking.datasets(training, "input")
    if _PAIRS in inputs:
        pairs = _rows(_PAIRS, inputs[_PAIRS])
        yield {"pair": pairs[0], "of": len(pairs), "md5": inputs[_PAIRS]}
    parents = [name for name in inputs if Path(name).name == "weights"]
    if _PACKS in inputs:
        yield from _packs_to_calls(training)
    elif parents and parents[0] != _BASE:
        yield from _weights_to_calls(training, parents[0])
    elif training.data.tags.get("lw.stage") != "base_model":
        _input_digest(training, "data/sft/weights" if _PAIRS in inputs else _PACKS)


def _packs_to_calls(training: Run) -> Iterator[Step]:
    """Yield the steps from the packs of a training; shows the first pack with a row that LLM calls wrote."""
    pack_run, md5 = _writer_of_input(training, _PACKS)
    rows = packs.read(versioning.bytes_of(md5, _PACKS), ["sample_ids"])
    pack_ids = [row["sample_ids"] for row in rows]
    digests = {_SPLITS[0]: _input_digest(pack_run, _SPLITS[0])}
    steps = _row_to_calls(digests, {sample_id for ids in pack_ids for sample_id in ids})
    row_step = next(steps)
    number = next(i for i, ids in enumerate(pack_ids) if row_step["row"]["sample_id"] in ids)
    yield {"pack": number, "of": len(pack_ids), "sample_ids": pack_ids[number], "run": _run_step(pack_run)}
    yield row_step
    yield from steps


def _row_to_calls(digests: dict[str, str], sample_ids: set[str] | None) -> Iterator[Step]:
    """Yield the steps from a row to its calls; takes the first of `sample_ids` that LLM calls wrote.

    A single id is also shown if no call wrote it (a general chat).
    """
    row, path = _find_row(digests, sample_ids)
    yield {"row": row, "in": path, "md5": digests[path]}
    try:
        dataset = _writer("dataset", digests[path])
        write, _ = _writer_of_input(dataset, "data/write/drafts.jsonl")
        plan, _ = _writer_of_input(write, "data/plan/plans.jsonl")
    except UserError as error:
        ids = row["call_ids"]
        more = ", …" if len(ids) > len(ids[:3]) else ""
        raise UserError(
            f"{error}; the row names {amount(len(ids), 'call')}: {', '.join(ids[:3])}{more}"
        ) from None
    yield {"runs": {"dataset": _run_step(dataset), "write": _run_step(write), "plan": _run_step(plan)}}
    open_ids = list(row["call_ids"])
    for stage, run in (("plan", plan), ("write", write)):
        for step in _calls(run, stage, open_ids):
            yield step
            open_ids.remove(step["call"]["call_id"])
    if open_ids:
        raise UserError(
            f"the call logs lack {amount(len(open_ids), 'call')} of row {row['sample_id']}: {open_ids[:3]}"
        )


def _find_row(digests: dict[str, str], sample_ids: set[str] | None) -> tuple[Step, str]:
    for path, md5 in digests.items():
        for row in _rows(path, md5):
            is_named = sample_ids is None or row["sample_id"] in sample_ids
            if is_named and (row["call_ids"] or sample_ids == {row["sample_id"]}):
                return row, path
    name = next(iter(sample_ids)) if sample_ids and len(sample_ids) == 1 else "with LLM calls"
    raise UserError(f"no row {name} in {', '.join(digests)}")


def _rows(path: str, md5: str) -> list[Step]:
    return list(files.read_rows(versioning.bytes_of(md5, path)))


def _row_with(rows: list[Step], key: str, value: str, md5: str) -> Step:
    """Return the first row with this value; `md5` names the file in the error."""
    for row in rows:
        if row[key] == value:
            return row
    raise UserError(f"no row with {key} {value} in the file with md5 {md5}")


def _latest_run(stage: str) -> Run:
    run = tracking.latest_run(stage)
    if run is None:
        raise UserError(f"MLflow has no finished {stage} run: run the pipeline first")
    return run


def _report(benchmark: str, model: str, scores_path: str) -> Run:
    """Return the newest run that reported a benchmark, if it compared the model."""
    benchmarks = sorted(stage.partition("@")[2] for stage in tracking.stages("report@"))
    if benchmark not in benchmarks:
        advice = f"there are reports of {', '.join(benchmarks)}" if benchmarks else "run the pipeline first"
        raise UserError(f"MLflow has no report of the benchmark {benchmark}: {advice}")
    run = _latest_run(f"report@{benchmark}")
    inputs = tracking.datasets(run, "input")
    if scores_path not in inputs:
        ending = f"-{benchmark}/scores.jsonl"
        models = [
            path.split("/")[2].removesuffix(f"-{benchmark}") for path in inputs if path.endswith(ending)
        ]
        compared = ", ".join(models) or "no model: MLflow has lost the inputs of its run"
        raise UserError(f"the report of {benchmark} has no model {model}; it compares {compared}")
    return run


def _input_digest(reader: Run, path: str) -> str:
    """Return the digest of a file that a run read."""
    return _digest(reader, path, "input", "its stage had other deps then, or MLflow has lost the record")


def _digest(run: Run, path: str, context: Literal["input", "output"], cause: str) -> str:
    datasets = tracking.datasets(run, context)
    if path not in datasets:
        raise UserError(
            f"run {run.info.run_id} ({run.info.run_name}) has no {context} {path}: {cause}; run the stage again"
        )
    return datasets[path]


def _writer_of_input(reader: Run, path: str) -> tuple[Run, str]:
    """Return the run that wrote a file which `reader` read, and the file's digest."""
    md5 = _input_digest(reader, path)
    return _writer(provenance.stage_of(path), md5), md5


def _writer(stage: str, md5: str) -> Run:
    runs = tracking.runs_with_output(stage, md5)
    if not runs:
        raise UserError(f"MLflow has no {stage} run that wrote a file with md5 {md5}: {_NO_RUN}")
    return runs[0]


def _run_step(run: Run) -> dict[str, str]:
    """Return what the walk shows of a run."""
    tags = run.data.tags
    return {
        "run": run.info.run_name,
        "url": tracking.run_url(run.info.run_id),
        "status": tags.get("lw.status", ""),
        "git_commit": tags.get("git.commit", ""),
        "fingerprint": tags.get("lw.fingerprint", ""),
    }


def _calls(run: Run, folder: str, call_ids: list[str]) -> Iterator[Step]:
    """Yield those of `call_ids` that a run's call log holds, in the order of `call_ids`."""
    log = f"data/{folder}/calls.jsonl.zst"
    lines = files.read_zstd_lines(
        versioning.bytes_of(_digest(run, log, "output", "MLflow has lost the record"), log)
    )
    calls = {row["call_id"]: row for row in map(json.loads, lines) if row["call_id"] in call_ids}
    for call_id in [call_id for call_id in call_ids if call_id in calls]:
        yield {"stage": run.data.tags["lw.stage"], "call": calls[call_id]}
