import hashlib
import json

import pytest

from longwriter import params
from longwriter.errors import BadParams, BadRecord
from longwriter.exclusions import benchmarks
from longwriter.io import files
from longwriter.records import BenchmarkRow
from tests.unit.params.fields import committed

ROW = json.dumps({"prompt": "Tell the tale of a lighthouse keeper.", "type": "Story", "length": 150}) + "\n"
OTHER = ROW.replace("lighthouse", "gate")


SHORT = '{"prompt": "Say yes and nothing else.", "type": "one_word", "check": {"one_of": ["yes"]}}\n'


@pytest.fixture
def made(tmp_path):
    """Return parameters with the benchmark `here` in generate.folder, and others by their files."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "here.jsonl").write_text(ROW)
    (tmp_path / "own.jsonl").write_text(OTHER)
    (tmp_path / "short.jsonl").write_text(SHORT)

    def changed(names, **files):
        values = committed()
        values["generate"] |= {"folder": str(tmp_path / "folder"), "benchmarks": names}
        values["benchmarks"]["files"] = files
        values["short_prompts"]["source"] = str(tmp_path / "short.jsonl")
        return params.check(values, "params.yaml")

    return changed


def test_a_file_by_path_stands_beside_the_folder_and_its_prompts_are_known(made, tmp_path):
    sha256 = hashlib.sha256(OTHER.encode()).hexdigest()
    for hashed in (sha256, None):
        own = made(["own", "here"], own={"source": str(tmp_path / "own.jsonl"), "sha256": hashed})
        assert benchmarks.paths(own) == {
            "here": tmp_path / "folder" / "here.jsonl",
            "own": tmp_path / "own.jsonl",
        }
        assert benchmarks.all_prompts(own) == [
            "Tell the tale of a lighthouse keeper.",
            "Tell the tale of a gate keeper.",
            "Say yes and nothing else.",
        ]


@pytest.mark.parametrize(
    ("names", "name", "source", "sha256", "message"),
    [
        (["here"], "own", "own.jsonl", "0" * 64, r"own.jsonl has sha256 \w+, but 0+ is expected"),
        (["here"], "own", "gone.jsonl", None, r"benchmarks\.files\.own\.source: \S+ is no file"),
        (["here"], "here", "own.jsonl", None, "has here.jsonl too: give one of them another name"),
        (["ruler"], "own", "own.jsonl", None, "generate.benchmarks: found ruler; allowed: here, own"),
    ],
)
def test_a_benchmark_that_cannot_be_used_is_named_with_its_key(
    made, tmp_path, names, name, source, sha256, message
):
    with pytest.raises(BadParams, match=message):
        benchmarks.paths(made(names, **{name: {"source": str(tmp_path / source), "sha256": sha256}}))


def test_a_url_needs_a_hash(made):
    with pytest.raises(BadParams, match=r"benchmarks\.files\.own\.sha256: found null; allowed: the sha256"):
        made(["here"], own={"source": "https://host.example/own.jsonl", "sha256": None})


def test_a_benchmark_without_a_prompt_is_named_by_its_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"prompt": "Write."}\n{"text": "Write."}\n')
    with pytest.raises(BadRecord, match=r"a\.jsonl:2 is no row of a benchmark: no prompt"):
        benchmarks.prompts(str(tmp_path))


@pytest.mark.parametrize(
    ("row", "kind", "length"),
    [
        (
            {"index": 7, "domain1": "Education", "domain2": "Lesson Plan", "lang": "en", "query": "Write a plan.",
             "checklist": [{"name": "n", "criteria_description": "d", "1-2": "low", "9-10": "high"}]},
            "Education", None,
        ),
        ({"idx": 1, "question": "Write a plan.", "type": "Essay", "length": 200, "baseline_response": ["a", "b"]}, "Essay", 200),
    ],
    ids=["WritingBench", "Arena-Write"],
)  # fmt: skip
def test_the_files_of_other_writing_benchmarks_are_read_as_they_are(row, kind, length, made, tmp_path):
    path = tmp_path / "folder" / "other.jsonl"
    path.write_text(json.dumps(row) + "\n")
    [read] = files.read_jsonl(path, BenchmarkRow)
    assert (read.prompt, read.type, read.length) == ("Write a plan.", kind, length)
    assert "Write a plan." in benchmarks.all_prompts(made(["other"]))
