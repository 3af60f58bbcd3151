import json
import os
from pathlib import Path

import pytest
from dvc.repo import Repo
from typer.testing import CliRunner

from longwriter.cli.main import app
from longwriter.errors import BadRecord, GateStopped, UserError
from longwriter.export import folder as exporting
from longwriter.io import files
from longwriter.tracking import versioning
from tests.unit.builders import example

SPLITS = {"train": [example(1), example(2)], "test": [example(3)]}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a data set that the gate has passed."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("params.yaml").touch()
    data = Path("data/dataset")
    data.mkdir(parents=True)
    for split, rows in SPLITS.items():
        files.write_jsonl(data / f"{split}.jsonl", rows)
    (data / "datacard.md").write_text("# Data card\n", encoding="utf-8")
    digests = {str(data / f"{split}.jsonl"): versioning.digest(data / f"{split}.jsonl") for split in SPLITS}
    Path("data/validate").mkdir()
    files.write_json(Path("data/validate/verdict.json"), {"passed": True, "data": digests})
    return tmp_path


@pytest.mark.parametrize(("format", "column"), [("messages", "messages"), ("sharegpt", "conversations")])
def test_the_gated_data_set_is_written_whole(checkout, format, column):
    done = CliRunner().invoke(app, ["export", "--format", format, "out"])
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        f"exported the gated data set as {format} into out: train.jsonl 2 rows, test.jsonl 1 row; "
        "dataset_info.json, datacard.md\n"
    )
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "datacard.md", "dataset_info.json", "test.jsonl", "train.jsonl",
    ]  # fmt: skip
    lines = Path("out/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [len(json.loads(line)[column]) for line in lines] == [2, 2]
    info = files.read_json(Path("out/dataset_info.json"))
    assert {name: one["file_name"] for name, one in info.items()} == {
        "longwriter": "train.jsonl",
        "longwriter_test": "test.jsonl",
    }


@pytest.mark.parametrize("file", ["dataset/train.jsonl", "dataset/datacard.md", "validate/verdict.json"])
def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_named_and_nothing_is_written(checkout, file):
    path = Path("data") / file
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadRecord, match=rf"{file} is a .*pipe"):
        exporting.write(Path("out"), "messages")
    path.unlink()
    path.mkdir()
    with pytest.raises((BadRecord, GateStopped), match=file):
        exporting.write(Path("out"), "messages")
    assert not Path("out").exists()


@pytest.mark.parametrize("text", ["[]", '"x"', "{}", "null", '{"passed": "true", "data": {}}'])
def test_a_verdict_of_another_form_passes_nothing(checkout, text):
    Path("data/validate/verdict.json").write_text(text)
    with pytest.raises(BadRecord, match=r"verdict\.json does not have the form .*`dvc repro validate`"):
        exporting.write(Path("out"), "messages")


def test_a_data_set_that_the_gate_has_not_passed_is_not_exported(checkout):
    files.write_jsonl(Path("data/dataset/train.jsonl"), [example(7)])
    with pytest.raises(GateStopped, match="dvc repro validate"):
        exporting.write(Path("out"), "messages")
    assert not Path("out").exists()


def test_without_a_verdict_the_stage_that_writes_it_is_named(checkout):
    Path("data/validate/verdict.json").unlink()
    with pytest.raises(BadRecord, match=r"verdict\.json is missing: run the stage .*dvc repro validate"):
        exporting.write(Path("out"), "messages")


def test_a_folder_with_files_stays_unchanged(checkout):
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    with pytest.raises(UserError, match="out holds files already"):
        exporting.write(Path("out"), "messages")


def test_an_unknown_format_is_an_error(checkout):
    assert CliRunner().invoke(app, ["export", "--format", "alpaca", "out"]).exit_code == 2
