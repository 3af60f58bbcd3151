"""How much disk a stage needs, by what it wrote last time."""

from __future__ import annotations

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
