"""Bad input: one clear line that names file, row or key; exit code not 0; finished work stays."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from tests import disks
from tests.chat_server.server import chat_server
from tests.workspace import Workspace


def _stops(workspace: Workspace, stage: str, code: int, *told: str, **env: str) -> None:
    """Run a stage that must stop with `code` and one error line that holds each of `told`."""
    before = _outputs(workspace)
    done = workspace.stage(stage, code=code, **env)
    assert "Traceback" not in done.stderr, done.stderr
    errors = [
        line
        for line in done.stderr.splitlines()
        if line.startswith(f"{stage}: ") and "http://127.0.0.1:5000" not in line
    ]
    assert len(errors) == 1, done.stderr
    for words in told:
        assert words in errors[0]
    assert _outputs(workspace) == before
    assert all(run.info.status != "RUNNING" for run in workspace.runs())


def _outputs(workspace: Workspace) -> dict[str, int]:
    files = [path for path in (workspace.path / "data").rglob("*") if path.is_file()]
    return {str(path.relative_to(workspace.path)): path.stat().st_mtime_ns for path in files}


def test_an_unknown_key_is_named(workspace: Workspace) -> None:
    workspace.set_params({"write.max_atempts": 3})
    _stops(workspace, "instructions", 2, "params.yaml", "write.max_atempts")


def test_a_value_of_the_wrong_type_is_named(workspace: Workspace) -> None:
    workspace.set_params({"validate.min_rows": "many"})
    _stops(workspace, "instructions", 2, "params.yaml", "validate.min_rows", "'many'")


def test_params_that_are_no_yaml_are_named(workspace: Workspace) -> None:
    (workspace.path / "params.yaml").write_text("plan: [1,\nwrite: {", encoding="utf-8")
    _stops(workspace, "instructions", 2, "params.yaml")


def test_a_malformed_source_row_is_named_by_file_and_line(workspace: Workspace) -> None:
    source = workspace.path / "sources"
    shutil.copytree(workspace.path / "src/longwriter/seeds/instructions", source)
    with (source / "more.jsonl").open("w", encoding="utf-8") as out:
        out.write('{"prompt": "Write a poem.", "type": "Literature", "length": null, "language": "en"}\n')
        out.write('{"prompt": "Write a song.", "type": "Literature", "length": "long", "language": "en"}\n')
    workspace.set_params({"instructions.source": "sources"})
    _stops(workspace, "instructions", 2, "sources/more.jsonl:2", "length")


def test_an_unreachable_endpoint_is_named_and_can_be_tried_again(workspace: Workspace) -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        workspace.set_params({"llm.base_url": url, "llm.max_retries": 0})
        _stops(workspace, "plan", 75, "EndpointUnavailable", url, "llm.base_url")


def test_a_missing_key_is_named_for_an_endpoint_elsewhere(workspace: Workspace) -> None:
    workspace.set_params({"llm.base_url": "https://models.example.invalid/v1"})
    _stops(workspace, "plan", 2, "OPENAI_API_KEY", "https://models.example.invalid/v1")


def test_a_page_with_status_200_is_no_answer(workspace: Workspace, tmp_path: Path) -> None:
    with chat_server(tmp_path / "requests.jsonl", "--html") as server:
        workspace.set_params({"llm.base_url": server.url, "llm.max_retries": 0})
        _stops(workspace, "plan", 75, "EndpointUnavailable", server.url)


def test_an_endpoint_that_only_answers_429_is_given_up(workspace: Workspace, tmp_path: Path) -> None:
    with chat_server(tmp_path / "requests.jsonl", "--status", "429") as server:
        workspace.set_params({"llm.base_url": server.url, "llm.max_retries": 1})
        _stops(workspace, "plan", 75, "EndpointUnavailable", "429")
        assert len(server.requests("probe")) == 2


def test_refusals_are_requested_again_and_never_become_rows(workspace: Workspace, tmp_path: Path) -> None:
    with chat_server(tmp_path / "requests.jsonl", "--refuse-every", "3") as server:
        workspace.set_params({"llm.base_url": server.url, "write.sampling.seed": 5})
        workspace.dvc("repro", "dataset")
    calls = workspace.rows("data/write/calls.jsonl.zst")
    refusals = [row for row in calls if "I'm sorry" in row["answer"]["choices"][0]["message"]["content"]]
    assert refusals
    assert "I'm sorry" not in (workspace.path / "data/dataset/train.jsonl").read_text(encoding="utf-8")


@pytest.fixture
def small_disk(workspace: Workspace, tmp_path: Path):
    """The workspace on a disk of its own with 3 MB left."""
    size = sum(f.lstat().st_size for f in workspace.path.rglob("*") if f.is_file() and not f.is_symlink())
    with disks.disk(tmp_path / "disk", f"size={2 * size + 40_000_000}"):
        yield workspace.copy(tmp_path / "disk" / "checkout")


def _fill(folder: Path, leave: int) -> Path:
    """Fill the disk of `folder` up to `leave` bytes; return the file that does it."""
    ballast = folder / "ballast"
    free = shutil.disk_usage(folder).free
    with ballast.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, free - leave)
    return ballast


@pytest.mark.parametrize("leave", [0, 1_000_000], ids=["from the start", "in mid-stage"])
def test_a_full_disk_is_reported_and_the_next_run_goes_on(small_disk: Workspace, leave: int) -> None:
    small_disk.stage("dataset")  # MLflow's database is made while there is room
    small_disk.set_params({"base_model.dtype": "bfloat16", "dataset.general_share": 0.2})
    kept = _outputs(small_disk)
    ballast = _fill(small_disk.path.parent, leave)
    if leave:
        with (small_disk.path / ".lw" / "tmp" / "probe").open("wb") as out:
            out.write(b"x" * 1000)
        (small_disk.path / ".lw" / "tmp" / "probe").unlink()
        source = small_disk.path.parent / "big"
        source.mkdir()
        small_disk.set_params({"base_model.source": f"path:{source}"})
        _grow(small_disk, ballast, source, leave)
    done = small_disk.stage("base_model" if leave else "dataset", code=None)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "disk full" in line]
    assert "MB free" in line
    assert _outputs(small_disk) == kept
    ballast.unlink()
    small_disk.stage("dataset")


def _grow(workspace: Workspace, ballast: Path, source: Path, leave: int) -> None:
    """Put a model into `source` that does not fit a second time."""
    ballast.unlink()
    for file in (workspace.path / "data/base_model/weights").iterdir():
        shutil.copy2(file, source / file.name)
    with (source / "model.gguf").open("ab") as out:
        out.write(b"\0" * 4_000_000)
    _fill(workspace.path.parent, leave)
