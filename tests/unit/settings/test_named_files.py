"""Files that params.yaml names: they are looked at when the parameters are read."""

import os
from functools import reduce
from pathlib import Path

import pytest

from longwriter import params
from longwriter.errors import BadParams
from longwriter.settings import named_files
from tests.unit.params.fields import text_with

ROOT = Path.cwd()
LAYOUT = "one JSON object, each key once"
HOSTS = "lines of the form HOST slots=GPUS"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Read params.yaml in a checkout with a file `name`, which a key names; None = there is no such file."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    monkeypatch.chdir(tmp_path)

    def loads(key, name, content):
        if content is not None:
            Path(name).write_bytes(content)
        text, places = text_with(**{key: f'"{name}"'})
        Path("params.yaml").write_text(text, encoding="utf-8")
        return params.load(), places[key]

    return loads


@pytest.mark.parametrize(
    ("key", "name", "content"),
    [
        ("plan.prompt", "p.txt", b"Plan {instruction} in {max_steps} steps."),
        ("write.prompt", "p.txt", b"{main_point}"),
        ("preferences.judge.prompt", "p.txt", '评 {instruction} {text} {"score": 1} {n}'.encode()),
        ("training.deepspeed", "z.json", b'{"zero_optimization": {"stage": 2}}'),
        ("training.hostfile", "hosts", b"# two\nnode-1 slots=8\n\nnode-2  slots=8\n"),
    ],
)
def test_a_file_that_fits_is_accepted(load, key, name, content):
    checked, _ = load(key, name, content)
    assert reduce(getattr, key.split("."), checked) == name


