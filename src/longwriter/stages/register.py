"""Hand the trained model on: a version in MLflow's registry, found by an alias.

Reads   data/<register.model>/weights, data/report/*/metrics.json, data/lineage (who trained, on what)
Writes  data/register/candidate.json; the version itself lies in MLflow
Run     dvc repro register
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longwriter import runner
from longwriter.edges import files, models, versioning
from longwriter.errors import BadRecord
from longwriter.params import Params

TRAIN = "data/dataset/train.jsonl"
NUMBERS = ("length_score_mean", "ended_share")


def work(params: Params, folder: Path) -> runner.Summary:
    """Register the weights, or find them registered, and move the alias to them."""
    p = params.register_
    weights = files.DATA / p.model / "weights"
    digest = versioning.digest(weights)
    trained = _lineage(p.model)
    if trained["outputs"].get(str(weights)) != digest:
        raise BadRecord(f"{weights} is not what data/lineage/{p.model}.json names: run `dvc repro {p.model}`")
    candidate = {
        "name": p.name,
        "alias": p.alias,
        "model": p.model,
        "weights_md5": digest,
        "data_md5": _lineage("pack")["inputs"][TRAIN],
    }
    files.write_json(folder / "candidate.json", candidate)
    tags = {
        "dvc.md5": digest,
        "dvc.data_md5": candidate["data_md5"],
        "lw.stage": p.model,
        "lw.run_id": trained["run_id"],
        "git.commit": versioning.git_state()["git.commit"],
        **_numbers(p.model),
    }
    version = models.register(p.name, p.alias, runner.current().run_id, tags)
    return runner.Summary(1, 1, execution={"version": float(version)})


def _lineage(stage: str) -> dict[str, Any]:
    found: dict[str, Any] = files.read_json(runner.LINEAGE / f"{stage}.json")
    return found


def _numbers(model: str) -> dict[str, str]:
    """Return what the reports say of the model, as tags `BENCHMARK.NUMBER`."""
    tags: dict[str, str] = {}
    for path in sorted((files.DATA / "report").glob("*/metrics.json")):
        found = files.read_json(path)
        tags |= {
            f"{path.parent.name}.{name}": str(found[f"{model}_{name}"])
            for name in NUMBERS
            if f"{model}_{name}" in found
        }
    return tags


if __name__ == "__main__":
    runner.main("register", work)
