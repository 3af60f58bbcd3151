"""Hand the trained model on: a version in MLflow's registry, found by an alias.

Reads   data/<register.model>/weights, data/report/*/metrics.json, data/lineage (who trained, on what)
Writes  data/register/candidate.json; the version itself lies in MLflow
Run     dvc repro register
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longwriter.errors import BadRecord
from longwriter.io import files
from longwriter.params import Params
from longwriter.stages import runner
from longwriter.tracking import logged_models as models
from longwriter.tracking import versioning

TRAIN = "data/dataset/train.jsonl"
NUMBERS = ("length_score_mean", "ended_share")


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Register the weights, or find them registered, and move the alias to them."""
    p = params.register_
    weights = files.DATA / p.model / "weights"
    digest = versioning.digest(weights)
    trained = _lineage(p.model)
    _agree(trained["outputs"].get(str(weights)), digest, p.model)
    candidate = {
        "name": p.name,
        "alias": p.alias,
        "model": p.model,
        "weights_md5": digest,
        "data_md5": _data_md5(trained),
    }
    files.write_json(folder / "candidate.json", candidate)
    tags = {
        "dvc.md5": digest,
        "dvc.data_md5": candidate["data_md5"],
        "lw.stage": p.model,
        "lw.run_id": trained["run_id"],
        "git.commit": trained["git_commit"],
    }
    for benchmark in params.generate.benchmarks:
        tags |= _numbers(p.model, benchmark, digest)
    version = models.register(p.name, p.alias, run.run_id, tags)
    return runner.Summary(1, 1, execution={"version": float(version)})


def _lineage(stage: str) -> dict[str, Any]:
    found: dict[str, Any] = files.read_json(runner.LINEAGE / f"{stage}.json")
    return found


def _agree(found: str | None, wanted: str, stage: str) -> None:
    """Let pass what a stage wrote or read where it is what the next one has.

    Raises:
        BadRecord: it is not, so that no number and no data set would be this model's.
    """
    if found != wanted:
        raise BadRecord(
            f"data/lineage/{stage}.json names {found} where {wanted} lies now: run `dvc repro` up to register"
        )


def _data_md5(trained: dict[str, Any]) -> str:
    """Return the digest of the training rows behind a model, link by link: (dpo,) sft, pack, data set."""
    if trained["stage"] == "dpo":
        sft = _lineage("sft")
        _agree(sft["outputs"].get("data/sft/weights"), trained["inputs"]["data/sft/weights"], "sft")
        trained = sft
    pack = _lineage("pack")
    packs = "data/pack/train.parquet"
    _agree(pack["outputs"].get(packs), trained["inputs"][packs], "pack")
    return str(pack["inputs"][TRAIN])


def _numbers(model: str, benchmark: str, digest: str) -> dict[str, str]:
    """Return what the report of a benchmark says of these very weights, as tags `BENCHMARK.NUMBER`."""
    item = f"{model}-{benchmark}"
    answers, scores = f"data/generate/{item}/generations.jsonl", f"data/score/{item}/scores.jsonl"
    generate, score = _lineage(f"generate@{item}"), _lineage(f"score@{item}")
    report = _lineage(f"report@{benchmark}")
    _agree(generate["inputs"].get(f"data/{model}/weights"), digest, f"generate@{item}")
    _agree(score["inputs"].get(answers), generate["outputs"][answers], f"score@{item}")
    _agree(report["inputs"].get(scores), score["outputs"][scores], f"report@{benchmark}")
    found = files.read_json(files.DATA / "report" / benchmark / "metrics.json")
    return {f"{benchmark}.{name}": str(found[f"{model}_{name}"]) for name in NUMBERS}


if __name__ == "__main__":
    runner.main("register", work)
