"""Fixtures of the unit tests."""

import shutil

import pytest


@pytest.fixture(scope="module")
def store(tmp_path_factory, mlflow_tables):
    """A working directory with an empty MLflow store; yields MLflow's client."""
    from longwriter.tracking import (
        connection,  # slow: only for tests that need it
    )

    folder = tmp_path_factory.mktemp("store")
    shutil.copy(mlflow_tables, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for name in ("LW_MLFLOW_UI", "LW_PREFECT_UI", "LW_DOCS_UI"):
            patch.delenv(name, raising=False)
        yield connection.client()[0]
