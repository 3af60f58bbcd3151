"""Every web server of the project, behind its door, as infra/ui.sh starts them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from longwriter.web import door, net
from tests.workspace import ROOT, environment

SECRET = "not-for-other-pages-4711"
START_S = 300  # 30 s on an idle machine


class WebServers(NamedTuple):
    """The folder that the servers were started in, and the port of each."""

    folder: Path
    ports: dict[str, int]


@pytest.fixture(scope="module")
def web_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServers]:
    """All servers; the Data Docs hold a page with `SECRET`."""
    folder = tmp_path_factory.mktemp("web")
    docs = folder / ".lw" / "data_docs"
    docs.mkdir(parents=True)
    (docs / "index.html").write_text(f"<p>{SECRET}</p>")
    with running(folder, list(door.servers())) as servers:
        yield servers


@contextlib.contextmanager
def running(folder: Path, names: list[str]) -> Iterator[WebServers]:
    """Run web servers in `folder`; an idle Prefect server takes 2 % of a core, so nobody keeps it for long."""
    env = environment(folder) | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    ports = {name: net.free_port() for name in names}
    children = {}
    for name, port in ports.items():
        with (folder / f"{name}.log").open("wb") as log:
            children[name] = subprocess.Popen(
                door.command(name, port), cwd=folder, env=env, stdout=log, stderr=log
            )
    try:
        end = time.monotonic() + START_S
        for name, port in ports.items():
            while not net.is_healthy(f"http://127.0.0.1:{port}{door.servers()[name].health}"):
                log_text = (folder / f"{name}.log").read_text()
                assert children[name].poll() is None, log_text
                assert time.monotonic() < end, f"{name} does not answer: {log_text}"
                time.sleep(0.3)
        yield WebServers(folder, ports)
    finally:
        for child in children.values():
            child.send_signal(signal.SIGTERM)
        for child in children.values():
            child.wait(120)
