"""Fixtures of the integration tests; one pipeline run is shared, and copied where a test changes it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from tests.chat_server.server import ChatServer
    from tests.workspace import Workspace

# A thread of OpenMP that waits for the others spins. Test processes and what they start share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: a busy machine is no defect. The same examples in every run, so that a failure can be repeated;
# `--hypothesis-profile=default` looks for new and more of them.
settings.register_profile("busy", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("busy")

_FIRST = ("test_pipeline.py", "test_training.py", "test_faults.py", "test_flows.py", "test_doors.py")
"""The longest files; the first makes `finished`."""
_NEXT = ("test_kill.py", "test_gate.py", "test_bad_input.py")
"""Long files that need `finished`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the test files so that no process of `--dist loadfile` waits for another for long.

    While `finished` is made, which takes minutes, half of `unit/` keeps the cores busy. The other half comes
    last: these files are short, so all processes end at about the same time.
    """

    def position(item: pytest.Item) -> tuple[int, int]:
        name, parts = item.path.name, item.path.parts
        if name in _FIRST:
            return 0, _FIRST.index(name)
        if "unit" in parts:
            return (1, 0) if parts[parts.index("unit") + 1] < "k" else (3, 0)
        return 2, _NEXT.index(name) if name in _NEXT else len(_NEXT)

    items.sort(key=position)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the processes of a parallel run forks of one, so that libraries are imported once."""
    if specs := config.getoption("tx", None):
        from tests import forking

        config.option.tx = [
            spec if spec != "popen" else f"popen//python={forking.workers()}" for spec in specs
        ]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let the other processes of a parallel run wait until the first has compiled all test files.

    In a fresh checkout each of them would rewrite the assertions of each file: 3 CPU seconds.
    """
    with contextlib.ExitStack() as stack:
        if hasattr(session.config, "workerinput"):
            from tests import fork_server

            compiled = Path(os.environ[fork_server.ADDRESS]).with_name("compiled")
            stack.enter_context(FileLock(f"{compiled}.lock"))
            if compiled.exists():
                stack.close()
            stack.callback(compiled.touch)
        return (yield)


@pytest.fixture(autouse=True)
def own_tracking_uri() -> Iterator[None]:
    """Keep MLflow's database of one test from the next ones: `mlflow.set_tracking_uri` also sets the variable."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_model(shared: Path) -> Path:
    """A random model, as Hugging Face folder and GGUF; made once, as transformers' import takes seconds."""
    folder = shared / "tiny"
    with FileLock(f"{folder}.lock"):
        if not (folder / "model.gguf").exists():  # written last
            from tests import tiny_model

            tiny_model.write(folder)
    return folder


@pytest.fixture(scope="session")
def mlflow_tables(shared: Path) -> Path:
    """MLflow's tables without a row of ours; a test that begins with a copy takes 0.9 CPU seconds less."""
    file = shared / "mlflow-tables.db"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            from mlflow.tracking import MlflowClient

            begun = file.with_suffix(".begun")
            MlflowClient(f"sqlite:///{begun}").search_experiments()
            begun.rename(file)
    return file


@pytest.fixture(scope="session")
def prefect_tables(shared: Path) -> Path:
    """Prefect's tables without a row; a server that begins with a copy takes 4 CPU seconds less."""
    folder = shared / "prefect"
    with FileLock(f"{folder}.lock"):
        from tests import workspace

        file = folder / workspace.PREFECT_TABLES
        return file if file.exists() else workspace.prefect_tables(folder)


@pytest.fixture(scope="session")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """A chat server without latency and faults."""
    from tests.chat_server.server import chat_server

    with chat_server(tmp_path_factory.mktemp("chat") / "requests.jsonl") as server:
        yield server


@pytest.fixture(scope="session")
def finished(shared: Path, tiny_model: Path, chat_server: ChatServer, prefect_tables: Path) -> Workspace:
    """A workspace in which one `dvc repro` ran; tests read it and do not change it.

    Made once and shared by all processes of a test run. `repro` is the output of that command, and
    `requests` returns the requests that its chat server got.
    """
    from tests import workspace
    from tests.chat_server.server import ChatServer

    folder = shared / "finished"
    record = folder / "record.json"
    with FileLock(f"{folder}.lock"):
        if not record.exists():
            shutil.rmtree(folder, ignore_errors=True)
            params = {"base_model.source": f"path:{tiny_model}", "llm.base_url": chat_server.url}
            checkout = workspace.make(folder / "checkout", params)
            repro = checkout.dvc("repro", limit_s=3000)  # minutes on an idle machine
            checkout.git("add", "dvc.lock", "data")
            checkout.git("commit", "--quiet", "--message=Run the pipeline")
            workspace.empty_mlflow(folder)
            shutil.copy2(prefect_tables, folder)
            record.write_text(json.dumps({"stdout": repro.stdout, "requests": str(chat_server.log)}))
    checkout = workspace.Workspace(folder / "checkout")
    values = json.loads(record.read_text())
    checkout.repro = values["stdout"]
    checkout.requests = ChatServer("", Path(values["requests"])).requests
    return checkout


@pytest.fixture
def workspace(tmp_path: Path, finished: Workspace, chat_server: ChatServer) -> Workspace:
    """A copy of the finished workspace that a test may change; MLflow and replay cache are empty."""
    copy = finished.copy(tmp_path / "checkout")
    copy.set_params({"llm.base_url": chat_server.url})  # the server of `finished` may have ended
    return copy
