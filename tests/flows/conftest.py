"""Every web server of the project, behind its door, as infra/ui.sh starts them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from longwriter.io import door, net
from tests.workspace import ROOT, environment

SECRET = "not-for-other-pages-4711"
START_S = 300  # 30 s on an idle machine


class WebServers(NamedTuple):
    """The folder that the servers were started in, and the port of each."""

    folder: Path
    ports: dict[str, int]


@pytest.fixture(scope="session")
def web_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServers]:
    """Start all servers once; the Data Docs hold a page with `SECRET`."""
    folder = tmp_path_factory.mktemp("web")
    docs = folder / ".lw" / "data_docs"
    docs.mkdir(parents=True)
    (docs / "index.html").write_text(f"<p>{SECRET}</p>")
    env = environment(folder) | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    ports = {name: net.free_port() for name in door.servers()}
    children = {}
    for name, port in ports.items():
        with (folder / f"{name}.log").open("wb") as log:
            children[name] = subprocess.Popen(
                door.command(name, port), cwd=folder, env=env, stdout=log, stderr=log
            )
    try:
        end = time.monotonic() + START_S
        for name, server in door.servers().items():
            while not net.is_healthy(f"http://127.0.0.1:{ports[name]}{server.health}"):
                log_text = (folder / f"{name}.log").read_text()
                assert children[name].poll() is None, log_text
                assert time.monotonic() < end, f"{name} does not answer: {log_text}"
                time.sleep(0.3)
        yield WebServers(folder, ports)
    finally:
        for child in children.values():
            child.send_signal(signal.SIGTERM)
        for child in children.values():
            child.wait(30)
