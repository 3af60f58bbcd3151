"""Starts the ranks of a training on the nodes of a hostfile, and ends all of them when one node is lost.

torchrun starts the ranks of each node; `node.py` runs it there. All nodes are ended, because the other ranks would
wait for the lost ones until `training.timeout_s` is over. A node counts as lost when its connection ends; ssh needs
a minute to notice that a machine was switched off.

Run: `python -m longwriter.launch.nodes JOB.json`
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from longwriter.errors import Unavailable
from longwriter.io import process
from longwriter.launch import environment
from longwriter.launch.launch import MODULE, Job, hosts

log = logging.getLogger(__name__)

_POLL_S = 0.2
_GRACE_S = 12.0  # time for the nodes to end their ranks
_SIGNAL_CODES = 128  # exit codes above it: a signal ended the ranks, or (255) ssh lost the node
_PORTS = range(29500, 30500)  # below the ports that Linux gives to outgoing connections
_NODE = Path(__file__).with_name("node.py")


class Node(NamedTuple):
    """One node, and what runs there."""

    host: str
    command: list[str]


def remote_command(shell: Literal["ssh", "srun", "kubectl"], host: str) -> list[str]:
    """Return the command that starts `node.py` on a host, with the standard input of this process."""
    agent = [sys.executable, "-I", str(_NODE)]
    if shell == "srun":
        return ["srun", "--nodes=1", "--ntasks=1", "--overlap", f"--nodelist={host}", *agent]
    if shell == "kubectl":
        return ["kubectl", "exec", "-i", host, "--", *agent]
    alive = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
    return ["ssh", "-T", "-o", "BatchMode=yes", *alive, "--", host, shlex.join(agent)]


def of_job(job: Job, file: str) -> list[Node]:
    """Return the nodes of a job with the command of torchrun on each.

    Args:
        job: A job with a hostfile.
        file: The job's file, which each node reads.
    """
    assert job.training.hostfile is not None
    all_hosts = hosts(Path(job.training.hostfile))
    port = _PORTS[zlib.crc32(file.encode()) % len(_PORTS)]
    first = _address(job.training.remote_shell, all_hosts[0][0])
    nodes = []
    for number, (host, slots) in enumerate(all_hosts):
        options = {
            "nnodes": len(all_hosts), "node-rank": number, "nproc-per-node": slots,
            "master-addr": first, "master-port": port,
        }  # fmt: skip
        launcher = ["torch.distributed.run", *(f"--{name}={value}" for name, value in options.items())]
        python = sys.executable
        command = [python, "-m", "longwriter.io.process", python, "-m", *launcher, "-m", MODULE, file]
        nodes.append(Node(host, command))
    return nodes


def _address(shell: Literal["ssh", "srun", "kubectl"], host: str) -> str:
    """Return the address at which the other nodes reach a host; a pod has no name in DNS, but an IP."""
    if shell != "kubectl":
        return host.rpartition("@")[2]
    command = ["kubectl", "get", "pod", host, "--output=jsonpath={.status.podIP}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(nodes: Sequence[Node], shell: Literal["ssh", "srun", "kubectl"], variables: Mapping[str, str]) -> int:
    """Run each node's command; return 0, or the exit code of the first node that failed.

    If one fails, or if this process gets a signal to end, the commands of all nodes are ended. A node that
    is lost, or whose ranks a signal ended, gives the exit code of `Unavailable`.
    """
    connections = []
    try:
        for node in nodes:
            connection = subprocess.Popen(remote_command(shell, node.host), stdin=subprocess.PIPE)
            connections.append(connection)
            _send(connection, node, variables)
        while True:
            codes = [connection.poll() for connection in connections]
            for node, code in zip(nodes, codes, strict=True):
                if code:
                    log.error("node %s ended with exit code %d: ending all nodes", node.host, code)
                    return Unavailable.exit_code if code < 0 or code > _SIGNAL_CODES else code
            if all(code == 0 for code in codes):
                return 0
            time.sleep(_POLL_S)
    finally:
        _end(connections)


def _send(connection: subprocess.Popen[bytes], node: Node, variables: Mapping[str, str]) -> None:
    """Send a node its command; if the connection has ended already, its exit code shows it."""
    assert connection.stdin is not None
    request = {"command": node.command, "environment": dict(variables), "folder": str(Path.cwd())}
    with suppress(BrokenPipeError):
        connection.stdin.write(json.dumps(request).encode() + b"\n")
        connection.stdin.flush()


def _end(connections: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the connections; a node that loses its connection ends its ranks."""
    for connection in connections:
        assert connection.stdin is not None
        with suppress(BrokenPipeError):
            connection.stdin.close()
    end = time.monotonic() + _GRACE_S
    for connection in connections:
        try:
            connection.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            connection.kill()
            connection.wait()


def _main(file: str) -> int:
    job = Job.model_validate_json(Path(file).read_text(encoding="utf-8"))
    return run(of_job(job, file), job.training.remote_shell, environment.for_nodes(os.environ))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    process.exit_on_sigterm()
    sys.exit(_main(sys.argv[1]))
