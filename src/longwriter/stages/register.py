"""Register the trained model as a version in MLflow's registry, and give the version an alias.

Reads   data/<register.model>/weights, data/report/*/metrics.json, data/lineage (training run and training data)
Writes  data/register/candidate.json; the version itself is in MLflow
Run     dvc repro register
"""

from __future__ import annotations

from pathlib import Path

from longwriter.io import files
from longwriter.params import Params
from longwriter.stages import runner
from longwriter.tracking import logged_models, notes, provenance


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Register the weights if they are not registered yet, and point the alias to them."""
    register = params.register_
    origin = provenance.of_model(register.model)
    candidate = {
        "name": register.name,
        "alias": register.alias,
        "model": register.model,
        "weights_md5": origin.weights_md5,
        "data_md5": origin.data_md5,
    }
    files.write_json(folder / "candidate.json", candidate)
    tags = {
        "dvc.md5": origin.weights_md5,
        "dvc.data_md5": origin.data_md5,
        "lw.stage": register.model,
        "lw.run_id": origin.run_id,
        "git.commit": origin.git_commit,
    }
    for benchmark in params.generate.benchmarks:
        tags |= provenance.benchmark_numbers(register.model, benchmark, origin.weights_md5)
    benchmarks = params.generate.benchmarks
    description = notes.of_model(register.model, benchmarks, origin.weights_md5, origin.data_md5)
    version = logged_models.register(register.name, register.alias, run.run_id, tags, description)
    return runner.Summary(1, 1, execution={"version": float(version)})


if __name__ == "__main__":
    runner.main("register", work)
