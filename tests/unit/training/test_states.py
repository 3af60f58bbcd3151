"""The state of an unfinished training is never removed without a word."""

import logging
from pathlib import Path

import pytest

from longwriter.errors import UserError
from longwriter.launch import checkpoints, launch
from longwriter.training import states
from tests.jobs import OPTIMIZER, TRAINING
from tests.unit.params.fields import LORA

LAYOUT = {"zero_optimization": {"stage": 2}}
SFT = {
    "loss": "token_mean", "batch_packs": 2, "eval_steps": None, "publish": "last", "patience": None,
    "optimizer": OPTIMIZER.model_dump(),
}  # fmt: skip


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def job_of(folder, ranks, layout, kind="sft", sft=None):
    return launch.Job(
        kind=kind, model="m", train="t", test="t", out="o", checkpoints=str(folder), device="cpu", ranks=ranks,
        layout=layout, training=TRAINING, sft=sft,
    )  # fmt: skip


def state(fingerprint, *, ranks=2, step=1800, is_finished=False, kind="sft"):
    """Write the state of a training that has saved a step, of which no file is DeepSpeed's."""
    folder = launch.checkpoint_folder(kind, fingerprint, ranks, LAYOUT)
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights.bin").write_bytes(b"0" * 1000)
    checkpoints.mark_complete(checkpoint)
    job = job_of(folder, ranks, LAYOUT, kind)
    (folder / launch.JOB).write_text(job.model_dump_json())
    if is_finished:
        (folder / checkpoints.HELD_OUT).write_text("{}")
    return folder


def look(fingerprint="now", ranks=1, kind="sft", layout=LAYOUT, sft=None):
    own = launch.checkpoint_folder(kind, fingerprint, ranks, layout)
    states.prepare(job_of(own, ranks, layout, kind, sft), fingerprint)
    return own


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"layout": {"zero_optimization": {"stage": 3}}}, "ZeRO 3 cannot read a checkpoint of ZeRO 2"),
        ({"ranks": 1, "sft": {**SFT, "lora": LORA}}, "a LoRA training needs the same ranks and layout"),
        ({"ranks": 1, "sft": {**SFT, "eval_steps": 1, "publish": "best"}}, "sft.publish best needs the same ranks"),
    ],
)  # fmt: skip
def test_a_state_that_cannot_be_converted_is_kept_and_the_training_says_what_to_do(changed, reason):
    other = state("now", ranks=2)
    before = sorted(other.rglob("*"))
    with pytest.raises(UserError) as error:
        look(**{"ranks": 2, **changed})
    words = str(error.value)
    assert f"{other} holds step 1800 of this training, made by 2 ranks with the layout" in words
    assert reason in words
    assert words.endswith(f"or remove the folder to begin again (rm -r {other})")
    assert sorted(other.rglob("*")) == before


@pytest.mark.services  # imports DeepSpeed for one line
def test_a_conversion_that_fails_leaves_the_state_and_names_its_log(monkeypatch):
    other = state("now", ranks=2)
    monkeypatch.setenv("PYTHONPATH", str(Path(states.__file__).parents[2]))
    with pytest.raises(UserError, match=r"could not be converted \(\.lw/logs/sft-universal\.log: .*rm -r"):
        look("now", ranks=1)
    assert checkpoints.finished(other) == [1800]
    look("now", ranks=2)


def test_a_converted_state_makes_room_once_the_training_has_saved_a_step_of_its_own():
    own, other = state("now", ranks=1, step=1800), state("now", ranks=2, step=1800)
    (other / "moved").write_text(str(own))
    converted = own / "checkpoint-1800" / checkpoints.UNIVERSAL
    converted.touch()
    look("now", ranks=1)
    assert other.is_dir()
    (other / "moved").write_bytes(b"\xff\xfe")
    look("now", ranks=1)
    assert other.is_dir()
    (other / "moved").write_text(str(own))
    converted.unlink()
    look("now", ranks=1)
    assert not other.exists()
    assert checkpoints.finished(own) == [1800]


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


def test_checkpoints_of_the_other_kind_of_training_stay():
    other = state("now", kind="dpo", is_finished=True)
    look("now")
    assert other.is_dir()
