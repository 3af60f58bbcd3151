"""`longwriter benchmark --model …`: endpoints and files side by side, and scores again without an answer."""

import json
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter.io import files
from longwriter.tracking import logged_models, runs, versioning
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
    assert out.count("| m at 127.0.0.1:") == 2
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


def two_endpoints(first, second, other_model, key=""):
    return [
        "benchmark", "--model", "m", "--model", other_model, "--base-url", first.url, "--base-url", second.url,
        "--api-key-env", key, "--benchmark", "own.jsonl", "--max-tokens", "90", "--out", "done",
    ]  # fmt: skip


def test_a_wrong_model_name_and_a_wrong_key_are_refused_and_the_next_run_goes_on(
    own, run, tmp_path, monkeypatch
):
    with (
        chat_server_thread(tmp_path / "a.log", "--key", "right-key") as first,
        chat_server_thread(tmp_path / "b.log", "--key", "right-key", "--model", "other") as second,
    ):
        monkeypatch.setenv("OWN_KEY", "wrong-key")
        code, _, err = run(*two_endpoints(first, second, "other", "OWN_KEY"))
        assert code == 2
        assert f"{first.url} answered 401" in err
        assert "check the key" in err
        assert "wrong-key" not in err
        monkeypatch.setenv("OWN_KEY", "right-key")
        code, _, err = run(*two_endpoints(first, second, "gone", "OWN_KEY"))
        assert code == 2
        assert f"{second.url} answered 404" in err
        assert "--model" in err
        assert not Path("done/report.md").exists()
        requests = len(first.log.read_bytes().splitlines())
        code, out, err = run(*two_endpoints(first, second, "other", "OWN_KEY"))
        assert code == 0, err
        # one of its three answers was paid before, and stored
        assert len(first.log.read_bytes().splitlines()) == requests + len(ROWS) - 1
    assert [out.count(f"| {model} | 3 |") for model in ("m", "other")] == [1, 1]


def test_a_judge_that_does_not_answer_is_found_before_more_than_one_answer_is_paid(own, run, tmp_path):
    with chat_server_thread(tmp_path / "gone.log") as judge:
        with_judge(judge.url)
    with chat_server_thread(tmp_path / "a.log") as server:
        words = ["benchmark", "--model", "m", "--base-url", server.url, "--api-key-env", "",
                 "--benchmark", "own.jsonl", "--max-tokens", "90", "--out", "done"]  # fmt: skip
        code, _, err = run(*words)
        assert code != 0
        assert judge.url in err
        assert not Path("done/m/pred.jsonl").exists()
        requests = len(server.log.read_bytes().splitlines())
        set_params(PARAMS, report={"resamples": 100})
        code, _, err = run(*words)
        assert code == 0, err
        assert len(server.log.read_bytes().splitlines()) == requests + len(ROWS) - 1


def test_a_model_that_is_named_twice_at_one_endpoint_is_known_as_the_same(own, run, tmp_path):
    with chat_server_thread(tmp_path / "a.log") as server:
        code, _, err = run(*two_endpoints(server, server, "m"))
    assert code == 0, err
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert f"m at {host} and m at {host} (2) are the same model" in err


@pytest.mark.services  # two servers with weights, and a new MLflow database: a minute beside other work
def test_a_version_of_the_registry_by_number_and_by_alias_is_named_and_known_as_the_same_weights(
    own, run, tiny_model
):
    Repo.init(no_scm=True).close()
    for stage in ("base_model", "sft"):
        (files.DATA / stage).mkdir(parents=True)
        (files.DATA / stage / "weights").symlink_to(tiny_model)
    digest = versioning.digest(files.DATA / "sft" / "weights")
    number = logged_models.register("longwriter", runs.start_run("register", {}), {"dvc.md5": digest})
    logged_models.give_alias("longwriter", "sft", number)  # the name of a model of the pipeline too
    code, out, err = run(
        "benchmark", "--model", f"models:/longwriter/{number}", "--model", "models:/longwriter@sft",
        "--benchmark", "own.jsonl", "--max-tokens", "9", "--out", "done",
    )  # fmt: skip
    assert code == 0, err
    labels = [f"longwriter version {number}", f"longwriter version {number} (sft)"]
    assert [
        line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| longwriter")
    ] == labels
    assert f"{labels[0]} and {labels[1]} are the same model" in err
    page = Path("done/report.html").read_text(encoding="utf-8")
    assert f"longwriter, version {number}: weights with DVC md5 {digest}" in page


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
    assert "| glm | 3 |" in out
    assert "glm: its file does not say how answers ended, so no answer counts as ended" in err
    report = Path("done/report.md").read_text(encoding="utf-8")
    assert "100.0" in report.partition("## Quality")[2].partition("\n## ")[0]


