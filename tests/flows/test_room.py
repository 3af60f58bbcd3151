"""How much disk a stage needs: outputs as large as last time, and the checkpoints of a training."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from flows import room
from longwriter.errors import UserError

LOCK = {
    "base_model": {"outs": [{"path": "data/base_model/weights", "size": 300}, {"path": "data/base_model/x"}]},
    "plan": {"outs": [{"path": "data/plan/plans.jsonl", "size": 20}, {"path": "data/plan/a", "size": 1}]},
    "sft": {"outs": [{"path": "data/sft/weights", "size": 250}]},
}


@pytest.mark.parametrize(
    ("stage", "size"), [("plan", 42), ("sft", 500), ("dpo", 600), ("report@small", 0), ("base_model", 600)]
)
def test_a_stage_needs_what_it_wrote_last_time_in_data_and_in_the_cache(stage: str, size: int) -> None:
    assert room.needed_bytes(LOCK, stage) == size


def test_a_first_training_without_a_base_model_is_not_guessed() -> None:
    assert room.needed_bytes({}, "sft") == 0


def test_a_full_disk_is_one_line_before_the_stage_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    room.check("sft")  # without dvc.lock
    outs = [{"path": "data/sft/weights", "md5": "a.dir", "size": 10**15}]
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"sft": {"outs": outs}}}))
    with pytest.raises(
        UserError, match=r"stage sft needs about 2,000,000\.2 GB of disk, and [\d.,]+ GB are"
    ) as error:
        room.check("sft")
    assert "\n" not in str(error.value)
    assert "longwriter clean --yes" in str(error.value)
    room.check("plan")


def _checkpoint(folder: str, size: int, age_s: int, is_finished: bool = False) -> None:
    path = Path(".lw/checkpoints", folder)
    path.mkdir(parents=True)
    (path / "state").write_bytes(b"x" * size)
    if is_finished:
        (path / "held_out.json").touch()
    os.utime(path, (10**9 - age_s, 10**9 - age_s))


def test_a_training_also_needs_its_checkpoints_less_those_that_it_replaces_or_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert room.checkpoint_bytes("sft") == 0  # no report: this flow has checked nothing
    Path(".lw").mkdir()
    Path(".lw/capacity.json").write_text(json.dumps({"checkpoints": {"sft": 1000, "dpo": 400}}))
    _checkpoint("sft-finished", 100, age_s=3, is_finished=True)
    _checkpoint("sft-older", 50, age_s=2)
    _checkpoint("sft-killed", 10, age_s=1)
    _checkpoint("dpo-killed", 500, age_s=0)
    assert [room.checkpoint_bytes(stage) for stage in ("plan", "sft", "dpo")] == [0, 890, 0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"checkpoints": 0}', '{"checkpoints": {"sft": Infinity}}'])
def test_a_broken_report_says_nothing_about_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".lw").mkdir()
    Path(".lw/capacity.json").write_text(text)
    assert room.checkpoint_bytes("sft") == 0


def test_a_disk_without_room_for_checkpoints_is_refused_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".lw").mkdir()
    Path(".lw/capacity.json").write_text(json.dumps({"checkpoints": {"sft": 10**15, "dpo": 1}}))
    with pytest.raises(
        UserError, match=r"needs about 1,000,000\.2 GB of disk \(its checkpoints: 1,000,000\.0 GB\)"
    ):
        room.check("sft")
    room.check("dpo")
