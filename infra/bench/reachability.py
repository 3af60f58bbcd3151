"""Which port answers what, with and without a login, on this machine and from another one.

The other machine is a network namespace of its own, tied to this one by a virtual cable. On this machine run the
servers of `infra/services`, the pages of `infra/ui.sh` (Data Docs, chat), and Caddy with `infra/services/Caddyfile`.

Run as root, with Debian's packages iproute2, curl and caddy, while the services run:

    python infra/bench/reachability.py --folder FOLDER_OF_THE_SERVICES
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tabulate import tabulate

from infra.services import postgres, s3
from infra.services.servers import client_env
from infra.services.state import State, base_env
from longwriter.web import door, net

_HOST, _OTHER = "10.213.7.1", "10.213.7.2"  # of the cable; no other machine sees them
_NAMES = ("mlflow.lw.test", "prefect.lw.test")
_TLS_PORT = 8443


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def _other_machine() -> Iterator[list[str]]:
    """Yield the words before a command that runs it on the other machine."""
    name = f"lw{os.getpid()}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        _ip("addr", "add", f"{_HOST}/30", "dev", f"{name}a")
        _ip("link", "set", f"{name}a", "up")
        for words in (["addr", "add", f"{_OTHER}/30", "dev", f"{name}b"], ["link", "set", f"{name}b", "up"]):
            _ip("-n", name, *words)
        _ip("-n", name, "link", "set", "lo", "up")
        yield ["ip", "netns", "exec", name]
    finally:
        _ip("netns", "del", name)  # the cable ends with it


def _curl(prefix: list[str], url: str, *words: str) -> str:
    """Return the status of a GET request, or why there is none."""
    command = [*prefix, "curl", "--silent", "--output", "/dev/null", "--max-time", "10", "--noproxy", "*"]
    completed = subprocess.run(
        [*command, "--write-out", "%{http_code}", *words, url], capture_output=True, text=True, check=False
    )
    codes = {6: "no such name", 7: "refused", 28: "no answer", 35: "no TLS", 60: "untrusted TLS", 52: "empty"}
    return (
        codes.get(completed.returncode, f"curl {completed.returncode}")
        if completed.returncode
        else completed.stdout
    )


def _wait(is_ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not is_ready():
        if time.monotonic() > end:
            sys.exit(f"{what} did not start")
        time.sleep(0.3)


@contextmanager
def _pages(folder: Path) -> Iterator[dict[str, int]]:
    """Yield {page: port} of the pages that `infra/ui.sh` and `longwriter serve` start."""
    ports = {name: net.free_port() for name in ("docs", "chat")}
    children = []
    try:
        for name, port in ports.items():
            with (folder / f"{name}.log").open("wb") as log:
                children.append(subprocess.Popen(door.command(name, port), stdout=log, stderr=log))
        for name, port in ports.items():
            _wait(lambda port=port: _curl([], f"http://127.0.0.1:{port}/") != "refused", name)
        yield ports
    finally:
        for child in children:
            child.terminate()
            child.wait(30)


@contextmanager
def _proxy(services: State, folder: Path) -> Iterator[Path]:
    """Yield the certificate of Caddy's own authority, while Caddy serves both names with TLS."""
    env = {
        **base_env(), "LW_TLS": "internal", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
        "LW_MLFLOW_NAME": f"{_NAMES[0]}:{_TLS_PORT}", "LW_PREFECT_NAME": f"{_NAMES[1]}:{_TLS_PORT}",
        "LW_MLFLOW_PORT": str(services.ports["mlflow"]), "LW_PREFECT_PORT": str(services.ports["prefect"]),
    }  # fmt: skip
    with (folder / "caddy.log").open("wb") as log:
        words = ["caddy", "run", "--config", "infra/services/Caddyfile", "--adapter", "caddyfile"]
        child = subprocess.Popen(words, env=env, stdout=log, stderr=log)
    root = folder / "caddy/pki/authorities/local/root.crt"
    try:
        _wait(lambda: root.exists() and _tls([], "127.0.0.1", _NAMES[0], "/health", root) == "200", "caddy")
        yield root
    finally:
        child.terminate()
        child.wait(30)


