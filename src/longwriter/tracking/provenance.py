"""Where trained weights come from: their training run, their training rows, and their benchmark numbers.

Reads the files data/lineage/STAGE.json, which say which run wrote an output from which inputs. Each link of
the chain is checked against the next one, so that numbers and data of another model are never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from longwriter.errors import BadRecord
from longwriter.io import files
from longwriter.tracking import versioning

LINEAGE = files.DATA / "lineage"
_PACKS = "data/pack/train.parquet"
_ROWS = "data/dataset/train.jsonl"
_NUMBERS = tuple(
    f"{name}{part}"
    for name, mean in (("length_score", "_mean"), ("ended_share", ""), ("quality_score", "_mean"))
    for part in (mean, "_low", "_high")
)


class Lineage(BaseModel):
    """What data/lineage/STAGE.json says of a stage: its run, and {path: DVC digest} of its files.

    The file has more fields, for people.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    stage: str
    run_id: str
    git_commit: str = ""
    inputs: dict[str, str]
    outputs: dict[str, str]


class Provenance(NamedTuple):
    """The origin of a model's weights; digests are DVC's.

    `data_md5`: digest of the training rows. `run_id` and `git_commit`: of the training run.
    """

    weights_md5: str
    data_md5: str
    run_id: str
    git_commit: str


def stage_of(path: str) -> str:
    """Return the stage, or the item `NAME@ITEM`, that writes a file of data/."""
    return "@".join(PurePosixPath(path).parts[1:-1])


def read(stage: str) -> Lineage:
    """Return the lineage of a stage, or of an item `NAME@ITEM`.

    Raises:
        BadRecord: its file is missing, or is not what the stage wrote.
    """
    return files.read_record(LINEAGE / f"{stage}.json", Lineage)


def of_model(model: str) -> Provenance:
    """Return the origin of the weights in data/MODEL/weights.

    Raises:
        BadRecord: the weights are not those of the training run, or were not trained by this pipeline.
    """
    weights = files.DATA / model / "weights"
    digest = versioning.digest(weights)
    lineage = read(model)
    _check_link(model, str(weights), lineage.outputs, digest)
    return Provenance(digest, _training_rows(lineage), lineage.run_id, lineage.git_commit)


def benchmark_numbers(model: str, benchmark: str, weights_md5: str) -> dict[str, str]:
    """Return the numbers that the report of a benchmark has for exactly these weights, with their intervals.

    Returns:
        {"BENCHMARK.NUMBER": value}, and as `n` the number of prompts; what the report lacks is left out.

    Raises:
        BadRecord: answers, scores or report were made from other weights, or scores or report were changed since.
    """
    item = f"{model}-{benchmark}"
    answers = f"data/generate/{item}/generations.jsonl"
    scores = f"data/score/{item}/scores.jsonl"
    generate = read(f"generate@{item}")
    score = read(f"score@{item}")
    report = read(f"report@{benchmark}")
    _check_link(f"generate@{item}", f"data/{model}/weights", generate.inputs, weights_md5)
    _check_link(f"score@{item}", answers, score.inputs, generate.outputs.get(answers))
    _check_link(f"report@{benchmark}", scores, report.inputs, score.outputs.get(scores))
    numbers = f"data/report/{benchmark}/metrics.json"
    now = versioning.digests([scores, numbers])
    _check_link(f"score@{item}", scores, score.outputs, now[scores])
    _check_link(f"report@{benchmark}", numbers, report.outputs, now[numbers])
    metrics = files.read_json(Path(numbers), dict[str, float])
    values = {name: metrics[f"{model}_{name}"] for name in _NUMBERS if f"{model}_{name}" in metrics}
    return {f"{benchmark}.{name}": str(value) for name, value in {**values, "n": metrics.get("n", 0)}.items()}


def _check_link(stage: str, path: str, digests: Mapping[str, str], actual: str | None) -> None:
    """Raise BadRecord unless `digests`, of the lineage of `stage`, have the digest that a file has now."""
    if (recorded := digests.get(path)) is None or recorded != actual:
        raise BadRecord(
            f"{path}: data/lineage/{stage}.json names the digest {recorded}, but the file now has {actual}: "
            "run `dvc repro`"
        )


def _training_rows(lineage: Lineage) -> str:
    """Return the digest of the training rows; follows parent models to the one trained on packs."""
    models: list[str] = []
    while _PACKS not in lineage.inputs:
        parents = [path for path in lineage.inputs if Path(path).name == "weights"]
        if not parents:
            raise BadRecord(
                f"data/lineage/{lineage.stage}.json names no training rows: "
                "set register.model to a model that this pipeline trained"
            )
        digest = lineage.inputs[parents[0]]
        parent = Path(parents[0]).parts[1]
        if parent in models:
            raise BadRecord(f"data/lineage/{parent}.json leads back to itself: run `dvc repro {parent}`")
        models.append(parent)
        lineage = read(parent)
        _check_link(parent, parents[0], lineage.outputs, digest)
    pack = read("pack")
    _check_link("pack", _PACKS, pack.outputs, lineage.inputs[_PACKS])
    if _ROWS not in pack.inputs:
        raise BadRecord(f"data/lineage/pack.json does not name {_ROWS}: run `dvc repro pack`")
    return pack.inputs[_ROWS]
