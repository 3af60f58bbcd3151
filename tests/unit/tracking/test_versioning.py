import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from longwriter.errors import BadRecord, StageBusy, UserError
from longwriter.tracking import versioning


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    folder = tmp_path_factory.mktemp("initialised")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    Repo.init(str(folder)).close()
    return folder


def dvc_add(*names):
    """Put files or folders of the working directory into DVC, as `dvc add` does."""
    with Repo(".") as repo:
        repo.add(list(names))


@pytest.fixture
def repo(initialised, tmp_path, monkeypatch):
    shutil.copytree(initialised, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "a.txt").write_text("a\r\n")
    (tmp_path / "folder" / "b.txt").write_text("字")
    (tmp_path / "one.txt").write_text("1")
    return tmp_path


def test_digests_are_those_of_dvc(repo):
    for name in ("folder", "one.txt"):
        dvc_add(name)
        said = yaml.safe_load((repo / f"{name}.dvc").read_text())["outs"][0]["md5"]
        assert versioning.digest(repo / name) == said


@pytest.mark.parametrize("name", ["folder/in/pipe", "pipe"])
def test_a_pipe_is_named_and_not_waited_for(repo, name):
    os.mkfifo(repo / name)
    path = "folder" if "/" in name else name
    with pytest.raises(BadRecord, match=rf"^{name} is a pipe or a device"):
        versioning.digest(path)


def test_a_digest_leaves_out_what_dvcignore_names(repo):
    plain = versioning.digest(repo / "folder")
    (repo / ".dvcignore").write_text("__pycache__\n")
    (repo / "folder" / "__pycache__").mkdir()
    (repo / "folder" / "__pycache__" / "a.pyc").write_bytes(b"\x00")
    assert versioning.digest(repo / "folder") == plain
    (repo / ".dvcignore").unlink()
    assert versioning.digest(repo / "folder") != plain


def test_a_changed_file_has_another_digest_although_the_first_is_remembered(repo):
    first = versioning.digests([repo / "one.txt", repo / "folder"])
    (repo / "one.txt").write_text("2")
    (repo / "folder" / "b.txt").write_text("2")
    second = versioning.digests([repo / "one.txt", repo / "folder"])
    assert all(first[path] != second[path] for path in first)


def test_a_missing_file_has_no_digest(repo):
    with pytest.raises(BadRecord, match="missing"):
        versioning.digest(repo / "nope")


def test_an_output_is_current_while_it_and_the_parameters_are_those_of_the_lock(repo):
    (repo / "params.yaml").write_text("word: a\nother: 1\n")
    (repo / "dvc.yaml").write_text(
        "stages:\n  say:\n    cmd: echo ${word} > out.txt\n    params: [word]\n    outs: [out.txt, more.txt]\n"
    )
    assert not versioning.is_current("say", Path("out.txt"))
    (repo / "out.txt").write_text("a\n")
    assert versioning.is_current("say", Path("out.txt"))
    (repo / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  say:\n    cmd: echo a > out.txt\n    params:\n      params.yaml:\n"
        "        word: a\n    outs:\n    - path: out.txt\n      hash: md5\n"
        "      md5: 60b725f10c9c85c70d97880dfe8191b3\n"
    )
    assert versioning.is_current("say", Path("out.txt"))
    (repo / "more.txt").write_text("not in the lock")
    assert not versioning.is_current("say", Path("more.txt"))
    (repo / "params.yaml").write_text("word: a\nother: 2\n")
    assert versioning.is_current("say", Path("out.txt"))
    (repo / "params.yaml").write_text("word: b\nother: 1\n")
    assert not versioning.is_current("say", Path("out.txt"))
    (repo / "params.yaml").write_text("word: a\nother: 1\n")
    (repo / "out.txt").write_text("b\n")
    assert not versioning.is_current("say", Path("out.txt"))


def test_the_fingerprint_changes_with_command_dependency_and_parameter():
    def mark(cmd="c", deps="1", params=1):
        return versioning.fingerprint(versioning.StageFiles(cmd, [], [], {"p": params}), {"d": deps})

    assert mark() == mark()
    assert len({mark(), mark(cmd="x"), mark(deps="2"), mark(params=2)}) == 4


