"""The chain from weights to training rows and benchmark numbers, over literal lineage files."""

import json

import pytest

from longwriter.errors import BadRecord
from longwriter.tracking import provenance, versioning

ROWS = "data/dataset/train.jsonl"
PACKS = "data/pack/train.parquet"
NUMBERS = "data/report/small/metrics.json"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in which DPO was trained on SFT, and SFT on packs, and both answered the benchmark `small`."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    monkeypatch.chdir(tmp_path)
    digests = {}
    for model in ("base_model", "sft", "dpo"):
        weights = tmp_path / "data" / model / "weights"
        weights.mkdir(parents=True)
        (weights / "config.json").write_text(model)
        digests[model] = versioning.digest(f"data/{model}/weights")
    write_lineage("base_model", {}, {"data/base_model/weights": digests["base_model"]})
    write_lineage("pack", {ROWS: "rows"}, {PACKS: "packs"})
    inputs = {"data/base_model/weights": digests["base_model"], PACKS: "packs"}
    write_lineage("sft", inputs, {"data/sft/weights": digests["sft"]})
    write_lineage("dpo", {"data/sft/weights": digests["sft"]}, {"data/dpo/weights": digests["dpo"]})
    answers = "data/generate/dpo-small/generations.jsonl"
    scores = "data/score/dpo-small/scores.jsonl"
    write_lineage("generate@dpo-small", {"data/dpo/weights": digests["dpo"]}, {answers: "answers"})
    metrics = tmp_path / NUMBERS
    metrics.parent.mkdir(parents=True)
    metrics.write_text(
        json.dumps(
            {
                "dpo_length_score_mean": 61.5,
                "dpo_length_score_low": 50.5,
                "dpo_length_score_high": 70.25,
                "dpo_ended_share": 0.9,
                "n": 4,
            }
        )
    )
    (tmp_path / scores).parent.mkdir(parents=True)
    (tmp_path / scores).write_text("{}\n")
    digests |= versioning.digests([scores, NUMBERS])
    write_lineage("score@dpo-small", {answers: "answers"}, {scores: digests[scores]})
    write_lineage("report@small", {scores: digests[scores]}, {NUMBERS: digests[NUMBERS]})
    return digests


def write_lineage(stage, inputs, outputs):
    lineage = {
        "stage": stage,
        "run_id": f"run of {stage}",
        "git_commit": "c1",
        "inputs": inputs,
        "outputs": outputs,
    }
    provenance.LINEAGE.mkdir(exist_ok=True)
    (provenance.LINEAGE / f"{stage}.json").write_text(json.dumps(lineage))


@pytest.mark.parametrize("model", ["sft", "dpo"])
def test_weights_lead_over_their_parents_to_the_training_rows(checkout, model):
    assert provenance.of_model(model) == (checkout[model], "rows", f"run of {model}", "c1")


def test_the_base_model_has_no_training_rows(checkout):
    with pytest.raises(BadRecord, match=r"base_model\.json names no training rows: set register\.model to a"):
        provenance.of_model("base_model")


def test_weights_of_another_run_are_an_error(checkout, tmp_path):
    (tmp_path / "data/dpo/weights/config.json").write_text("changed")
    with pytest.raises(
        BadRecord, match=rf"dpo\.json names the digest {checkout['dpo']}, but the file now has"
    ):
        provenance.of_model("dpo")


@pytest.mark.parametrize(
    ("stage", "inputs", "outputs"),
    [
        ("dpo", {"data/sft/weights": "other"}, None),
        ("sft", {PACKS: "other"}, None),
        ("pack", {ROWS: "rows"}, {PACKS: "other"}),
    ],
)
def test_a_link_that_does_not_fit_the_next_one_is_an_error(checkout, stage, inputs, outputs):
    write_lineage(stage, inputs, outputs or {f"data/{stage}/weights": checkout.get(stage)})
    with pytest.raises(BadRecord, match="names the digest"):
        provenance.of_model("dpo")


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "{}", '{"stage": "sft", "run_id": 1}', "{", ""])
def test_a_lineage_that_is_not_what_its_stage_wrote_is_named(checkout, text):
    (provenance.LINEAGE / "sft.json").write_text(text)
    with pytest.raises(BadRecord, match=r"data/lineage/sft\.json (does not have the form|is not valid JSON)"):
        provenance.of_model("dpo")


def test_a_missing_lineage_or_link_is_named(checkout):
    write_lineage("pack", {}, {PACKS: "packs"})
    with pytest.raises(BadRecord, match=r"pack\.json does not name data/dataset/train\.jsonl"):
        provenance.of_model("dpo")
    (provenance.LINEAGE / "pack.json").unlink()
    with pytest.raises(BadRecord, match=r"pack\.json is missing: .* \(`dvc repro pack`\)"):
        provenance.of_model("dpo")


def test_models_that_name_each_other_as_parent_are_an_error(checkout):
    write_lineage("sft", {"data/dpo/weights": checkout["dpo"]}, {"data/sft/weights": checkout["sft"]})
    with pytest.raises(BadRecord, match="leads back to itself"):
        provenance.of_model("dpo")


def test_a_link_that_neither_side_names_is_no_link(checkout):
    write_lineage("score@dpo-small", {"data/generate/dpo-small/generations.jsonl": "answers"}, {})
    write_lineage("report@small", {}, {})
    with pytest.raises(BadRecord, match=r"report@small\.json names the digest None"):
        provenance.benchmark_numbers("dpo", "small", checkout["dpo"])


def test_the_numbers_are_those_of_the_report_on_these_weights(checkout):
    assert provenance.benchmark_numbers("dpo", "small", checkout["dpo"]) == {
        "small.length_score_mean": "61.5",
        "small.length_score_low": "50.5",
        "small.length_score_high": "70.25",
        "small.ended_share": "0.9",
        "small.n": "4",
    }
    with pytest.raises(BadRecord, match=r"generate@dpo-small\.json names the digest"):
        provenance.benchmark_numbers("dpo", "small", checkout["sft"])


@pytest.mark.parametrize("path", ["data/score/dpo-small/scores.jsonl", NUMBERS])
def test_scores_and_numbers_that_were_changed_since_are_an_error(checkout, tmp_path, path):
    (tmp_path / path).write_text("")
    with pytest.raises(BadRecord, match=rf"names the digest {checkout[path]}, but the file now has"):
        provenance.benchmark_numbers("dpo", "small", checkout["dpo"])
