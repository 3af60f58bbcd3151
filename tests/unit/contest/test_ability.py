"""lm-evaluation-harness on several models: its results, the differences, and the harness itself on a tiny model."""

import importlib.util
import json
import os
import shutil
import stat
import sys

import pytest

from longwriter.contest import ability
from longwriter.contest.ability import Measure
from longwriter.errors import BadRecord, UserError
from longwriter.tracking import connection

RESULTS = {
    "results": {
        "capitals": {"alias": "capitals", "acc,none": 0.5, "acc_stderr,none": 0.1, "perplexity,none": 3.0,
                     "perplexity_stderr,none": "N/A", "exact_match,strict": 0.25, "exact_match_stderr,strict": 0.2},
    },
    "higher_is_better": {"capitals": {"acc": True, "perplexity": False, "exact_match": True}},
}  # fmt: skip
TASK = """\
task: capitals
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: answer
doc_to_choice: choices
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""
ROWS = [
    {"question": "Which city is the capital of Portugal?", "choices": ["Lisbon", "Porto"], "answer": 0},
    {"question": "Which city is the capital of Italy?", "choices": ["Milan", "Rome"], "answer": 1},
    {"question": "Which city is the capital of Japan?", "choices": ["Tokyo", "Osaka"], "answer": 0},
    {"question": "Which city is the capital of Egypt?", "choices": ["Luxor", "Cairo"], "answer": 1},
]


def test_the_numbers_of_the_harness_keep_its_standard_errors():
    assert ability.measures(RESULTS) == {
        "capitals acc": Measure(0.5, 0.1, True),
        "capitals perplexity": Measure(3.0, None, False),
        "capitals exact_match strict": Measure(0.25, 0.2, True),
    }


@pytest.mark.parametrize("content", [[], {}, {"results": 3}])
def test_a_file_that_is_no_result_is_refused(content):
    with pytest.raises(BadRecord, match="have no `results`"):
        ability.measures(content)


def test_a_table_shows_each_model_and_the_difference_from_the_first():
    after = {"capitals acc": Measure(0.3, 0.1, True), "capitals perplexity": Measure(4.0, None, False)}
    lines = ability.table({"base_model": ability.measures(RESULTS), "sft": after}).splitlines()
    assert lines[0] == r"|  | base_model | sft | sft - base_model |"
    assert lines[2] == r"| capitals acc | 0.5000 ± 0.1000 | 0.3000 ± 0.1000 | -0.2000 ± 0.1414 |"
    assert lines[3] == r"| capitals perplexity (lower is better) | 3.0000 | 4.0000 | +1.0000 |"
    assert lines[4] == r"| capitals exact_match strict | 0.2500 ± 0.2000 | - | - |"


@pytest.fixture
def harness(tmp_path, monkeypatch, mlflow_tables):
    """A program in the place of the harness's Python: writes RESULTS where it is told, or fails for `broken`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(mlflow_tables, tmp_path)}")
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        "if any('broken' in word for word in sys.argv): sys.exit(3)\n"
        "folder = pathlib.Path(sys.argv[sys.argv.index('--output_path') + 1], 'model')\n"
        "folder.mkdir(parents=True)\n"
        f"(folder / 'results_2026.json').write_text({json.dumps(RESULTS)!r})\n"
        "(folder / 'called.json').write_text(json.dumps([sys.argv[1:], os.environ.get('OPENAI_API_KEY')]))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_every_model_is_measured_and_logged_to_mlflow(harness, tmp_path):
    models = {name: tmp_path / name for name in ("base_model", "sft")}
    results = ability.evaluate(models, ["capitals"], tmp_path / "out", python=harness)
    assert list(results) == ["base_model", "sft"]
    client, experiment = connection.client()
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert set(runs) == {"ability@base_model", "ability@sft"}
    assert runs["ability@sft"].data.metrics == {
        "capitals/acc": 0.5, "capitals/acc_stderr": 0.1, "capitals/perplexity": 3.0,
        "capitals/exact_match/strict": 0.25, "capitals/exact_match/strict_stderr": 0.2,
    }  # fmt: skip
    assert runs["ability@sft"].info.status == "FINISHED"


def test_a_model_of_an_endpoint_is_asked_by_chat_requests_and_its_key_is_in_no_argument(harness, tmp_path):
    remote = ability.Remote("qwen3", "http://127.0.0.1:8000/v1/", "sk-7Jq2")
    ability.evaluate(
        {"qwen3": remote}, ["ifeval"], tmp_path / "out", python=harness, options=["--limit", "2"]
    )
    words, key = json.loads((tmp_path / "out/qwen3/model/called.json").read_text())
    assert (words, key) == (
        ["-m", "lm_eval", "run", "--model", "local-chat-completions", "--model_args",
         "model=qwen3,base_url=http://127.0.0.1:8000/v1/chat/completions", "--apply_chat_template",
         "--tasks", "ifeval", "--output_path", str(tmp_path / "out/qwen3"), "--limit", "2"],
        "sk-7Jq2",
    )  # fmt: skip
    with pytest.raises(UserError, match="cannot read a name or URL with a comma"):
        ability.evaluate({"q": remote._replace(model="a,b")}, ["ifeval"], tmp_path / "out", python=harness)


def test_a_harness_that_fails_or_is_missing_is_named(harness, tmp_path):
    with pytest.raises(UserError, match="ended with 3 for broken"):
        ability.evaluate({"broken": tmp_path / "broken"}, ["x"], tmp_path / "out", python=harness)
    with pytest.raises(UserError, match="cannot read a path with a comma"):
        ability.evaluate({"x": tmp_path / "a,b"}, ["x"], tmp_path / "out", python=harness)
    if importlib.util.find_spec("lm_eval") is None:
        with pytest.raises(UserError, match=r"pip install -e '\.\[lm-eval\]'"):
            ability.evaluate({"x": tmp_path}, ["x"], tmp_path / "out")


@pytest.mark.services
def test_the_harness_runs_a_task_of_local_files_on_a_tiny_model(tiny_model, tmp_path, monkeypatch):
    python = os.environ.get("LM_EVAL_PYTHON", sys.executable)
    if python == sys.executable and importlib.util.find_spec("lm_eval") is None:
        pytest.skip("needs lm-eval: pip install -e '.[lm-eval]', or LM_EVAL_PYTHON = a Python that has it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "capitals.yaml").write_text(TASK.format(rows=rows))
    results = ability.evaluate(
        {"base": tiny_model, "sft": tiny_model}, ["capitals"], tmp_path / "out",
        python=python, task_folder=tmp_path / "tasks", options=["--device", "cpu"],
    )  # fmt: skip
    [(name, measure)] = results["base"].items()
    assert name == "capitals acc"
    assert measure.value in (0.0, 0.25, 0.5, 0.75, 1.0)
    assert measure.stderr is not None
    assert results["sft"]["capitals acc"].minus(measure).value == 0.0
