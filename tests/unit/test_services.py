"""infra/services: secrets, ports, and the Compose file, which has to say the same as the processes."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.services import postgres, servers
from infra.services.state import State
from longwriter.errors import UserError

COMPOSE = yaml.safe_load(Path("infra/services/compose.yaml").read_text())
ROOT = Path.cwd()


@pytest.fixture
def services(tmp_path: Path) -> State:
    state = State(tmp_path / "services", 0)
    state.keep_secrets(
        {f"s3_{user}_{word}": "x" for user in ("pipeline", "mlflow") for word in ("id", "key")}
    )
    return state


def command(tmp_path: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.services", *words, "--folder", str(tmp_path / "services")],
        cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "env", "words", "port"),
    [
        ("mlflow", servers.mlflow_env, servers.mlflow_command("0.0.0.0", 5000), 15402),
        ("prefect", servers.prefect_env, servers.prefect_command("0.0.0.0", 4200), 15403),
    ],
)
def test_a_container_has_the_command_and_the_variables_of_the_process(
    services, name, env, words, port
) -> None:
    container = COMPOSE["services"][name]
    assert container["command"] == [Path(words[0]).name, *words[1:]]
    assert sorted(container["environment"]) == sorted(env(services))
    assert container["ports"] == [f"127.0.0.1:{port}:{words[-1]}"]


def test_every_published_port_of_a_container_is_on_loopback_and_every_password_is_required() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    names = [
        line.partition("=")[0]
        for line in Path("infra/services/compose/env").read_text().splitlines()
        if "=" in line
    ]
    text = Path("infra/services/compose.yaml").read_text()
    assert [name for name in names if f"${{{name}:?" not in text] == []


def test_the_roles_of_the_container_are_those_of_the_process() -> None:
    script = Path("infra/services/roles.sh").read_text()
    for database, role in postgres.DATABASES.items():
        assert f'make {role} "$POSTGRES_{role.upper()}_PASSWORD" {database}\n' in script


def test_secrets_are_made_once_and_only_their_user_can_read_them(tmp_path: Path) -> None:
    first = State(tmp_path / "services", 0)
    second = State(tmp_path / "services", 0)
    assert first.secrets == second.secrets
    assert first.ports == second.ports
    assert len(set(first.secrets.values())) == len(first.secrets)
    for path in (tmp_path / "services").glob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_server_does_not_take_the_port_of_another_process(services: State) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", services.ports["mlflow"]))
        taken.listen()
        with pytest.raises(UserError, match=r"mlflow: cannot serve on port [0-9]+ .*services\.json"):
            services.start("mlflow", ["true"], lambda: True)


def test_a_process_is_found_again_stopped_with_its_children_and_never_confused(services: State) -> None:
    services.start("mlflow", ["sh", "-c", "sleep 1000 & wait"], lambda: True)
    child = services.running("mlflow")
    assert child is not None
    assert State(services.folder).running("mlflow") == child
    assert services.stop("mlflow")
    assert not services.stop("mlflow")
    record = json.loads((services.folder / "processes.json").read_text())
    record["mlflow"] = {"pid": os.getpid(), "start": "of a process that had this number before"}
    (services.folder / "processes.json").write_text(json.dumps(record))
    assert services.running("mlflow") is None


def test_a_server_that_ends_at_once_is_reported_with_the_end_of_its_log(services: State) -> None:
    with pytest.raises(UserError, match=r"mlflow did not start; \S+mlflow\.log ends with: no database"):
        services.start("mlflow", ["sh", "-c", "echo no database; exit 1"], lambda: False)


@pytest.mark.parametrize(
    "origin", ["http://mlflow.example.org", "https://", "https://a/b", "https://a b", "*"]
)
def test_mlflow_is_shown_elsewhere_only_behind_tls(services: State, origin: str) -> None:
    with pytest.raises(UserError, match="must be https://NAME"):
        servers.set_origin(services, origin)
    servers.set_origin(services, "https://mlflow.example.org")
    env = servers.mlflow_env(State(services.folder))
    assert env["MLFLOW_SERVER_ALLOWED_HOSTS"] == "localhost:*,127.0.0.1:*,mlflow.example.org"
    assert env["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://mlflow.example.org"


def test_the_exports_are_read_by_a_shell(services: State) -> None:
    script = f"{servers.exports(services)}env"
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    values = servers.client_env(services)
    assert {line for line in shown.splitlines() if line.partition("=")[0] in values} == {
        f"{name}={value}" for name, value in values.items()
    }


def test_missing_programs_are_named_with_their_package(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    ended = command(tmp_path, "start", PATH=str(empty))
    assert ended.returncode == 2
    assert "not installed: apt install" in ended.stderr
    assert not (tmp_path / "services").exists()


def test_services_that_were_never_started_are_not_made_by_other_commands(tmp_path: Path) -> None:
    ended = command(tmp_path, "stop")
    assert ended.returncode == 2
    assert "no services here: python -m infra.services start makes them" in ended.stderr
    assert not (tmp_path / "services").exists()
