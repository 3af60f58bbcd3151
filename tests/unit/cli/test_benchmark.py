"""`longwriter benchmark --model …`: endpoints and files side by side, and scores again without an answer."""

import json
from pathlib import Path

import pytest

from tests.chat_server.server import chat_server_thread
from tests.unit.cli.checkout import PARAMS, set_params

ROWS = [
    {"prompt": f"Write {words} words about {topic}.", "type": "Essay", "length": words}
    for words, topic in ((40, "a lantern"), (60, "a harbour"), (80, "a clock"))
]


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def own(checkout):
    """A checkout with the benchmark own.jsonl."""
    set_params(PARAMS, report={"resamples": 100})
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return checkout


def test_two_endpoints_stand_in_one_table_and_their_answers_are_scored_again_without_a_request(
    own, run, tmp_path
):
    with chat_server_thread(tmp_path / "a.log") as first, chat_server_thread(tmp_path / "b.log") as second:
        code, out, err = run(
            "benchmark", "--model", "m", "--model", "m", "--base-url", first.url, "--base-url", second.url,
            "--api-key-env", "", "--benchmark", "own.jsonl", "--samples", "2", "--max-tokens", "300", "--out", "done",
        )  # fmt: skip
        assert code == 0, err
        counts = [len(log.read_bytes().splitlines()) for log in (first.log, second.log)]
        assert min(counts) >= 6
    assert out.startswith("# Benchmark `own`")
    assert out.count("| M at 127.0.0.1:") == 2
    [one, other] = sorted(path.parent.name for path in Path("done").glob("*/pred.jsonl"))
    rows = lines(f"done/{one}/pred.jsonl")
    assert [{key: row[key] for key in ROWS[0]} for row in rows] == [row for row in ROWS for _ in range(2)]
    assert all(row["response_length"] > 0 for row in rows)
    assert not list(Path("done").glob("*/judge.jsonl"))

    code, again, err = run(
        "benchmark", "--pred", f"done/{one}/pred.jsonl", "--pred", f"done/{other}/pred.jsonl",
        "--benchmark", "own.jsonl", "--out", "again",
    )  # fmt: skip
    assert code == 0, err
    numbers = [
        [line.split("|")[2:] for line in text.splitlines() if line.startswith("| ")] for text in (out, again)
    ]
    assert numbers[0] == numbers[1]
    assert "Answers side by side" in Path("again/report.html").read_text(encoding="utf-8")


def test_the_files_of_upstream_are_read_with_its_judgements(own, run):
    dimensions = ["Relevance", "Accuracy", "Coherence", "Clarity", "Breadth and Depth", "Reading Experience"]
    for model, mark in (("glm", 5), ("llama", 3)):
        rows = [row | {"response_length": 2, "response": f"Two words {model}."} for row in ROWS]
        folder = Path("models") / model
        folder.mkdir(parents=True)
        (folder / "pred.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = [row | {"scores": {"Analysis": "A.", **dict.fromkeys(dimensions, mark)}} for row in rows]
        means = dict.fromkeys([*dimensions, "total"], 50.0)
        (folder / "judge.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*judged, means]))
    code, out, err = run(
        "benchmark", "--pred", "models/glm/pred.jsonl", "--judged", "--benchmark", "own.jsonl", "--out", "done",
    )  # fmt: skip
    assert code == 0, err
    assert "| Glm | 3 |" in out
    assert "glm: its file does not say how answers ended, so none counts as ended" in err
    report = Path("done/report.md").read_text(encoding="utf-8")
    assert "100.0" in report.partition("## Quality")[2].partition("\n## ")[0]


def test_two_judges_do_not_compare(own, run):
    for model in ("a", "b"):
        Path(model).mkdir()
        row = ROWS[0] | {"response": "Two words."}
        marks = dict.fromkeys(
            ["Relevance", "Accuracy", "Coherence", "Clarity", "Breadth and Depth", "Reading Experience"], 4
        )
        Path(model, "pred.jsonl").write_text(json.dumps(row) + "\n")
        Path(model, "judge.jsonl").write_text(json.dumps(row | {"scores": marks, "judge": model}) + "\n")
    words = ["--pred", "a/pred.jsonl", "--pred", "b/pred.jsonl", "--judged", "--benchmark", "own.jsonl"]
    code, _, err = run("benchmark", *words)
    assert code == 2
    assert "2 judges, whose scores do not compare" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name models by --model or --pred"),
        (["mine", "--model", "m"], "FOLDER and --apply change params.yaml"),
        (["--judged", "--model", "m"], "--judged reads the judge.jsonl beside a pred.jsonl"),
        (["--base-url", "http://h/v1"], "needs --model"),
        (
            ["--base-url", "http://a/v1", "--base-url", "http://b/v1", "--model", "m"],
            "2 --base-url for 1 --model",
        ),
        (["--base-url", "http://u:p@a/v1", "--model", "m"], "llm.base_url"),
        (["--pred", "gone.jsonl"], "--pred gone.jsonl: no such file"),
        (["--model", "m", "--benchmark", "gone"], "no benchmark gone; there are small, or name a *.jsonl"),
        (["--pred", "own.jsonl", "--benchmark", "own.jsonl"], "own.jsonl:1 is not a valid PredRow: response"),
    ],
)
def test_what_cannot_be_run_is_one_line(own, run, words, message):
    code, _, err = run("benchmark", *words)
    assert code == 2
    assert message in err
    assert err.splitlines()[-1].startswith(("UserError: ", "BadParams: ", "BadRecord: "))
    assert "Traceback" not in err
