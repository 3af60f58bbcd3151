"""kill -9 in mid-`write`: nobody stays behind, nothing that was answered is asked again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from longwriter.calls import replay
from tests.chat_server.server import ChatServer, chat_server
from tests.workspace import Workspace, seed_of, wait_for

GONE_WITHIN_S = 120.0
CONCURRENCY = 4


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[ChatServer]:
    with chat_server(tmp_path / "requests.jsonl", "--latency", "1.0") as server:
        yield server


def _stored(workspace: Workspace) -> set[str]:
    """Return the hashes of the requests whose answers are kept."""
    file = workspace.path / ".lw" / "replay.sqlite"
    if not file.exists():
        return set()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return {row[0] for row in db.execute("SELECT request_hash FROM answers")}
        except sqlite3.OperationalError:  # the table is being made
            return set()


def _find(workspace: Workspace, *words: str) -> psutil.Process:
    """Return the one process of the workspace whose command line holds all `words`."""

    def found() -> list[psutil.Process]:
        processes = []
        for process in workspace.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since
                command = process.cmdline()
                if all(any(word in part for part in command) for word in words):
                    processes.append(process)
        return processes

    return wait_for(found, f"a process with {words}")[-1]


def _nobody_is_left(workspace: Workspace) -> None:
    wait_for(
        lambda: not workspace.processes(),
        f"no process in the workspace: {[p.cmdline() for p in workspace.processes() if p.is_running()]}",
        GONE_WITHIN_S,
    )


@pytest.mark.parametrize("victim", ["dvc", "flow", pytest.param("stage", marks=pytest.mark.services)])
def test_a_killed_run_leaves_no_process_and_sends_no_request_twice(
    workspace: Workspace, slow: ChatServer, victim: str
) -> None:
    workspace.set_params(
        {"llm.base_url": slow.url, "llm.max_concurrency": CONCURRENCY, "write.sampling.seed": 1}
    )
    command = ("python", "-m", "flows.pipeline", "write") if victim == "flow" else ("dvc", "repro", "write")
    with workspace.start(*command) as child:

        def is_writing() -> bool:
            assert child.poll() is None, child.communicate()
            return len(_stored(workspace)) >= 6

        wait_for(is_writing, "six answers are stored")
        stage = _find(workspace, "longwriter.stages.write")
        everyone = psutil.Process(child.pid).children(recursive=True)
        target = {
            "dvc": lambda: _find(workspace, "dvc", "repro").pid,
            "stage": lambda: stage.pid,
            "flow": lambda: child.pid,
        }
        os.kill(target[victim](), signal.SIGKILL)
        wait_for(
            lambda: not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE,
            "the stage ends",
            GONE_WITHIN_S,
        )
        stored, sent = _stored(workspace), len(slow.requests("write"))
        child.wait(GONE_WITHIN_S)
        _nobody_is_left(workspace)
        wait_for(  # DVC takes a zombie's lock for one that is held
            lambda: not any(psutil.pid_exists(p.pid) for p in everyone), "all are reaped", GONE_WITHIN_S
        )
    assert len(stored) < len(workspace.rows("data/plan/plans.jsonl")) * 2, (
        "the kill came after the stage's end"
    )
    assert (
        not (workspace.path / "data/write").exists()
        or not (workspace.path / "data/write/drafts.jsonl").exists()
    )

    workspace.dvc("repro", "write")

    assert workspace.rows("data/write/drafts.jsonl")
    statuses = {run.info.status for run in workspace.runs()}
    assert "RUNNING" not in statuses
    logged = workspace.rows("data/write/calls.jsonl.zst")
    seeds = {
        seed_of(row["request"])
        for row in logged
        if replay.key(row["call_id"], row["endpoint"] or "") in stored
    }
    assert seeds
    assert [row for row in slow.requests("write")[sent:] if row["seed"] in seeds] == []
    hashes = [row["hash"] for row in slow.requests("write")]
    assert len(hashes) - len(set(hashes)) <= CONCURRENCY
    calls = workspace.rows("data/write/calls.jsonl.zst")
    assert sum(row["replayed"] for row in calls) == len(stored)


def test_a_flow_whose_process_group_gets_a_signal_to_end_ends_soon(
    workspace: Workspace, slow: ChatServer
) -> None:
    workspace.set_params({"llm.base_url": slow.url, "write.sampling.seed": 3})
    with workspace.start("python", "-m", "flows.pipeline", "write") as child:
        wait_for(lambda: _stored(workspace), "an answer is stored")
        os.killpg(child.pid, signal.SIGTERM)
        child.communicate(timeout=2 * GONE_WITHIN_S)
        assert child.returncode == 143
        _nobody_is_left(workspace)
    assert "RUNNING" not in {run.info.status for run in workspace.runs()}


@pytest.mark.parametrize(
    "victim", ["stage", "flow", pytest.param("stage of a flow", marks=pytest.mark.services)]
)
def test_the_model_server_dies_with_its_stage_or_its_flow(workspace: Workspace, victim: str) -> None:
    workspace.set_params(
        {
            "llm.engine": "llama.cpp",
            "llm.model": "data/base_model/weights",
            "llm.base_url": None,
            "llm.context_tokens": 4000,
            "plan.max_attempts": 1000,
            "plan.min_steps": 3,
            "plan.max_point_chars": 4000,  # a random model never ends such an answer
            "plan.sampling.max_tokens": 3000,
            "plan.sampling.repetition_penalty": None,
        }
    )
    command = ("dvc", "repro", "plan") if victim == "stage" else ("python", "-m", "flows.pipeline", "plan")
    with workspace.start(*command) as child:
        server = _find(workspace, "longwriter.models.llamacpp_server")
        log = workspace.path / ".lw" / "logs" / "llama.cpp.log"
        wait_for(lambda: log.exists() and b"print_timing" in log.read_bytes(), "it has answered")
        stage = _find(workspace, "longwriter.stages.plan")
        assert server.ppid() == (stage.pid if victim == "stage" else child.pid)
        os.kill(child.pid if victim == "flow" else stage.pid, signal.SIGKILL)
        wait_for(
            lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE,
            "it ends",
            GONE_WITHIN_S,
        )
        if victim != "stage":
            child.communicate(timeout=GONE_WITHIN_S)
        _nobody_is_left(workspace)


def test_a_second_run_is_refused_while_the_first_writes(workspace: Workspace, slow: ChatServer) -> None:
    workspace.set_params({"llm.base_url": slow.url, "write.sampling.seed": 2, "instructions.limit": 12})
    with workspace.start("python", "-m", "longwriter.stages.write") as first:
        wait_for(lambda: len(_stored(workspace)) >= 1, "the first is writing")
        os.kill(first.pid, signal.SIGSTOP)  # holds its lock for as long as it takes
        done = workspace.stage("write", code=75)
        assert "StageBusy" in done.stderr
        assert str(first.pid) in done.stderr
        assert "Traceback" not in done.stderr
        os.kill(first.pid, signal.SIGCONT)
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait(GONE_WITHIN_S) == 143
    ended = [run.info.status for run in workspace.runs() if run.data.tags.get("lw.stage") == "write"]
    assert ended == ["KILLED"], json.dumps(ended)
