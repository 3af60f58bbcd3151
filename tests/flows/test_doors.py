"""No page of another origin, and nobody under a foreign host name, changes or reads anything on a web server.

Shown by the servers' state: real requests by raw sockets, and a look at what the server then holds. A new
server of `door.servers()` needs a line in `TARGETS`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from mlflow.tracking import MlflowClient

from longwriter.web import door
from tests.flows import browser
from tests.flows.conftest import SECRET, WebServers

INTRUDER = "intruder"


class Target(NamedTuple):
    """What to attack on a server: a request that writes, paths that hold data, and how to read its state."""

    method: str
    path: str
    body: dict[str, Any]
    reads: tuple[str, ...]
    state: Callable[[httpx2.Client, WebServers], Any]


def _prefect_state(client: httpx2.Client, _: WebServers) -> Any:
    kinds = ("flows", "variables", "deployments", "work_pools", "block_documents", "automations")
    return {kind: _names(client.post(f"/api/{kind}/filter", json={}).json()) for kind in kinds}


def _mlflow_state(client: httpx2.Client, _: WebServers) -> Any:
    search = "/api/2.0/mlflow/experiments/search"
    return _names(client.post(search, json={"max_results": 100}).json()["experiments"])


def _docs_state(_: httpx2.Client, servers: WebServers) -> Any:
    files = sorted((servers.folder / ".lw" / "data_docs").rglob("*"))
    return [(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files if file.is_file()]


def _no_state(client: httpx2.Client, _: WebServers) -> Any:
    return client.get("/v1/models").json()  # it writes nothing; its models are those of the command line


def _names(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(str(row.get("name")) for row in rows)


TARGETS = {
    "prefect": Target(
        "POST", "/api/flows/", {"name": INTRUDER}, ("/api/admin/settings", "/api/health"), _prefect_state
    ),
    "mlflow": Target(
        "POST", "/api/2.0/mlflow/experiments/create", {"name": INTRUDER},
        ("/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", "/health", "/version"), _mlflow_state,
    ),
    "docs": Target("PUT", "/index.html", {"name": INTRUDER}, ("/index.html",), _docs_state),
    "chat": Target("POST", "/measure", {"prompt": "", "text": INTRUDER}, ("/v1/models", "/page.js"), _no_state),
}  # fmt: skip
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
TYPES = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "",
)
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


def foreign(own: str) -> list[dict[str, str]]:
    """Return the headers of requests that no server may answer; `own` is its host and port."""
    port = own.partition(":")[2]
    rebound = f"rebound.example:{port}"
    return [
        {"Host": own, "Origin": "https://shop.example"},
        {"Host": own, "Origin": "https://shop.example", **PREFLIGHT},
        {"Host": own, "Origin": "null"},
        {"Host": own, "Origin": "http://127.0.0.1:1"},
        {"Host": own, "Origin": f"http://localhost:{port}", "Sec-Fetch-Site": "cross-site"},
        {"Host": own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Host": own, "Sec-Fetch-Site": "same-site", **FRAME},
        {"Host": own, "Referer": "https://shop.example/"},
        {"Host": rebound},
        {"Host": rebound, "Origin": f"http://{rebound}", "Sec-Fetch-Site": "same-origin"},
        {"Host": "169.254.169.254"},
    ]


def send(own: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> str:
    """Return the whole answer to one request as a page of a browser could send it."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    with closing(socket.create_connection(("127.0.0.1", int(own.partition(":")[2])), timeout=30)) as peer:
        peer.sendall("\r\n".join(lines).encode() + body)
        return b"".join(iter(lambda: peer.recv(65536), b"")).decode(errors="replace")


def test_each_web_server_has_a_target_here() -> None:
    assert set(TARGETS) == set(door.servers())


@pytest.mark.parametrize("name", TARGETS)
def test_foreign_requests_of_every_method_and_type_change_nothing_and_read_nothing(
    web_servers: WebServers, name: str
) -> None:
    target, own = TARGETS[name], f"127.0.0.1:{web_servers.ports[name]}"
    body = json.dumps(target.body).encode()
    with httpx2.Client(base_url=f"http://{own}", transport=httpx2.HTTPTransport(), timeout=60) as client:
        before = target.state(client, web_servers)
        for headers, method, kind in itertools.product(foreign(own), METHODS, TYPES):
            content = headers | ({"Content-Type": kind} if kind else {})
            answer = send(own, method, target.path, content, body)
            assert answer.startswith("HTTP/1.1 403"), (method, content, answer)
            assert "access-control" not in answer.lower()
        for headers, path in itertools.product(foreign(own), ("/", *target.reads)):
            answer = send(own, "GET", path, headers)
            assert answer.startswith("HTTP/1.1 403"), (path, headers, answer)
            assert answer.partition("\r\n\r\n")[2].startswith("refused: ")
        assert target.state(client, web_servers) == before

        answer = send(
            own, target.method, target.path, {"Host": own, "Content-Type": "application/json"}, body
        )
        has_changed = target.state(client, web_servers) != before
        is_writer = name in ("prefect", "mlflow")  # the same request of a program is answered
        assert has_changed is is_writer, answer
        for path in target.reads:
            assert send(own, "GET", path, {"Host": own}).startswith("HTTP/1.1 200")


