"""MLflow and Prefect on PostgreSQL and S3, with logins: their commands, their variables, and how all servers start and stop."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from infra.services import postgres, s3, state
from infra.services.state import State
from longwriter.errors import UserError
from longwriter.web import net

NAMES = ("postgres", "s3", "mlflow", "prefect")
_PROCESSES = ("prefect", "mlflow", "s3", "ceph_store", "ceph", "postgres")  # in the order in which they stop
_SIGNALS = {"postgres": signal.SIGINT}  # SIGTERM would wait for connections
_PIPELINE = "pipeline"  # the name with which the pipeline logs in at MLflow and Prefect
_PYTHON = Path(sys.executable).parent


def start(services: State, names: list[str]) -> None:
    """Start all servers, or those that are named; those that run stay as they are."""
    starts = {
        "postgres": postgres.start,
        "s3": s3.start,
        "mlflow": start_mlflow,
        "prefect": start_prefect,
    }
    for name in names or starts:
        starts[name](services)
    state.write_private(services.folder / "client.env", exports(services))


def start_mlflow(services: State) -> None:
    """Start MLflow with its own logins; who has a login reads everything, and changes only what is theirs."""
    (services.folder / "mlflow").mkdir(mode=0o700, exist_ok=True)
    state.write_private(services.folder / "mlflow" / "auth.ini", mlflow_logins(services))
    env, command = mlflow_env(services), mlflow_command("127.0.0.1", services.ports["mlflow"])
    services.start("mlflow", command, lambda: net.is_healthy(f"{services.url('mlflow')}/health"), env)
    _ensure_mlflow_user(services)


def mlflow_logins(services: State) -> str:
    """Return the settings of MLflow's logins."""
    lines = [
        "[mlflow]", "default_permission = READ", "admin_username = admin",
        f"database_uri = {postgres.url(services, 'mlflow_auth', 'psycopg2')}",
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds = 60",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def mlflow_command(host: str, port: int) -> list[str]:
    """Return the command of MLflow's server."""
    words = ["server", "--app-name", "basic-auth", "--host", host, "--workers", "2", "--port", str(port)]
    return [str(_PYTHON / "mlflow"), *words]


def mlflow_env(services: State) -> dict[str, str]:
    """Return the variables of MLflow's server."""
    origin = services.settings.get("mlflow_origin")
    name = f",{urlsplit(origin).netloc}" if origin else ""
    return {
        **s3.env(services, "mlflow"),
        "MLFLOW_BACKEND_STORE_URI": postgres.url(services, "mlflow", "psycopg2"),
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{s3.BUCKETS['mlflow']}/artifacts",
        "MLFLOW_AUTH_CONFIG_PATH": str(services.folder / "mlflow" / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": services.secrets["mlflow_admin"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": services.secrets["mlflow_flask"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 2 processes instead of about 10
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:*,127.0.0.1:*{name}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **({"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origin} if origin else {}),
    }


def _ensure_mlflow_user(services: State) -> None:
    """Make the pipeline's user, who is no administrator, if it is missing."""
    login = {"username": _PIPELINE, "password": services.secrets["mlflow_pipeline"]}
    answer = httpx2.post(
        f"{services.url('mlflow')}/api/2.0/mlflow/users/create", json=login, timeout=60, trust_env=False,
        auth=("admin", services.secrets["mlflow_admin"]),
    )  # fmt: skip
    if answer.status_code != 200 and "RESOURCE_ALREADY_EXISTS" not in answer.text:
        raise UserError(f"MLflow refuses the user {_PIPELINE} ({answer.status_code}): {answer.text[:300]}")


def start_prefect(services: State) -> None:
    """Start Prefect's server; it takes requests only with a login."""
    (services.folder / "prefect").mkdir(mode=0o700, exist_ok=True)
    env, command = prefect_env(services), prefect_command("127.0.0.1", services.ports["prefect"])
    services.start("prefect", command, lambda: net.is_healthy(f"{services.url('prefect')}/api/health"), env)


def prefect_command(host: str, port: int) -> list[str]:
    """Return the command of Prefect's server."""
    return [str(_PYTHON / "prefect"), "server", "start", "--host", host, "--port", str(port)]


def prefect_env(services: State) -> dict[str, str]:
    """Return the variables of Prefect's server."""
    return {
        "PREFECT_HOME": str(services.folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url(services, "prefect", "asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": f"{_PIPELINE}:{services.secrets['prefect']}",
        "PREFECT_API_AUTH_STRING": f"{_PIPELINE}:{services.secrets['prefect']}",  # of its own services
        "PREFECT_SERVER_UI_API_URL": "/api",  # of the origin of the page, so a proxy needs no setting
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def client_env(services: State) -> dict[str, str]:
    """Return the variables with which pipeline, DVC and people reach the services."""
    return {
        "MLFLOW_TRACKING_URI": services.url("mlflow"),
        "MLFLOW_TRACKING_USERNAME": _PIPELINE,
        "MLFLOW_TRACKING_PASSWORD": services.secrets["mlflow_pipeline"],
        "PREFECT_API_URL": f"{services.url('prefect')}/api",
        "PREFECT_API_AUTH_STRING": f"{_PIPELINE}:{services.secrets['prefect']}",
        "LW_PREFECT_UI": services.url("prefect"),
        **s3.env(services, "pipeline"),
    }


def set_origin(services: State, origin: str | None) -> None:
    """Keep the address under which a proxy shows MLflow; `start` gives it to the server.

    Raises:
        UserError: it is no https:// address; without TLS the password could be read on the way.
    """
    if origin is None:
        return
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?", origin):
        raise UserError(
            f"--mlflow-origin {origin}: must be https://NAME, or https://NAME:PORT, without a path"
        )
    services.keep_settings({"mlflow_origin": origin})


def exports(services: State) -> str:
    """Return `client_env` as lines of a shell; every value is a URL, a name, or letters and digits."""
    return "".join(f"export {name}='{value}'\n" for name, value in client_env(services).items())


def stop(services: State, names: list[str]) -> None:
    """Stop all servers, or those that are named."""
    for name in _PROCESSES:
        if not names or name in names or (name.startswith("ceph") and "s3" in names):
            services.stop(name, _SIGNALS.get(name, signal.SIGTERM))


def status(services: State) -> tuple[str, bool]:
    """Return a line for each process, and whether all run."""
    rows = [(name, services.running(name)) for name in reversed(_PROCESSES)]
    lines = []
    for name, child in rows:
        port = services.ports.get(name)
        place = f"127.0.0.1:{port}" if port else ""
        lines.append(f"{name:<11} {f'runs as {child.pid}' if child else 'is stopped':<16} {place}".rstrip())
    return "\n".join(lines), all(child for _, child in rows)
