"""A damaged checkpoint is named and set aside; the training resumes from the one before it."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longwriter.launch import checkpoints


def checkpoint(folder, step):
    path = folder / f"checkpoint-{step}"
    (path / "global").mkdir(parents=True)
    torch.save({"w": torch.arange(20_000.0) + step}, path / "global" / "optim_states.pt")
    (path / "weights.safetensors").write_bytes(bytes(range(256)) * 40)
    (path / "trainer_state.json").write_text(json.dumps({"step": step}))
    checkpoints.mark_complete(path)
    return path


def curve(folder, steps):
    lines = [json.dumps({"step": step, "max_steps": 9, "loss": 1.0}) + "\n" for step in range(1, steps + 1)]
    (folder / checkpoints.CURVE).write_text("".join(lines))


def overwrite(file, at=0.5):
    content = bytearray(file.read_bytes())
    start = int(len(content) * at)
    content[start : start + 8] = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-10])


PARTS = ["global/optim_states.pt", "weights.safetensors", "trainer_state.json"]


def test_a_whole_checkpoint_has_no_damage(tmp_path):
    assert checkpoints.damage(checkpoint(tmp_path, 4)) is None


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "harm", [overwrite, cut, lambda file: file.unlink(), lambda file: file.write_bytes(b"")]
)
def test_training_goes_back_to_the_last_whole_checkpoint(tmp_path, caplog, part, harm):
    checkpoint(tmp_path, 4)
    harm(checkpoint(tmp_path, 8) / part)
    curve(tmp_path, 9)
    checkpoints.go_back_to_last(tmp_path)
    assert checkpoints.finished(tmp_path) == [4]
    assert [point["step"] for point in checkpoints.read_curve(tmp_path / checkpoints.CURVE)] == [1, 2, 3, 4]
    assert (tmp_path / "damaged-checkpoint-8").is_dir()
    [line] = caplog.messages
    assert "checkpoint-8 is damaged" in line
    assert part in line
    assert "damaged-checkpoint-8" in line


def test_an_unreadable_marker_is_damage_and_an_empty_one_of_earlier_versions_is_not(tmp_path):
    path = checkpoint(tmp_path, 4)
    for content, is_damaged in (
        (b"", False),
        (b"\xff\xfe{", True),
        (b"[1]", True),
        (b'{"a": 1}', True),
        (b"[" * 5000, True),
        (b'{"' + b"a" * 5000 + b'": [1, 2]}', True),
        (b'{"a": [Infinity, 1]}', True),
    ):
        (path / checkpoints.COMPLETE).write_bytes(content)
        assert (checkpoints.damage(path) is not None) == is_damaged
    (path / checkpoints.COMPLETE).write_bytes(b"")
    overwrite(path / PARTS[0])
    assert PARTS[0] in checkpoints.damage(path)


@given(st.integers(0, 1500), st.integers(0, 20), st.binary(max_size=12))
def test_no_damage_of_an_unlisted_file_raises(tmp_path_factory, start, length, others):
    path = tmp_path_factory.mktemp("zip") / "checkpoint-4"
    path.mkdir()
    (path / checkpoints.COMPLETE).touch()
    torch.save({"w": torch.arange(3.0)}, path / "a.pt")
    content = (path / "a.pt").read_bytes()
    (path / "a.pt").write_bytes(content[:start] + others + content[start + length :])
    assert checkpoints.damage(path) is None or "a.pt: " in checkpoints.damage(path)


def test_a_checkpoint_without_marker_is_removed(tmp_path):
    checkpoint(tmp_path, 4)
    (checkpoint(tmp_path, 8) / checkpoints.COMPLETE).unlink()
    checkpoints.go_back_to_last(tmp_path)
    assert [path.name for path in tmp_path.glob("*checkpoint*")] == ["checkpoint-4"]


@pytest.mark.parametrize(
    "bad",
    [
        b"\x00\x00\x00\n",
        b"\xff\xfe\n",
        b"{}\n",
        b"[]\n",
        b'{"step": null}\n',
        b"[" * 5000 + b"\n",
        b'{"step": Infinity}\n',
    ],
)
def test_damaged_lines_of_a_curve_are_left_out(tmp_path, caplog, bad):
    checkpoint(tmp_path, 4)
    curve(tmp_path, 3)
    with (tmp_path / checkpoints.CURVE).open("ab") as file:
        file.write(bad + b'{"step": 4, "max_steps": 9, "loss": 2.0}\n{"step": 4, "ma')
    checkpoints.go_back_to_last(tmp_path)
    assert [point["step"] for point in checkpoints.read_curve(tmp_path / checkpoints.CURVE)] == [1, 2, 3, 4]
    assert "1 damaged lines" in caplog.text


def other_kind(place):
    """Put a pipe, a link or a folder where a training has a file or a folder of its own."""
    folder, name = place.parent, place.name
    return {
        "a pipe among the parts": lambda: os.mkfifo(folder / "checkpoint-4" / "more.pt"),
        "a link to a device": lambda: (folder / "checkpoint-4" / "more.pt").symlink_to("/dev/zero"),
        "a file as a checkpoint": lambda: (folder / "checkpoint-9").write_text("x"),
        "a link as a checkpoint": lambda: (folder / "checkpoint-9").symlink_to(folder),
        "a folder as the curve": lambda: (place.unlink(), place.mkdir()),
        "a folder as the new curve": lambda: (folder / f"{name}.part").mkdir(),
        "a name without a step": lambda: shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-x"),
        "a file in the way": lambda: (
            (folder / "damaged-checkpoint-4").write_text("x"),
            cut(folder / "checkpoint-4" / PARTS[1]),
        ),
    }


@pytest.mark.parametrize("kind", other_kind(Path("a")))
def test_a_training_goes_on_where_something_of_another_kind_is_in_the_way(tmp_path, kind):
    for step in (2, 4):
        checkpoint(tmp_path, step)
    curve(tmp_path, 4)
    other_kind(tmp_path / checkpoints.CURVE)[kind]()
    checkpoints.go_back_to_last(tmp_path)
    assert checkpoints.finished(tmp_path)[0] == 2
    assert (tmp_path / checkpoints.CURVE).is_file()
    assert not (tmp_path / "checkpoint-9").exists()
