"""Fixtures of the integration tests; one pipeline run is shared, and copied where a test changes it."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from tests.scripted_server import Scripted
    from tests.workspace import Workspace

# A machine with other work is no defect; the same examples everywhere, so that what fails fails again:
# `--hypothesis-profile=default` looks for new ones.
settings.register_profile("busy", deadline=None, derandomize=True)
settings.load_profile("busy")
gc.disable()  # until all tests are imported: nothing of that is garbage

_LONG = (
    "test_pipeline.py",
    "test_training.py",
    "test_faults.py",
    "test_flows.py",
    "test_kill.py",
    "test_bad_input.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files in an order in which no process of `--dist loadfile` waits for another.

    One makes `finished` with the first file, while others run those that need none; long ones come first.
    """
    waiting = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}

    def place(item: pytest.Item) -> tuple[bool, bool, int]:
        name = item.path.name
        is_first = name == _LONG[0]
        return not is_first, item.path in waiting, _LONG.index(name) if name in _LONG else len(_LONG)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Collect garbage from here on."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model, as Hugging Face folder and GGUF."""
    from tests import tiny_model

    return tiny_model.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """A scripted server that answers at once."""
    from tests.scripted_server import scripted

    with scripted(tmp_path_factory.mktemp("scripted")) as server:
        yield server


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, scripted: Scripted) -> Workspace:
    """A workspace in which one `dvc repro` ran; tests read it and leave it as it is.

    Made once and shared by all processes of a test run; `repro` is how that command ended, and
    `requests` what was asked of the scripted server then.
    """
    from tests import workspace
    from tests.scripted_server import Scripted

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished"
    told = folder / "told.json"
    with FileLock(f"{folder}.lock"):
        if not told.exists():
            shutil.rmtree(folder, ignore_errors=True)
            params = {"base_model.source": f"path:{tiny_model}", "llm.base_url": scripted.url}
            made = workspace.make(folder / "checkout", params)
            repro = made.dvc("repro", limit_s=1800)  # 160 s on an idle machine
            made.git("add", "dvc.lock")
            made.git("commit", "--quiet", "--message=Run the pipeline")
            workspace.empty_mlflow(folder)
            told.write_text(json.dumps({"stdout": repro.stdout, "counter": str(scripted.counter)}))
    made = workspace.Workspace(folder / "checkout")
    found = json.loads(told.read_text())
    made.repro = found["stdout"]
    made.requests = Scripted("", Path(found["counter"])).requests
    return made


@pytest.fixture
def workspace(tmp_path: Path, finished: Workspace, scripted: Scripted) -> Workspace:
    """A copy of the finished workspace, free to be changed; MLflow and replay cache are empty."""
    copy = finished.copy(tmp_path / "checkout")
    copy.set_params({"llm.base_url": scripted.url})  # the finished one's server may have ended
    return copy
