"""The fitness stage: without a judge, and with a scripted one over a real socket."""

from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.io import files
from longwriter.records import Message
from longwriter.stages import fitness
from longwriter.tracking.runs import StageRun
from tests.chat_server.server import chat_server_thread
from tests.unit.builders import example

CHECKOUT = Path.cwd()
STEPS = "\n\n".join(f"Step {step}: it changes once more." for step in range(1, 7))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a data set of 20 texts, a vote, and the prompt of the judge."""
    monkeypatch.chdir(tmp_path)
    (files.DATA / "dataset").mkdir(parents=True)
    answer = Message(role="assistant", content=STEPS)
    rows = [
        example(key, messages=[Message(role="user", content=f"Explain engine {key} in 6 steps."), answer])
        for key in range(20)
    ]
    files.write_jsonl(files.DATA / "dataset/train.jsonl", rows[:15])
    files.write_jsonl(files.DATA / "dataset/test.jsonl", rows[15:])
    for name in ("votes", "out", ".lw"):
        Path(name).mkdir()
    vote = '{"prompt": "Go in 6 steps.", "first": "Step 1: stop.", "second": "%s", "vote": "second", "rater": "a"}\n'
    Path("votes/mine.jsonl").write_text(vote % STEPS.replace("\n", "\\n"), encoding="utf-8")
    return tmp_path


def section(url=None, pairs="none"):
    """Return the committed parameters with these files, and with a judge at `url`."""
    values = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    if url:
        judge = values["llm"] | {"engine": "external", "model": "scripted", "base_url": url}
        values["score"]["judges"] = [{**judge, "context_tokens": 9000}]
    checked = params.check(values, "test")
    score = checked.score.model_copy(update={"prompt": str(CHECKOUT / checked.score.prompt)})
    votes = checked.fitness.model_copy(update={"votes": "votes"})
    pairwise = checked.pairwise.model_copy(
        update={"pairs": pairs, "prompt": str(CHECKOUT / checked.pairwise.prompt)}
    )
    return checked.model_copy(update={"score": score, "fitness": votes, "pairwise": pairwise})


def test_without_a_judge_nothing_is_asked_and_nothing_is_evidence(folder):
    summary = fitness.work(section(), Path("out"), StageRun("run", "mark"))
    found = files.read_json(Path("out/fitness.json"))
    reasons = ["there is no judge"]
    assert found == {"judge": None, "is_evidence": False, "reasons": reasons, "lines": [], "pairs": None}
    assert summary.numbers == {"is_evidence": 0.0}


def test_a_judge_is_tested_on_the_data_set_and_against_people(folder):
    with chat_server_thread(folder / "requests.jsonl", "--judge", "good") as server:
        summary = fitness.work(section(server.url), Path("out"), StageRun("run", "mark"))
    found = files.read_json(Path("out/fitness.json"))
    assert found["is_evidence"], found["reasons"]
    assert found["pairs"] is None
    assert "Against 1 vote of people on 1 pair: accuracy 100%" in found["lines"][-1]
    assert summary.numbers["ranked_right"] == 1.0
    assert summary.numbers["votes_accuracy"] == 1.0
    assert summary.numbers["attacks_obeyed"] == 0.0


def test_a_judge_of_single_texts_may_be_evidence_and_its_comparisons_not(folder):
    with chat_server_thread(folder / "requests.jsonl", "--judge", "good_but_first") as server:
        summary = fitness.work(section(server.url, pairs="all"), Path("out"), StageRun("run", "mark"))
    found = files.read_json(Path("out/fitness.json"))
    assert found["is_evidence"], found["reasons"]
    assert not found["pairs"]["is_evidence"]
    assert found["pairs"]["judge"] != found["judge"]
    assert summary.numbers["pairs_shown_first"] == 1.0
    logged = sum(1 for _ in files.read_zstd_lines(Path("out/calls.jsonl.zst")))
    marks = 20 * (2 + 2 + 4) + 24 + 2  # originals, copies, attacks, voted texts
    assert logged == summary.execution["calls_sent"] == marks + (20 * 5 + 24) * 2
    assert [path.name for path in Path("out").glob("*.zst*")] == ["calls.jsonl.zst"]