def _tls(prefix: list[str], host: str, name: str, path: str, root: Path | None, *words: str) -> str:
    trust = ["--cacert", str(root)] if root else []
    url = f"https://{name}:{_TLS_PORT}{path}"
    return _curl(prefix, url, "--resolve", f"{name}:{_TLS_PORT}:{host}", *trust, *words)


def _databases(services: State, other: list[str]) -> list[str]:
    """Return the cells of PostgreSQL: here and from the other machine, without and with the password."""
    login, cells = postgres.admin_env(services), []
    for where, host in (([], "127.0.0.1"), (other, _HOST)):
        for env in ({**login, "PGPASSWORD": "wrong"}, login):
            command = [*where, str(postgres.program("psql")), "-h", host, "-w", "-c", "SELECT 1"]
            completed = subprocess.run(
                command, env={**base_env(), **env}, capture_output=True, text=True, check=False
            )
            refused = "password" if "password authentication failed" in completed.stderr else "refused"
            cells.append(
                f"{refused} refused".replace("refused refused", "refused")
                if completed.returncode
                else "answers"
            )
    return cells


def main(services: State) -> None:
    """Print the table."""
    env = client_env(services)
    mlflow_login = ["--user", f"{env['MLFLOW_TRACKING_USERNAME']}:{env['MLFLOW_TRACKING_PASSWORD']}"]
    prefect_login = ["--user", env["PREFECT_API_AUTH_STRING"]]
    bucket = s3.BUCKETS["pipeline"]
    signed = s3.client(services, "pipeline").generate_presigned_url("list_objects_v2", {"Bucket": bucket})
    signed = signed.removeprefix(services.url("s3"))
    search = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = stack.enter_context(_other_machine())
        pages = stack.enter_context(_pages(folder))
        root = stack.enter_context(_proxy(services, folder))
        targets = [
            ("MLflow, a request for data", services.ports["mlflow"], search, mlflow_login),
            ("MLflow /health", services.ports["mlflow"], "/health", mlflow_login),
            ("Prefect, a request for data", services.ports["prefect"], "/api/admin/version", prefect_login),
            ("Prefect /api/health", services.ports["prefect"], "/api/health", prefect_login),
            ("Prefect, pages and /docs (no data)", services.ports["prefect"], "/docs", prefect_login),
            ("S3, a bucket, not signed", services.ports["s3"], f"/{bucket}", []),
            ("S3, a bucket, signed", services.ports["s3"], signed, []),
            ("Ceph's monitor", services.ports["ceph"], "/", []),
            ("Data Docs", pages["docs"], "/", []),
            ("chat page, its models", pages["chat"], "/v1/models", []),
        ]
        rows = []
        for title, port, path, login in targets:
            here, there = f"http://127.0.0.1:{port}{path}", f"http://{_HOST}:{port}{path}"
            with_login = _curl([], here, *login) if login else "-"
            rows.append(
                (title, port, _curl([], here), with_login, _curl(other, there), _curl(other, there, *login))
            )
        rows.append(("PostgreSQL", services.ports["postgres"], *_databases(services, other)))
        for title, name, path, login in (
            ("MLflow by Caddy, data", _NAMES[0], search, mlflow_login),
            ("Prefect by Caddy, data", _NAMES[1], "/api/admin/version", prefect_login),
        ):
            cells = [_tls(where, host, name, path, root, *words)
                     for where, host in (([], "127.0.0.1"), (other, _HOST)) for words in ([], login)]  # fmt: skip
            rows.append((title, _TLS_PORT, *cells))
        untrusted = _tls(other, _HOST, _NAMES[0], search, None, *mlflow_login)
        rows.append(("MLflow by Caddy, certificate not trusted", _TLS_PORT, "", "", "", untrusted))
        plain = _curl(other, f"http://{_HOST}:{_TLS_PORT}{search}", *mlflow_login)
        rows.append(("MLflow by Caddy, without TLS", _TLS_PORT, "", "", "", plain))
    head = (
        "what",
        "port",
        "here, no login",
        "here, login",
        "other machine, no login",
        "other machine, login",
    )
    sys.stdout.write(tabulate(rows, head, tablefmt="github", disable_numparse=True) + "\n")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Which port answers what.")
    options.add_argument("--folder", type=Path, required=True, help="state of the services")
    main(State(options.parse_args().folder))