def test_digests_of_odd_names_and_empty_files_are_those_of_dvc(repo):
    for name in ("a/b", "a-b", "a.b", "字 ä", ".hidden", "empty"):
        file = repo / "odd" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if name == "empty" else name)
    (repo / "none").mkdir()
    dvc_add("odd", "none")
    for name in ("odd", "none"):
        said = yaml.safe_load((repo / f"{name}.dvc").read_text())["outs"][0]["md5"]
        assert versioning.digest(repo / name) == said


def test_the_digest_of_a_folder_with_compiled_python_is_that_of_dvc(repo):
    (repo / "folder" / "__pycache__").mkdir()
    (repo / "folder" / "__pycache__" / "a.pyc").write_bytes(b"\x00")
    dvc_add("folder")
    said = yaml.safe_load((repo / "folder.dvc").read_text())["outs"][0]["md5"]
    assert versioning.digest(repo / "folder") == said


def test_a_stage_is_read_with_its_templates_filled_and_its_parameters_resolved(repo):
    (repo / "params.yaml").write_text("plan: {prompt: one.txt, steps: 3}\nllm: {model: m, url: u}\n")
    (repo / "dvc.yaml").write_text(
        "stages:\n  plan:\n    cmd: echo x\n    deps: ['${plan.prompt}', folder]\n"
        "    params: [plan, llm.model]\n    outs: [out.txt]\n    metrics: [m.json]\n"
    )
    found = versioning.stage_files("plan")
    assert (found.cmd, found.deps, found.outs) == ("echo x", ["one.txt", "folder"], ["out.txt", "m.json"])
    assert found.params == {"plan": {"prompt": "one.txt", "steps": 3}, "llm.model": "m"}


MATRIX = (
    "stages:\n  first: {cmd: echo a}\n  many:\n    matrix:\n      model: [sft, dpo]\n"
    "      benchmark: ${generate.benchmarks}\n    cmd: echo ${item.model}\n    outs:\n"
    "      - ${item.model}-${item.benchmark}.txt\n  last: {cmd: echo b}\n"
)


def test_stages_are_listed_in_order_with_the_items_that_params_name(repo):
    (repo / "params.yaml").write_text("generate: {benchmarks: [small, ruler]}\n")
    (repo / "dvc.yaml").write_text(MATRIX)
    items = ["many@sft-small", "many@sft-ruler", "many@dpo-small", "many@dpo-ruler"]
    assert versioning.stage_names() == ["first", *items, "last"]
    assert versioning.stage_files("many@dpo-ruler").outs == ["dpo-ruler.txt"]


def test_a_matrix_over_a_mapping_has_an_item_for_each_key(repo):
    (repo / "params.yaml").write_text("models: {sft: {label: SFT}, dpo: {label: DPO}}\n")
    (repo / "dvc.yaml").write_text(
        "stages:\n  many:\n    matrix: {model: '${models}'}\n    cmd: echo ${item.model}\n"
        "    outs: ['data/many/${item.model}/out.txt']\n"
    )
    assert versioning.stage_names() == ["many@sft", "many@dpo"]
    assert versioning.stage_files("many@dpo").outs == ["data/many/dpo/out.txt"]


def test_a_dependency_on_a_stage_folder_is_named_by_the_outputs_in_it(repo):
    outs = ["a/rows.jsonl", "b/rows.jsonl", "b/calls.jsonl.zst", "b/summary.json"]
    for out in [*outs, "left_over/rows.jsonl"]:
        (repo / "data/many" / out).parent.mkdir(parents=True, exist_ok=True)
        (repo / "data/many" / out).write_text(out)
    listed = ", ".join(f"data/many/{out}" for out in outs)
    (repo / "dvc.yaml").write_text(f"stages:\n  many: {{cmd: echo a, outs: [{listed}]}}\n")
    rows = ["data/many/a/rows.jsonl", "data/many/b/rows.jsonl"]
    assert versioning.input_digests(["one.txt", "data/many"]) == versioning.digests(["one.txt", *rows])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("generate: {}\n", r"dvc\.yaml: "),
        ("generate: [1,\nx: {", r"params\.yaml:3: not valid YAML: "),
        ("generate: {benchmarks: [010]}", r"params\.yaml:1: generate\.benchmarks\.0: found 010; allowed: "),
        ("generate: " + "[" * 100_000, r"params\.yaml:1: found more than 20 levels of nesting"),
    ],
    ids=["no items", "no YAML", "two readings", "deep"],
)
def test_stages_that_params_cannot_fill_are_an_error_of_the_user(repo, params, message):
    (repo / "params.yaml").write_text(params)
    (repo / "dvc.yaml").write_text(MATRIX)
    with pytest.raises(UserError, match=message):
        versioning.stage_names()


