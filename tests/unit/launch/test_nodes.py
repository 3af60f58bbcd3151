"""Two nodes that are this machine twice: what reaches the ranks, and that no rank outlives the others.

A command named ssh, first in PATH, stands for the network: it runs here what it would run on the host.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from longwriter.errors import Unavailable
from longwriter.launch import nodes
from longwriter.launch.nodes import Node
from tests.ssh import put_ssh_into
from tests.unit.launch.test_launch import TRAINING

WAIT_S = 120


@pytest.fixture(autouse=True)
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", put_ssh_into(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)


def shell(host: str, command: str) -> Node:
    return Node(host, ["sh", "-c", command])


def pid_in(file: Path) -> psutil.Process:
    end = time.monotonic() + WAIT_S
    while not file.is_file() or not file.read_text().endswith("\n"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return psutil.Process(int(file.read_text()))


def test_variables_and_folder_reach_every_node_and_no_command_line(tmp_path: Path) -> None:
    command = 'echo "$LW_A $PWD" > {0}; cat /proc/$PPID/cmdline /proc/$$/cmdline > {0}.lines'
    both = [shell(host, command.format(host)) for host in ("one", "two")]
    assert nodes.run(both, "ssh", {"LW_A": "$(date) 'x'; y"}) == 0
    for host in ("one", "two"):
        assert Path(host).read_text() == f"$(date) 'x'; y {tmp_path}\n"
        assert "date" not in Path(f"{host}.lines").read_text()


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        ("exit 3", 3),
        ("kill -9 $$", Unavailable.exit_code),  # a rank's launcher is killed
        ("kill -9 $PPID", Unavailable.exit_code),  # the connection of a node is lost
    ],
)
def test_the_loss_of_one_node_ends_all(tmp_path: Path, failure: str, code: int) -> None:
    wait = "while [ ! -s two ]; do sleep 0.05; done; "
    both = [shell("one", wait + failure), shell("two", "echo $$ > two; exec sleep 600")]
    started = time.monotonic()
    assert nodes.run(both, "ssh", {}) == code
    assert time.monotonic() - started < WAIT_S
    assert not psutil.pid_exists(int((tmp_path / "two").read_text()))


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_no_rank_outlives_the_head(tmp_path: Path, sign: signal.Signals) -> None:
    script = (
        "from longwriter.io import process; from longwriter.launch import nodes; process.exit_on_sigterm();"
        "nodes.run([nodes.Node(h, ['sh', '-c', f'echo $$ > {h}; exec sleep 600']) for h in 'ab'], 'ssh', {})"
    )
    head = subprocess.Popen([sys.executable, "-c", script])
    ranks = [pid_in(tmp_path / host) for host in "ab"]
    head.send_signal(sign)
    assert head.wait(WAIT_S) in (143, -signal.SIGKILL)
    _, alive = psutil.wait_procs(ranks, timeout=WAIT_S)
    assert not alive


def test_torchrun_counts_ranks_over_nodes_of_different_size(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("me@big slots=8\nsmall slots=2\n")
    job = nodes.Job.model_construct(training=TRAINING.model_copy(update={"hostfile": "hosts"}))
    big, small = nodes.of_job(job, "job.json")
    assert [big.host, small.host] == ["me@big", "small"]
    port = big.command[-4]
    assert 29500 <= int(port.removeprefix("--master-port=")) < 30500
    assert small.command == [
        sys.executable, "-m", "longwriter.io.process", sys.executable, "-m", "torch.distributed.run",
        "--nnodes=2", "--node-rank=1", "--nproc-per-node=2", "--master-addr=big", port,
        "-m", "longwriter.training.ranks.rank", "job.json",
    ]  # fmt: skip


def test_ranks_of_pods_meet_at_the_ip_of_the_first_pod(tmp_path: Path) -> None:
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\n[ "$*" = "get pod pod-1 --output=jsonpath={.status.podIP}" ] && echo 10.0.0.7\n'
    )
    kubectl.chmod(0o755)
    (tmp_path / "hosts").write_text("pod-1 slots=8\npod-2 slots=8\n")
    training = TRAINING.model_copy(update={"hostfile": "hosts", "remote_shell": "kubectl"})
    both = nodes.of_job(nodes.Job.model_construct(training=training), "job.json")
    assert ["--master-addr=10.0.0.7" in node.command for node in both] == [True, True]


def test_each_shell_gets_the_host_apart_from_its_options() -> None:
    agent = [sys.executable, "-I", str(Path(nodes.__file__).with_name("node.py"))]
    assert nodes.remote_command("srun", "n1") == [
        "srun", "--nodes=1", "--ntasks=1", "--overlap", "--nodelist=n1", *agent,
    ]  # fmt: skip
    assert nodes.remote_command("kubectl", "pod-1") == ["kubectl", "exec", "-i", "pod-1", "--", *agent]
    assert nodes.remote_command("ssh", "n1")[-3:] == ["--", "n1", " ".join(agent)]
    assert {"BatchMode=yes", "ServerAliveInterval=15"} <= set(nodes.remote_command("ssh", "n1"))


def test_a_node_without_a_request_says_so_and_ends() -> None:
    agent = [sys.executable, "-I", str(Path(nodes.__file__).with_name("node.py"))]
    done = subprocess.run(agent, input=b'{"command"', capture_output=True, check=False, timeout=WAIT_S)
    assert (done.returncode, done.stderr) == (1, b"the head node ended before it said what to run\n")


def test_a_node_keeps_its_own_variables(tmp_path: Path) -> None:
    agent = [sys.executable, "-I", str(Path(nodes.__file__).with_name("node.py"))]
    request = {
        "command": ["sh", "-c", "echo $A $B > out"],
        "environment": {"A": "head"},
        "folder": str(tmp_path),
    }
    with subprocess.Popen(agent, stdin=subprocess.PIPE, env={**os.environ, "A": "node", "B": "node"}) as node:
        node.stdin.write(json.dumps(request).encode() + b"\n")
        node.stdin.flush()
        assert node.wait(WAIT_S) == 0
    assert (tmp_path / "out").read_text() == "head node\n"
