"""PostgreSQL on loopback: a cluster of its own, and one role for each server, which owns only its databases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from infra.services import state
from infra.services.state import State
from longwriter.errors import UserError

DATABASES = {"mlflow": "mlflow", "mlflow_auth": "mlflow", "prefect": "prefect"}
"""{database: the role that owns it}"""
_ADMIN = "longwriter_admin"


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL, of the newest version that is installed."""
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = sorted(versions, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parts[4])])
    return str(newest[-1]) if newest else shutil.which(name)


def check() -> None:
    """Do nothing if PostgreSQL is installed; else a UserError names the package."""
    state.need(("initdb", "postgres", "psql", "pg_dump", "pg_restore"), "postgresql", program)


def start(services: State) -> None:
    """Start the cluster; the first time it is made, with its roles and databases."""
    folder = services.folder / "postgres"
    user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    if not (folder / "PG_VERSION").exists():
        _init(services, folder, user)
    command = [
        str(program("postgres")), "-D", str(folder), "-p", str(services.ports["postgres"]),
        "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
        "-c", "password_encryption=scram-sha-256", "-c", "max_connections=60",
    ]  # fmt: skip
    services.start("postgres", command, lambda: _answers(services), user=user)
    for database, role in DATABASES.items():
        _ensure(services, database, role)


def _init(services: State, folder: Path, user: str | None) -> None:
    """Make the cluster; its administrator has a password, and there is no login without one."""
    shutil.rmtree(folder, ignore_errors=True)  # of a first start that was interrupted
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user, user)
    password = services.folder / "postgres.password"
    state.write_private(password, services.secrets["postgres_admin"])
    if user:
        shutil.chown(password, user, user)
    command = [str(program("initdb")), "-D", str(folder), "-U", _ADMIN, "--encoding=UTF8", "--locale=C.UTF-8"]
    command += ["--auth=scram-sha-256", f"--pwfile={password}"]
    try:
        made = subprocess.run(
            command, user=user, group=user, extra_groups=[] if user else None, capture_output=True, text=True,
            cwd="/", env=state.base_env(), check=False,
        )  # fmt: skip
    finally:
        password.unlink()
    if made.returncode:
        text = f"{made.stdout}{made.stderr}".strip().replace("\n", " ")
        cure = "user postgres must reach the folder: name another --folder" if user else "see the message"
        raise UserError(f"initdb in {folder} failed ({text[-400:]}): {cure}")


def psql(services: State, database: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run SQL as the administrator; its text goes in by stdin, as it may hold passwords."""
    words = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
    env = {**state.base_env(), **admin_env(services), "PGDATABASE": database}
    return subprocess.run(
        [str(program("psql")), *words], input=script, env=env, capture_output=True, text=True, check=False
    )


def admin_env(services: State) -> dict[str, str]:
    """Return the variables with which PostgreSQL's programs log in as the administrator."""
    return {
        "PGHOST": "127.0.0.1", "PGPORT": str(services.ports["postgres"]), "PGUSER": _ADMIN,
        "PGPASSWORD": services.secrets["postgres_admin"], "PGDATABASE": "postgres",
    }  # fmt: skip


def url(services: State, database: str, driver: str) -> str:
    """Return SQLAlchemy's URL of a database for the role that owns it, with its password."""
    role = DATABASES[database]
    password, port = services.secrets[f"postgres_{role}"], services.ports["postgres"]
    return f"postgresql+{driver}://{role}:{password}@127.0.0.1:{port}/{database}"


def _answers(services: State) -> bool:
    return psql(services, "postgres", "SELECT 1").returncode == 0


def _ensure(services: State, database: str, role: str) -> None:
    """Make the role and its database if they are missing; no other role can connect to the database."""
    password = services.secrets[f"postgres_{role}"]
    _must(services, "postgres", f"""
        SELECT 'CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 40'
        WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
        ALTER ROLE {role} PASSWORD '{password}';
        SELECT 'CREATE DATABASE {database} OWNER {role}'
        WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{database}') \\gexec
        REVOKE ALL ON DATABASE {database} FROM PUBLIC;
    """)  # fmt: skip


def _must(services: State, database: str, script: str) -> None:
    done = psql(services, database, script)
    if done.returncode:
        raise UserError(f"PostgreSQL refuses the set-up of {database}: {done.stderr.strip()}")