def test_a_page_of_another_origin_opens_no_web_socket(web_servers: WebServers) -> None:
    own = f"127.0.0.1:{web_servers.ports['prefect']}"
    upgrade = {
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for path in ("/api/events/in", "/api/events/out", "/api/logs/out"):
        for headers in foreign(own):
            assert _first_line(own, path, headers | upgrade).startswith("HTTP/1.1 403"), (path, headers)
        assert _first_line(own, path, {"Host": own, **upgrade}).startswith("HTTP/1.1 101")


def _first_line(own: str, path: str, headers: dict[str, str]) -> str:
    lines = [
        f"GET {path} HTTP/1.1",
        "Connection: Upgrade",
        *(f"{k}: {v}" for k, v in headers.items()),
        "",
        "",
    ]
    with closing(socket.create_connection(("127.0.0.1", int(own.partition(":")[2])), timeout=30)) as peer:
        peer.sendall("\r\n".join(lines).encode())
        return peer.recv(4096).decode(errors="replace").partition("\r\n")[0]


def test_the_mlflow_client_and_the_own_pages_work_behind_the_door(web_servers: WebServers) -> None:
    own = f"http://127.0.0.1:{web_servers.ports['mlflow']}"
    client = MlflowClient(own)
    run = client.create_run(client.create_experiment(f"behind the door {time.time()}"))
    client.log_text(run.info.run_id, "a text", "note.txt")
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["note.txt"]
    headers = {"Origin": own, "Sec-Fetch-Site": "same-origin"}
    answer = httpx2.post(
        f"{own}/ajax-api/2.0/mlflow/experiments/search", json={"max_results": 1}, headers=headers
    )
    assert answer.status_code == 200
    docs = httpx2.get(f"http://localhost:{web_servers.ports['docs']}/", headers={"Sec-Fetch-Site": "none"})
    assert SECRET in docs.text
    assert httpx2.get(f"http://localhost:{web_servers.ports['docs']}/none.html").status_code == 404


def _attack(web_servers: WebServers, host: str, profile: Path) -> tuple[Any, Any, dict[tuple[str, str], str]]:
    """Attack all servers, and one without a door, from a page; return their states before and after."""
    victim = browser.Victim()
    with contextlib.ExitStack() as stack:
        free = f"http://127.0.0.1:{stack.enter_context(browser.serving(victim))}"
        aims = [browser.Aim(free, "/write", "/read", {"name": INTRUDER})]
        clients = {}
        for name, target in TARGETS.items():
            own = f"http://127.0.0.1:{web_servers.ports[name]}"
            clients[name] = stack.enter_context(
                httpx2.Client(base_url=own, transport=httpx2.HTTPTransport(), timeout=60)
            )
            for origin in (own, own.replace("127.0.0.1", "rebound.example")):
                aims.append(browser.Aim(origin, target.path, target.reads[0], target.body))
        before = {name: TARGETS[name].state(client, web_servers) for name, client in clients.items()}
        answers = browser.attack(host, aims, profile)
        after = {name: TARGETS[name].state(client, web_servers) for name, client in clients.items()}
    ways = {way for _, way in answers}
    assert {way for way, _ in victim.ways} == ways  # each request leaves the browser
    assert {("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("beacon", "POST")} <= victim.ways
    from_victim = {way for way in ways if answers.pop((free, way))}
    assert {
        "GET",
        "POST json",
        "POST text",
        "PUT",
        "img",
        "script",
        "stylesheet",
        "EventSource",
    } <= from_victim
    return before, after, answers


NEEDS_CHROMIUM = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="Chromium is missing: apt install chromium"
)


@NEEDS_CHROMIUM
def test_a_page_of_another_site_in_chromium_changes_and_reads_nothing(
    web_servers: WebServers, tmp_path: Path
) -> None:
    before, after, answers = _attack(web_servers, "shop.example", tmp_path)
    assert after == before
    assert {key: words for key, words in answers.items() if words} == {}


@pytest.mark.services
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "rebound.example"])
def test_a_page_of_another_port_or_under_a_name_that_points_here_changes_and_reads_nothing(
    web_servers: WebServers, host: str, tmp_path: Path
) -> None:
    before, after, answers = _attack(web_servers, host, tmp_path)
    assert after == before
    assert {key: words for key, words in answers.items() if words} == {}


@pytest.mark.services
def test_the_own_pages_work_in_chromium_and_not_under_a_foreign_name(
    web_servers: WebServers, tmp_path: Path
) -> None:
    words = {"prefect": "Work Pools", "mlflow": "Experiments", "docs": SECRET, "chat": "side by side"}
    for name, word in words.items():
        for host in ("127.0.0.1", "localhost"):
            assert word in browser.page_text(f"http://{host}:{web_servers.ports[name]}/", tmp_path)
        page = browser.page_text(f"http://rebound.example:{web_servers.ports[name]}/", tmp_path)
        assert "refused: Host must be" in page
        assert word not in page