def with_judge(url):
    """Set a scripted judge in params.yaml."""
    judge = PARAMS["llm"] | {"engine": "external", "model": "scripted", "base_url": url, "api_key_env": ""}
    judge |= {"context_tokens": 4096, "max_retries": 0}
    set_params(PARAMS, report={"resamples": 100}, score={"judges": [judge]})


def write_answers(**words):
    """Write pred.jsonl of models whose answers have that share of the words asked for."""
    for model, share in words.items():
        rows = [row | {"response": " ".join(["word"] * int(row["length"] * share))} for row in ROWS]
        Path(model).mkdir()
        Path(model, "pred.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [word for model in words for word in ("--pred", f"{model}/pred.jsonl")]


def pairwise_part(folder):
    report = Path(folder, "report.md").read_text(encoding="utf-8")
    return report.partition("## Answers compared two by two")[2].partition("\n## ")[0]


def test_a_judge_compares_all_pairs_of_models_in_both_orders(own, run, tmp_path):
    preds = write_answers(right=1.0, short=0.5, shorter=0.3)
    words = ["benchmark", *preds, "--benchmark", "own.jsonl", "--pairwise", "all", "--out", "done"]
    with chat_server_thread(tmp_path / "requests.log", "--judge", "good") as server:
        with_judge(server.url)
        code, _, err = run(*words)
    assert code == 0, err
    text = pairwise_part("done")
    assert "each in both orders: 9 pairs of answers of 3 models to 3 prompts; " in text
    assert "Position consistency (the same answer in both orders): 100%" in text
    assert "**Not evidence: the judge was not tested" in text
    assert "| right | 1000 by definition | 3 |" in text
    assert "3 won, 0 tied, 0 lost" in text
    rows = lines("done/pairwise.jsonl")
    assert {(row["first"], row["second"], row["verdict"]["winner"]) for row in rows} == {
        ("right", "short", "first"), ("right", "shorter", "first"), ("short", "shorter", "first"),
    }  # fmt: skip


def test_prompts_without_a_length_are_answered_and_compared_but_have_no_length_score(own, run, tmp_path):
    free = [
        {"prompt": f"Write about {topic} as 10 people would.", "type": "Essay"} for topic in ("tea", "rain")
    ]
    Path("free.jsonl").write_text("".join(json.dumps(row) + "\n" for row in free))
    with chat_server_thread(tmp_path / "a.log", "--judge", "good") as server:
        with_judge(server.url)
        code, out, err = run(
            "benchmark", "--model", "a", "--model", "b", "--base-url", server.url, "--api-key-env", "",
            "--benchmark", "free.jsonl", "--pairwise", "reference", "--max-tokens", "90", "--out", "done",
        )  # fmt: skip
    assert code == 0, err
    assert "| a | 2 | - |" in out
    assert "b and a cannot be compared: they have 0 prompts in common with such a score" in out
    assert "each in both orders: 2 pairs of answers of 2 models to 2 prompts; " in pairwise_part("done")
    assert [row["length"] for row in lines("done/a/pred.jsonl")] == [None, None]


def test_without_a_judge_nothing_can_be_compared(own, run):
    code, _, err = run("benchmark", *write_answers(a=1.0, b=0.5), "--pairwise", "all")
    assert code == 2
    assert "--pairwise needs a judge: name one in score.judges" in err


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
    assert "`longwriter benchmark`: leave out --judged" in err


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
        (["--model", "models:/other@champion"], "models:/other: this checkout registers longwriter"),
        (["--model", "models:/longwriter@gone"], "@gone: the versions of longwriter in MLflow are "),
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