def test_bytes_come_from_the_checkout_or_the_cache_and_never_others(repo):
    md5 = versioning.digest(repo / "one.txt")
    assert versioning.bytes_of(md5, "one.txt").read_text() == "1"
    dvc_add("one.txt")
    (repo / "one.txt").unlink()
    assert versioning.bytes_of(md5, "one.txt").read_text() == "1"
    (repo / "one.txt").write_text("2")
    with pytest.raises(BadRecord, match="is not in the DVC cache"):
        versioning.bytes_of("0" * 32, "one.txt")


def test_outside_a_checkout_one_is_sent_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is not a checkout of the project"):
        versioning.digest("one.txt")


def test_a_stage_is_stale_until_its_files_are_as_the_lock_file_says(repo):
    (repo / "dvc.yaml").write_text(
        "stages:\n  copy: {cmd: cp one.txt two.txt, deps: [one.txt], outs: [two.txt]}\n"
    )
    assert versioning.stale_stages() == {"copy"}
    with Repo(".") as opened:
        opened.reproduce()
    assert versioning.stale_stages() == set()
    (repo / "one.txt").write_text("2")
    assert versioning.stale_stages() == {"copy"}


def test_the_dvc_command_that_runs_a_stage_meanwhile_is_named(repo):
    (repo / "dvc.yaml").write_text(
        "stages:\n  copy: {cmd: cp one.txt two.txt, deps: [one.txt], outs: [two.txt]}\n"
    )
    owner = {"pid": os.getpid(), "cmd": "/venv/bin/dvc repro copy"}
    (repo / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(repo / "two.txt"): owner}, "read": {}}))
    with pytest.raises(StageBusy) as ended:
        versioning.stale_stages()
    assert str(ended.value) == (
        f"another dvc command works in this checkout: process {os.getpid()} (/venv/bin/dvc repro copy): "
        "wait until it ends, and run this again"
    )


def test_a_checkout_without_git_is_reported(repo):
    shutil.rmtree(repo / ".git")
    with pytest.raises(UserError, match=r"is no git repository: clone the project, or run `git init` here$"):
        versioning.try_remote()


def test_an_input_is_missing_if_neither_a_stage_nor_dvc_add_brings_it(repo):
    dvc_add("one.txt")
    (repo / "one.txt").unlink()
    stages = {
        "first": {
            "cmd": "true",
            "deps": ["one.txt", "folder", "gone/rows.jsonl", "/no/such/file"],
            "outs": ["data/a"],
        },
        "second": {"cmd": "true", "deps": ["data/a/rows.jsonl", "data"], "outs": ["out"]},
        "third": {"cmd": "true", "deps": ["nowhere"]},
    }
    (repo / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    assert versioning.missing_inputs({"first", "second"}) == ["/no/such/file", "gone/rows.jsonl"]


def test_the_stages_that_have_to_run_before_others_are_named_with_what_they_write(repo):
    stages = {
        "first": {"cmd": "true", "deps": ["one.txt"], "outs": ["data/a"]},
        "second": {"cmd": "true", "deps": ["data/a/rows.jsonl"], "outs": ["data/b/rows.jsonl", "here"]},
        "third": {"cmd": "true", "deps": ["data/b", "here", "nowhere"], "outs": ["data/c"]},
    }
    (repo / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (repo / "here").touch()
    missing = versioning.inputs_of_other_stages({"third"})
    assert missing == {"data/b": "second", "data/a/rows.jsonl": "first"}
    assert versioning.inputs_of_other_stages({"third", "second"}) == {"data/a/rows.jsonl": "first"}
    assert versioning.inputs_of_other_stages({"third", "second", "first"}) == {}