@pytest.mark.parametrize(
    ("key", "name", "content", "message"),
    [
        ("plan.prompt", "p.txt", None, "which is missing; allowed: a template with {instruction}"),
        ("plan.prompt", "infra/x.txt", None, "which is missing"),
        ("plan.prompt", "p.txt", b"root:x:0:0:root:/root:/bin/sh\n", "which holds something else; allowed: a template with {inst"),
        ("plan.prompt", "p.txt", b"", "which holds something else"),
        ("plan.prompt", "p.txt", b"{instruction} {steps}", "no other field than {min_steps}"),
        ("write.prompt", "p.txt", b"{instruction}", "a template with {main_point}"),
        ("plan.judge.prompt", "p.txt", b"{instruction}", "a template with {instruction} {plan}"),
        ("preferences.judge.prompt", "p.txt", b"{text}", "a template with {instruction} {text}"),
        ("instructions.judge.prompt", "p.txt", b"{prompt}", "a template with {instruction}"),
        ("plan.prompt", "p.txt", b"{instruction} \xff", "which is not UTF-8"),
        ("plan.prompt", "p.txt", b"{instruction}" + b" " * 2**20, "which has more than 1,048,576 bytes"),
        ("training.deepspeed", "z.json", b'{"a": 1, "a": 2}', LAYOUT),
        ("training.deepspeed", "z.json", b'{"a": NaN}', LAYOUT),
        ("training.deepspeed", "z.json", b"[1]", LAYOUT),
        ("training.deepspeed", "z.json", b"[" * 100_000, LAYOUT),
        ("training.hostfile", "hosts", b"root:x:0:0:root:/root:/bin/sh\n", HOSTS),
        ("training.hostfile", "hosts", b"node-1\n", HOSTS),
        ("training.hostfile", "hosts", b"node-1 slots=0\n", HOSTS),
        ("training.hostfile", "hosts", b"-oProxyCommand=x slots=1\n", HOSTS),
        ("training.hostfile", "hosts", b"# none\n", HOSTS),
        ("training.hostfile", "none", None, "which is missing"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_named_with_key_and_line(load, key, name, content, message):
    with pytest.raises(BadParams) as error:
        load(key, name, content)
    _, places = text_with(**{key: f'"{name}"'})
    assert str(error.value).startswith(f"params.yaml:{places[key]}: {key}: found {name}, which ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_mode_serial_needs_a_template_with_the_text_so_far(load):
    for name, mode in (("blind", "serial"), ("blind", "parallel"), ("blind", "direct"), ("seeing", "serial")):
        prompt = {"blind": "{instruction} {main_point}", "seeing": "{instruction} {text} {main_point}"}[name]
        Path("p.txt").write_text(prompt, encoding="utf-8")
        text, places = text_with(**{"plan.judge.llm": "null", "write.mode": mode, "write.prompt": "p.txt"})
        Path("params.yaml").write_text(text, encoding="utf-8")
        if (name, mode) != ("blind", "serial"):
            assert params.load().write.mode == mode
            continue
        with pytest.raises(BadParams) as error:
            params.load()
        assert str(error.value) == (
            f"params.yaml:{places['write.mode']}: write.mode: found serial, but p.txt has no {{text}}, so each "
            "paragraph would be written without the text before it; allowed: parallel, or a write.prompt with {text}"
        )


def test_a_folder_and_a_link_to_another_file_are_no_template(load):
    Path("folder.txt").mkdir()
    Path("link.txt").symlink_to("/etc/passwd")
    for name, message in (("folder.txt", "which is a folder"), ("link.txt", "which holds something else")):
        with pytest.raises(BadParams, match=message):
            load("plan.prompt", name, None)


@pytest.mark.parametrize(
    ("key", "path", "message"),
    [
        ("dataset.extra_source", "/proc", "which is a part of the running system"),
        ("short_prompts.source", "/proc/self/environ", "which is a part of the running system"),
        ("generate.folder", "own.jsonl", "which is a file"),
        ("short_prompts.source", "src/longwriter/seeds", "which is a folder"),
        ("preferences.general_source", "link", "which leads to a folder that the pipeline writes"),
        ("instructions.source", "link/rows.jsonl", "which leads to a folder that the pipeline writes"),
        ("instructions.rules", "none", "which is missing; allowed: a folder with harm.yaml and types.yaml"),
        ("instructions.rules", "src/longwriter/prompts", "which has no harm.yaml"),
        ("dataset.length_prompts", "src/longwriter/rules", "which has no en.txt; allowed: a folder with en.txt and zh.txt"),
    ],
)  # fmt: skip
def test_an_input_of_another_kind_stops_the_first_stage(load, key, path, message):
    Path("own.jsonl").write_text("{}\n", encoding="utf-8")
    Path("data/write").mkdir(parents=True)
    Path("data/write/rows.jsonl").write_text("{}\n", encoding="utf-8")
    Path("link").symlink_to("data/write")
    with pytest.raises(BadParams) as error:
        load(key, path, None)
    assert f": {key}: found {path}, {message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_input_may_be_missing_on_a_machine_that_does_not_read_it(load):
    checked, _ = load("instructions.source", "own/rows.jsonl", None)
    assert checked.instructions.source == "own/rows.jsonl"
    assert named_files.keys_of(checked, "own/rows.jsonl") == ["instructions.source"]


@pytest.mark.parametrize(
    "key", ["instructions.rules", "dataset.length_prompts", "preferences.general_source"]
)
@pytest.mark.parametrize("path", ["data/preferences", "./data", ".lw/x", ".git"])
def test_a_folder_of_settings_is_none_that_the_pipeline_writes(load, key, path):
    with pytest.raises(BadParams, match=f": {key}: found '{path}'; allowed: a folder in the checkout, "):
        load(key, path, None)


INPUTS = [
    "instructions.source", "dataset.general_source", "dataset.extra_source", "generate.folder", "fitness.votes",
    "short_prompts.source", "benchmarks.files.own.source", "training.hostfile", "plan.prompt",
]  # fmt: skip


@pytest.mark.parametrize("key", INPUTS)
def test_a_pipe_is_no_input_because_its_reader_would_wait_without_end(load, key):
    os.mkfifo("pipe.txt")
    with pytest.raises(
        BadParams, match=r"^[^\n]*: found pipe.txt, which is a pipe or a device; allowed: [^\n]*$"
    ):
        load(key, "pipe.txt", None)


def test_a_device_is_no_input(load):
    with pytest.raises(BadParams, match="found /dev/zero, which is a pipe or a device"):
        load("instructions.source", "/dev/zero", None)
