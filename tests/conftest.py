"""Fixtures of the integration tests; one pipeline run is shared, and copied where a test changes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scripted_server import Scripted
    from tests.workspace import Workspace


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
    """A workspace in which one `dvc repro` ran; tests read it and leave it as it is."""
    from tests import workspace

    params = {"base_model.source": f"path:{tiny_model}", "llm.base_url": scripted.url}
    made = workspace.make(tmp_path_factory.mktemp("finished") / "checkout", params)
    made.repro = made.dvc("repro")
    made.git("add", "dvc.lock")
    made.git("commit", "--quiet", "--message=Run the pipeline")
    return made


@pytest.fixture
def workspace(tmp_path: Path, finished: Workspace) -> Workspace:
    """A copy of the finished workspace, free to be changed; MLflow and replay cache are empty."""
    return finished.copy(tmp_path / "checkout")
