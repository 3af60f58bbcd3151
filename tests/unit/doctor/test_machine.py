"""What `longwriter doctor` says of packages, parameters, disk and `.lw`."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter import params
from longwriter.doctor import finding, machine
from longwriter.doctor.finding import Finding
from tests.unit.cli.checkout import PARAMS, set_params
from tests.unit.cli.conftest import checkout, run  # noqa: F401 (fixtures)

ROOT = Path.cwd()


def project(folder, *dependencies, python=">=3.10"):
    file = folder / "pyproject.toml"
    lines = "".join(f"  {json.dumps(line)},\n" for line in dependencies)
    file.write_text(f"[project]\nrequires-python = '{python}'\ndependencies = [\n{lines}]\n")
    return file


def test_packages_that_are_missing_or_have_another_version_are_named(tmp_path):
    file = project(
        tmp_path, "pydantic>=2", "pydantic-core<0.1", "no-such-package>=1", "colorama; os_name == 'nt'"
    )
    found = machine.packages(file)
    assert found.state == "error"
    assert "no-such-package is missing" in found.text
    assert "pydantic-core is " in found.text
    assert "colorama" not in found.text
    assert machine.packages(project(tmp_path, "pydantic>=2")).state == "ok"
    assert "Python" in machine.packages(project(tmp_path, python=">=9")).text


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_a_missing_engine_is_a_warning_that_names_its_keys_and_the_command(checkout):  # noqa: F811
    set_params(PARAMS, llm={"engine": "vllm"}, serving={"engine": "vllm"})
    found = machine.optional_packages(params.load())
    assert (found.state, found.text.partition(":")[0]) == ("warning", "serving.engine and llm.engine")
    assert "pip install -e '.[vllm]'" in found.text
    set_params(PARAMS)
    assert machine.optional_packages(params.load()).state == "ok"


def test_a_damaged_database_of_the_checkout_is_named_and_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert machine.local_state().state == "ok"
    Path(".lw/mlflow.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4000)
    found = machine.local_state()
    assert (found.state, found.text.partition(":")[0]) == ("error", ".lw/mlflow.db")
    assert Path(".lw/mlflow.db").exists()


def test_the_disk_of_each_file_system_is_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [found] = machine.disk()
    assert found.text.endswith("free for .lw, data, .dvc/cache")


def test_a_table_counts_errors_and_warnings_and_lists_the_cures():
    rows = [Finding("a", "ok", "fine"), Finding("b", "error", "broken", "mend it")]
    assert finding.table(rows).splitlines()[-3:] == ["b: mend it", "", "2 checks, 1 error, 0 warnings"]


def test_the_command_ends_with_2_where_something_is_wrong_and_shows_it_as_json(checkout, run):  # noqa: F811
    Repo.init(no_scm=True).close()
    shutil.copyfile(ROOT / "pyproject.toml", "pyproject.toml")
    code, out, _ = run("doctor")
    assert code == 0, out
    set_params(PARAMS, sft={"batch_tokens": -1})
    code, out, _ = run("doctor", "--json")
    assert code == 2
    [wrong] = [row for row in json.loads(out) if row["state"] == "error"]
    assert wrong["topic"] == "params.yaml"
    assert "sft.batch_tokens" in wrong["text"]


def test_a_checkout_that_cannot_be_written_is_one_of_the_findings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(".lw").write_text("a file where the folder should be")
    found = machine.local_state()
    assert (found.state, found.topic) == ("error", ".lw")
    assert "remove it and run again" in f"{found.text}: {found.cure}"
