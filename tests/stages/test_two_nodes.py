"""A training on two nodes, which are this machine twice; see tests/ssh.py. It starts ranks three times, so not in the plain run."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from longwriter.errors import TrainingFailed, Unavailable
from longwriter.launch import launch
from longwriter.launch.launch import Job
from tests.jobs import ROOT, TRAINING, job, pack, reference
from tests.ssh import put_ssh_into

pytestmark = pytest.mark.services
ROWS = [pack(key, 3) for key in range(4)]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", put_ssh_into(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 slots=1\nlocalhost slots=1\n")
    return str(file)


def on_nodes(folder: Path, model: Path, hosts: str, epochs: int, timeout_s: float = 600) -> Job:
    one = job(folder, model, ROWS, 2)
    settings = {"hostfile": hosts, "device": "cpu", "timeout_s": timeout_s}
    optimizer = one.sft.optimizer.model_copy(update={"epochs": epochs})
    return one.model_copy(
        update={
            "training": TRAINING.model_copy(update=settings),
            "sft": one.sft.model_copy(update={"optimizer": optimizer}),
        }
    )


def ranks() -> list[psutil.Process]:
    """Return the two rank processes below this one, in order."""
    below = psutil.Process().children(recursive=True)
    started = [process for process in below if process.cmdline()[1:4] == ["-u", "-m", launch.MODULE]]
    return sorted(started, key=lambda process: int(process.environ()["RANK"]))


def disturbed(one: Job, sign: signal.Signals) -> float:
    """Train, and send a signal to rank 1 at step 3; return the time at which that was done."""
    at: list[float] = []

    def disturb(points: list[dict[str, Any]]) -> None:
        if points[-1]["step"] >= 3 and not at:
            at.append(time.monotonic())
            ranks()[1].send_signal(sign)

    launch.run(one, disturb, lambda _: None)
    return at[0]


def test_two_nodes_train_as_one_process_does(tmp_path: Path, tiny_model: Path, hosts: str) -> None:
    [point] = launch.run(on_nodes(tmp_path / "job", tiny_model, hosts, 1), lambda _: None, lambda _: None)
    value, norm = reference(tiny_model, ROWS, "token_mean")
    assert point["loss"] == pytest.approx(value, rel=1e-5)
    assert point["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_a_killed_rank_ends_the_other_node_and_may_be_tried_again(
    tmp_path: Path, tiny_model: Path, hosts: str
) -> None:
    with pytest.raises(Unavailable, match="node was lost"):
        disturbed(on_nodes(tmp_path / "job", tiny_model, hosts, 500), signal.SIGKILL)
    assert ranks() == []


def test_a_rank_that_hangs_ends_all_after_the_time_out(tmp_path: Path, tiny_model: Path, hosts: str) -> None:
    started = time.monotonic()
    with pytest.raises((TrainingFailed, Unavailable)):
        disturbed(on_nodes(tmp_path / "job", tiny_model, hosts, 500, timeout_s=5), signal.SIGSTOP)
    assert time.monotonic() - started < 120
    assert ranks() == []
