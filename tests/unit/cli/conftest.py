"""A checkout to run `longwriter` in, and a way to run it."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from longwriter.cli import main as cli
from tests.unit.cli.checkout import PARAMS, set_params

ROOT = Path.cwd()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with params.yaml, the prompts, the benchmarks and three instructions of one length."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    (tmp_path / "seeds").mkdir()
    rows = [
        {"prompt": f"Write a tale number {n}", "type": "T", "length": 240, "language": "en"} for n in "abc"
    ]
    (tmp_path / "seeds" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(
        "MLFLOW_TRACKING_URI", raising=False
    )  # MLflow sets it in a process that opened a store
    set_params(PARAMS)
    return tmp_path


@pytest.fixture
def with_mlflow(checkout, mlflow_tables):
    """MLflow's database in the checkout."""
    (checkout / ".lw").mkdir()
    shutil.copy(mlflow_tables, checkout / ".lw" / "mlflow.db")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `longwriter WORDS`; return its exit code, output and errors."""

    def runs(*words, typed=""):
        monkeypatch.setattr(sys, "argv", ["longwriter", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return runs
