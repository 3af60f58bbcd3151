"""What `longwriter clean` lists and removes, and what it never does."""

import os
import time
from pathlib import Path

from longwriter.io import files, process
from tests.unit.cli.conftest import checkout, run  # noqa: F401 (fixtures)


def write(path, content="x" * 1000, days=0):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (time.time() - days * 86400 - 60,) * 2)
    return path


def training(kind, *, is_finished):
    state = files.LOCAL / "checkpoints" / f"{kind}-0123456789abcdef"
    write(state / "checkpoint-24" / "complete", "{}")
    write(state / "checkpoint-24" / "weights.pt")
    if is_finished:
        write(state / "held_out.json", "{}", days=1)
        write(f"data/{kind}/metrics.json", "{}")
    return state


def test_only_what_can_be_made_again_is_listed_and_nothing_is_removed_without_yes(checkout, run):  # noqa: F811
    done, going_on = training("sft", is_finished=True), training("dpo", is_finished=False)
    served = write(".lw/served/abc-Q8_0/model.gguf")
    old, new = write(".lw/logs/old.log", days=31), write(".lw/logs/new.log", days=1)
    aside = write(".lw/replay.sqlite.damaged-20260101T000000Z", days=40)
    answers = write(".lw/replay.sqlite")
    code, out, _ = run("clean")
    assert code == 0
    assert "in 4 places can be removed" in out
    assert all(path.exists() for path in (done, going_on, served, old, new, aside, answers))
    code, out, _ = run("clean", "--yes")
    assert code == 0
    assert "in 4 places removed" in out
    assert not any(path.exists() for path in (done, served, old, aside))
    assert all(path.exists() for path in (going_on, new, answers))
    assert run("clean")[1] == "nothing to remove of files\n"


def test_a_finished_training_whose_model_is_not_published_keeps_its_checkpoints(checkout, run):  # noqa: F811
    state = training("sft", is_finished=True)
    Path("data/sft/metrics.json").unlink()
    run("clean", "--yes")
    assert state.exists()


def test_nothing_is_removed_while_a_stage_runs(checkout, run):  # noqa: F811
    served = write(".lw/served/abc-Q8_0/model.gguf")
    with process.only_one("plan", files.LOCAL / "locks"):
        code, _, err = run("clean", "--yes")
    assert code == 2
    assert "nothing was removed: stage plan is running" in err
    assert served.exists()
