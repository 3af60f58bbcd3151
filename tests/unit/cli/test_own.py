"""`longwriter endpoint` and `longwriter benchmark`: the keys of params.yaml for what is one's own."""

import json
from pathlib import Path

import pytest
import yaml

from tests.chat_server.server import chat_server_thread


def values():
    return yaml.safe_load(Path("params.yaml").read_text())


def test_an_endpoint_is_shown_and_then_written(checkout, run):
    words = [
        "endpoint",
        "qwen3",
        "--url",
        "http://localhost:8000/v1",
        "--api-key-env",
        "",
        "--max-cost-usd",
        "5",
    ]
    before = values()
    code, out, err = run(*words)
    assert (code, values()) == (0, before), err
    assert out.splitlines()[-1] == "Nothing is written yet: run it again with --apply"
    stays = before["llm"]["max_concurrency"]
    assert f"llm.max_concurrency stays {stays}: --measure finds the number that suits the endpoint" in err
    assert run(*words, "--apply")[0] == 0
    new = values()
    llm = {"engine": "external", "model": "qwen3", "base_url": "http://localhost:8000/v1", "api_key_env": ""}
    assert new["llm"] == before["llm"] | llm | {"max_cost_usd": 5.0}
    sections = (new["plan"]["sampling"], new["write"]["sampling"], new["write"]["direct_sampling"])
    assert [section["repetition_penalty"] for section in sections] == [None] * 3
    assert new["dataset"] == before["dataset"]


def test_a_measured_concurrency_is_written(checkout, run, tmp_path):
    with chat_server_thread(tmp_path / "requests.jsonl") as server:
        words = ["endpoint", "qwen3", "--url", server.url, "--api-key-env", "", "--measure"]
        code, _, err = run(*words, "--concurrency", "3")
        assert (code, server.requests("probe")) == (2, [])
        assert "--measure finds the concurrency, and --concurrency sets it: leave one of them out" in err
        code, _, err = run(*words, "--apply")
    assert code == 0, err
    assert "   1 at once: " in err
    assert f"llm.max_concurrency: {values()['llm']['max_concurrency']}; " in err


@pytest.mark.parametrize("url", ["localhost:8000", "http://user:hunter2@host/v1"])
def test_a_bad_url_is_refused_with_its_key(checkout, run, url):
    code, _, err = run("endpoint", "qwen3", "--url", url, "--apply")
    assert code == 2
    assert "llm.base_url" in err
    assert "hunter2" not in err
    assert values()["llm"]["engine"] == "openvino"


def write_benchmark(name, *rows):
    Path("mine").mkdir(exist_ok=True)
    Path(f"mine/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


ROW = {"prompt": "Write about rain in 300 words.", "type": "Essay", "length": 300}


def test_the_benchmarks_of_a_folder_are_counted_and_written(checkout, run):
    write_benchmark("short", ROW, ROW | {"prompt": "Write about snow in 90 words.", "length": 90})
    write_benchmark("long", ROW | {"length": 9000})
    code, out, err = run("benchmark", "mine", "--apply")
    assert code == 0, err
    assert out.splitlines()[:2] == [
        "long.jsonl: 1 prompt, 9,000 to 9,000 words",
        "short.jsonl: 2 prompts, 90 to 300 words",
    ]
    assert values()["generate"]["folder"] == "mine"
    assert values()["generate"]["benchmarks"] == ["long", "short"]


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("x", [], "x.jsonl has no prompt"),
        ("x", [{"prompt": "Hi"}], "x.jsonl:1 is not a valid BenchmarkRow: type is missing (domain1 is read"),
        ("x", [ROW, ROW], "the same prompt 2 times"),
        ("My-Bench", [ROW], "generate.benchmarks"),
    ],
)
def test_a_benchmark_that_cannot_be_used_changes_nothing(checkout, run, name, rows, message):
    write_benchmark(name, *rows)
    before = values()
    code, _, err = run("benchmark", "mine", "--apply")
    assert (code, values()) == (2, before)
    assert message in err


def test_a_folder_without_benchmarks_is_reported(checkout, run):
    code, _, err = run("benchmark", "gone")
    assert code == 2
    assert err == "UserError: gone has no *.jsonl: name the folder that holds your benchmarks\n"
