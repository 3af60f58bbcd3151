"""The scores of the champion come from MLflow: whatever became of them there, a night goes on without them."""

import logging
import os
from pathlib import Path

import pytest

from longwriter.records import ShortAnswer
from longwriter.stages.register import stored_rows
from longwriter.tracking import connection
from longwriter.tracking import runs as tracking

PATH = "short_prompts/answers.jsonl"


def make_pipe(file):
    file.unlink()
    os.mkfifo(file)


def make_folder(file):
    file.unlink()
    file.mkdir()


def make_link_to_nothing(file):
    file.unlink()
    file.symlink_to("nowhere")


@pytest.fixture
def stored(store, tmp_path):
    """A run with an artifact, and where MLflow keeps that file."""
    run_id = tracking.start_run("register", {})
    (tmp_path / "answers.jsonl").touch()
    tracking.log_artifact(run_id, tmp_path / "answers.jsonl", "short_prompts")
    uri = connection.client()[0].get_run(run_id).info.artifact_uri
    return run_id, Path(uri.removeprefix("file://")) / PATH


def test_stored_rows_are_read_without_a_word(stored, caplog):
    assert stored_rows(stored[0], PATH, ShortAnswer) == []
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "it is missing"),
        (lambda file: file.write_text("{"), "answers.jsonl:1 is not a valid ShortAnswer"),
        (lambda file: file.write_bytes(b"\xff"), "answers.jsonl:1 is not a valid ShortAnswer"),
        (make_folder, "is a folder, a pipe or a device"),
        (make_pipe, "cannot be read"),
        (make_link_to_nothing, "cannot be read"),
    ],
)
def test_stored_rows_that_are_damaged_are_named_and_left_out(stored, caplog, damage, reason):
    run_id, file = stored
    damage(file)
    with caplog.at_level(logging.WARNING):
        assert stored_rows(run_id, PATH, ShortAnswer) == []
    [line] = caplog.messages
    assert line.startswith(f"register: nothing is compared with {PATH} of MLflow run {run_id}: ")
    assert reason in line


@pytest.mark.parametrize("run_id", ["", "f" * 32, "../../x"])
def test_a_run_that_mlflow_does_not_know_is_named(store, caplog, run_id):
    assert stored_rows(run_id, PATH, ShortAnswer) == []
    assert len(caplog.messages) == 1
