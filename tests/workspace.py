"""A copy of the checkout with parameters of its own: what the integration tests run in.

Everything in it is real: git, DVC, MLflow's SQLite, Prefect, the stages' own processes. It has its own
`PYTHONPATH`, so that the copy's code runs, and nothing outside it is written.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml
import zstandard
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from longwriter.hashing import content_hash
from tests import forking
from tests.small import BENCHMARK, SMALL

ROOT = Path(__file__).parents[1]
PATIENCE_S = 1800.0  # for one command; the machine may be slow or busy
EMPTY_MLFLOW = "empty-mlflow.db"
PREFECT_TABLES = "prefect.db"
T = TypeVar("T")


def environment(path: Path) -> dict[str, str]:
    """Return the environment of everything that runs in the workspace `path`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "LW_", "OPENAI_", "DVC_", "AWS_", "GIT_"))
        and not name.lower().endswith("_proxy")
        and name != "PYTHONDONTWRITEBYTECODE"  # see infra/setup.sh
    }
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{path / 'src'}{os.pathsep}{path}",
        "PREFECT_HOME": str(path / ".lw" / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "SHELL": "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh",
        "GIT_AUTHOR_NAME": "Tests",
        "GIT_AUTHOR_EMAIL": "tests@example.invalid",
        "GIT_COMMITTER_NAME": "Tests",
        "GIT_COMMITTER_EMAIL": "tests@example.invalid",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


class Workspace:
    """One checkout: its folder, its environment, and ways to run and read it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = environment(path)

    def run(
        self, *words: str, code: int | None = 0, limit_s: float = PATIENCE_S, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `code` is the exit code it must have, None for any."""
        with self.start(*words, **env) as child:
            out, err = child.communicate(timeout=limit_s)
        process = subprocess.CompletedProcess(words, child.returncode, out, err)
        _check_exit_code(process, code)
        return process

    @contextlib.contextmanager
    def start(self, *words: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Yield a running command in a session of its own; kill all of the session afterwards."""
        child = subprocess.Popen(
            words, cwd=self.path, env={**self.env, **env}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def dvc(
        self, *words: str, code: int | None = 0, limit_s: float = PATIENCE_S, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run dvc in a fork; the stages of `repro` are forks too."""
        module = "tests.forked_dvc" if words[0] == "repro" else "dvc"
        return self._fork(module, *words, code=code, limit_s=limit_s, **env)

    def git(self, *words: str) -> str:
        """Run git; return its output."""
        return self.run("git", *words).stdout.strip()

    def longwriter(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run the command `longwriter`."""
        return self._fork("longwriter.cli.main", *words, code=code, limit_s=PATIENCE_S)

    def stage(self, name: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the process of a stage, or of an item `NAME@MODEL-BENCHMARK`, without DVC around it."""
        stage, _, item = name.partition("@")
        words = [f"longwriter.stages.{stage}", *(item.split("-") if item else [])]
        return self._fork(*words, code=code, limit_s=PATIENCE_S, **env)

    def _fork(
        self, module: str, *words: str, code: int | None, limit_s: float, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m module words` without the time of its imports."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            exit_code = forking.run(module, [*words], self.path, {**self.env, **env}, (out, err), limit_s)
            process = subprocess.CompletedProcess(
                [module, *words], exit_code, out.read_text(), err.read_text()
            )
        _check_exit_code(process, code)
        return process

    def folder(self, name: str) -> str:
        """Return the output folder of a stage or an item."""
        return f"data/{name.replace('@', '/')}"

    def set_params(self, values: dict[str, Any]) -> None:
        """Set dotted keys of params.yaml; comments and order stay."""
        file, codec = self.path / "params.yaml", YAML()
        content = codec.load(file)
        for dotted, value in values.items():
            *sections, key = dotted.split(".")
            section = content
            for name in sections:
                section = section[name]
            section[key] = value
        with file.open("w", encoding="utf-8") as out:
            codec.dump(content, out)

    def lock(self) -> dict[str, Any]:
        """Return the stages of dvc.lock."""
        return yaml.safe_load((self.path / "dvc.lock").read_text(encoding="utf-8"))["stages"]

    def json(self, path: str) -> Any:
        """Return the JSON value of a file."""
        return json.loads((self.path / path).read_text(encoding="utf-8"))

    def rows(self, path: str) -> list[dict[str, Any]]:
        """Return the rows of a JSON Lines file; `.zst` is unpacked."""
        data = (self.path / path).read_bytes()
        if path.endswith(".zst"):
            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
        return [json.loads(line) for line in data.decode().splitlines()]

    def write_rows(self, path: str, rows: list[dict[str, Any]]) -> None:
        """Write a JSON Lines file; DVC may have linked the old one to its cache."""
        (self.path / path).unlink(missing_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (self.path / path).write_text("".join(lines), encoding="utf-8")

    def mlflow(self) -> tuple[MlflowClient, str]:
        """Return a client of the workspace's MLflow, and the experiment's id."""
        client = MlflowClient(f"sqlite:///{self.path / '.lw' / 'mlflow.db'}")
        return client, client.get_experiment_by_name("longwriter").experiment_id

    def runs(self) -> list[Run]:
        """Return every MLflow run of the workspace, newest first."""
        file = self.path / ".lw" / "mlflow.db"
        if not file.exists():
            return []
        client = MlflowClient(f"sqlite:///{file}")
        experiment = client.get_experiment_by_name("longwriter")
        return list(client.search_runs([experiment.experiment_id], max_results=1000)) if experiment else []

    def processes(self) -> list[psutil.Process]:
        """Return the living processes whose working directory is the workspace."""
        processes = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, FileNotFoundError):
                if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == self.path:
                    processes.append(process)
        return processes

    def copy(self, path: Path, with_mlflow: bool = False) -> Workspace:
        """Return a copy with the same data, DVC cache and commits, but no cached answers.

        Args:
            path: The copy's folder.
            with_mlflow: Copy MLflow's runs too. Otherwise the copy gets the database that `empty_mlflow` made,
                if it exists, which saves a second.
        """
        ignored = shutil.ignore_patterns(".lw", "tmp")
        shutil.copytree(self.path, path, ignore=ignored, symlinks=True)
        (path / ".lw" / "prefect").mkdir(parents=True)  # the server does not make its home's parents
        if (tables := self.path.parent / PREFECT_TABLES).exists():
            shutil.copy2(tables, path / ".lw" / "prefect")
        database = self.path / ".lw" / "mlflow.db" if with_mlflow else self.path.parent / EMPTY_MLFLOW
        if database.exists():
            shutil.copy2(database, path / ".lw" / "mlflow.db")
            with contextlib.closing(sqlite3.connect(path / ".lw" / "mlflow.db")) as db, db:
                artifacts = (path / ".lw" / "mlartifacts").as_uri()  # of future runs
                db.execute("UPDATE experiments SET artifact_location = ?", (artifacts,))
        return Workspace(path)


def _check_exit_code(process: subprocess.CompletedProcess[str], code: int | None) -> None:
    output = f"{process.args}: exit {process.returncode}\n{process.stdout}\n{process.stderr}"
    assert code is None or process.returncode == code, output


def make(path: Path, params: dict[str, Any]) -> Workspace:
    """Return a new workspace at `path`: the checkout's files in one commit, with `params` set."""
    files = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, files.stdout.split("\0")):
        is_result = name == "dvc.lock" or name.startswith("data/")  # of a run in the developer's checkout
        if not is_result and (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    workspace = Workspace(path)
    (path / "benchmarks").mkdir()
    rows = [{"prompt": prompt, "type": kind, "length": length} for prompt, kind, length in BENCHMARK]
    workspace.write_rows("benchmarks/tiny.jsonl", rows)
    workspace.set_params({**SMALL, **params})
    workspace.git("init", "--quiet", "--initial-branch=main")
    workspace.git("add", "--all")
    workspace.git("commit", "--quiet", "--message=Start")
    return workspace


def empty_mlflow(folder: Path) -> None:
    """Create an MLflow database without runs in `folder`; copies of the workspace in `folder` start with it."""
    MlflowClient(f"sqlite:///{folder / EMPTY_MLFLOW}").create_experiment("longwriter")


def prefect_tables(folder: Path) -> Path:
    """Create Prefect's database without rows in `folder`; copies of a workspace in `folder` start with it."""
    begun = folder / "begun"
    begun.mkdir(parents=True)
    env = environment(begun) | {"PREFECT_HOME": str(begun)}
    command = ["prefect", "server", "database", "upgrade", "--yes"]
    subprocess.run(command, env=env, check=True, capture_output=True)
    return (begun / PREFECT_TABLES).rename(folder / PREFECT_TABLES)


def seed_of(request: dict[str, Any]) -> int:
    """Return the seed that a request of a call log was sent with: the same for every model."""
    return int(content_hash({**request, "model": None})[:7], 16)


def wait_for(condition: Callable[[], T], description: str, limit_s: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`; fail with `description` when it stays false."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {limit_s:.0f} s: {description}"
        time.sleep(0.1)
    return value
