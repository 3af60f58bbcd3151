"""The state of an unfinished training is never removed without a word."""

import json
import logging

import pytest

from longwriter.errors import UserError
from longwriter.launch import checkpoints, launch
from longwriter.training import fitting
from tests.jobs import TRAINING

LAYOUT = {"zero_optimization": {"stage": 2}}


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def state(fingerprint, *, ranks=2, step=1800, is_finished=False, kind="sft"):
    """Write the state of a training that has saved a step."""
    folder = launch.checkpoint_folder(kind, fingerprint, ranks, LAYOUT)
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights.bin").write_bytes(b"0" * 1000)
    checkpoints.mark_complete(checkpoint)
    job = {
        "kind": kind, "model": "m", "train": "t", "test": "t", "out": "o", "checkpoints": str(folder),
        "device": "cpu", "ranks": ranks, "layout": LAYOUT, "training": TRAINING.model_dump(),
    }  # fmt: skip
    (folder / launch.JOB).write_text(json.dumps(job))
    if is_finished:
        (folder / checkpoints.HELD_OUT).write_text("{}")
    return folder


def look(fingerprint="now", ranks=1, kind="sft"):
    own = launch.checkpoint_folder(kind, fingerprint, ranks, LAYOUT)
    fitting._look_after_others(kind, fingerprint, own)


def test_other_ranks_of_the_same_training_are_refused_with_what_to_do():
    other = state("now", ranks=2)
    with pytest.raises(UserError, match=r"holds step 1800 of this training, made by 2 ranks .*rm -r"):
        look("now", ranks=1)
    assert other.is_dir()
    look("now", ranks=2)


def test_an_unfinished_training_with_other_data_is_kept_and_named(caplog):
    other = state("before")
    look("now")
    assert other.is_dir()
    [line] = caplog.messages
    assert f"{other} holds step 1800 of an unfinished training" in line


@pytest.mark.parametrize("content", [None, '{"kind": "sft"}', "{"])
def test_an_unfinished_training_of_another_version_is_kept_and_named(caplog, content):
    other = state("before")
    (other / launch.JOB).unlink()
    if content is not None:
        (other / launch.JOB).write_text(content)
    look("now")
    assert other.is_dir()
    assert f"{other} holds step 1800 of an unfinished training" in caplog.text


def test_a_finished_training_and_one_without_a_step_make_room(caplog):
    caplog.set_level(logging.INFO)
    finished, same = state("before", is_finished=True), state("now", ranks=2, is_finished=True)
    empty = launch.checkpoint_folder("sft", "empty", 2, LAYOUT)
    (empty / "checkpoint-3").mkdir(parents=True)
    look("now")
    assert not any(folder.exists() for folder in (finished, same, empty))
    assert [line.count("removed the checkpoints") for line in caplog.messages] == [1, 1]


def test_the_other_kind_of_training_is_left_alone():
    other = state("now", kind="dpo", is_finished=True)
    look("now")
    assert other.is_dir()
