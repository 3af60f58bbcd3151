import itertools
import json

import pandas as pd
import pytest

from longwriter import params
from longwriter.errors import GateStopped
from longwriter.gates import examples, instructions, pairs, plans
from longwriter.gates.suite import gx, verdicts
from longwriter.gates.suite.expectations import Expectation, Gate, among, between, matches, never, unique
from longwriter.records import Message
from tests.unit.builders import example, prose
from tests.unit.gates.poison import (
    BOUNDS,
    PAIR_BOUNDS,
    examples_with,
    examples_with_answer,
    good_examples,
    pair,
    pair_lists,
    turn,
    with_answer,
)


def failed(rows):
    return [f for f in gx.run(examples.gate(rows, BOUNDS, []), None) if not f.passed]


def test_the_same_rows_give_the_same_findings():
    rows = examples_with_answer("the cat sat on the mat " * 25)
    one, two = (gx.run(examples.gate(rows, BOUNDS, []), None) for _ in range(2))
    assert json.dumps(one) == json.dumps(two)


def test_an_empty_set_is_stopped():
    assert "enough_rows" in [f.name for f in failed([])]


def test_a_row_with_the_id_of_another_is_named():
    [findings_of] = failed(examples_with(sample_id="s0"))
    assert findings_of.rows == ["s0"]


def test_general_chats_are_judged_as_chats():
    chats = [
        example(
            f"g{i}", answer=f"Answer {word}.", kind="general", required_words=None, words=2, call_ids=[],
            messages=[
                Message(role="system", content="Be kind."),
                *[Message(role="user", content="q"), Message(role="assistant", content="潮")] * i,
                Message(role="user", content="q"),
                Message(role="assistant", content=f"Answer {word}."),
            ],
        )
        for i, word in enumerate(("one", "two"))
    ]  # fmt: skip
    assert failed([*good_examples(), *chats]) == []
    stopped = failed([*good_examples(), *chats, chats[0].model_copy(update={"sample_id": "twin"})])
    assert [(one.name, one.rows) for one in stopped] == [("unique_answers", ["sg0", "twin"])]


def test_rows_at_their_bounds_pass():
    bounds = BOUNDS.model_copy(
        update={"min_rows": 10, "min_words": 150, "max_words": 150, "max_length_error": 0.5}
    )
    rows = [row.model_copy(update={"required_words": 100}) for row in good_examples()]
    assert [f.name for f in gx.run(examples.gate(rows, bounds, []), None) if not f.passed] == []


def test_one_opening_in_ten_may_be_seen_before_where_nine_in_ten_must_be_distinct():
    rows = good_examples()
    opening = " ".join(rows[0].messages[1].content.split()[:12])
    twin = with_answer(rows[9], f"{opening} {prose(138, 'other')}")
    bounds = BOUNDS.model_copy(update={"min_distinct_share": 0.9})
    findings = gx.run(examples.gate([*rows[:9], twin], bounds, []), None)
    assert [(f.rows, f.passed) for f in findings if f.name == "distinct_openings"] == [(["s9"], True)]


def test_the_data_docs_name_the_failing_row_of_each_kind_of_expectation(tmp_path):
    rows = pd.DataFrame({"key": ["good-1", "bad-9"], "flag": [False, True], "word": ["a", "?"], "n": [1, 7]})
    rows["same"] = ["x", "x"]
    rows["other"] = [1, 8]
    kinds = [
        never("rows", "never", "flag", "no flag"),
        among("rows", "among", "word", ["a"]),
        matches("rows", "matches", "word", "^[a-z]$", "a letter"),
        between("rows", "between", "n", None, 5, "things"),
        unique("rows", "unique", "same", "once"),
        Expectation(
            "rows",
            "equal",
            "equal",
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "n", "column_B": "other"},
        ),
    ]
    for kind in kinds:
        [finding] = gx.run(Gate([kind], {"rows": rows}, "key", []), tmp_path / kind.name)
        assert "bad-9" in finding.rows
        [page] = (tmp_path / kind.name).rglob("validations/**/*.html")
        assert "bad-9" in page.read_text(encoding="utf-8"), kind.name


def judged_pairs(sides, docs=None):
    return gx.run(pairs.gate(*sides, PAIR_BOUNDS, 0.2), docs)


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_both_answers_are_the_assistants(side):
    wrong = pair_lists(**{side: turn("user", prose(80))})
    assert [f.name for f in judged_pairs(wrong) if not f.passed] == ["roles_in_turn"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "passed"), [(120, 60, True), (121, 60, False), (60, 120, True), (59, 120, False)]
)
def test_chosen_may_be_twice_or_half_as_long_as_rejected(chosen, rejected, passed):
    rows = [pair(i, chosen, rejected) for i in range(8)]
    findings = judged_pairs((rows[:6], rows[6:]))
    assert [f.passed for f in findings if f.name == "lengths_alike"] == [passed]


def test_a_rejected_answer_may_loop_or_refuse():
    for text in ("the cat sat on the mat " * 10, "I'm sorry, but I cannot write this."):
        rows = pair_lists(rejected=turn("assistant", text))
        assert [f.name for f in judged_pairs(rows) if not f.passed] == []


def at_a_step(before, chosen):
    """Return clean pairs, the last one of train with two continuations of a text."""
    prompt = [*turn("user", "Write 100 words on 9."), *turn("assistant", before)]
    return pair_lists(prompt=prompt, chosen=turn("assistant", chosen))


@pytest.mark.parametrize(
    ("before", "chosen", "failed"),
    [
        (prose(40, "start"), prose(80, "end"), []),
        (prose(80, "start"), prose(80, "start"), ["no_loop"]),  # neither part repeats itself
        ("The tide<|im_end|> came in.", prose(80, "end"), ["no_control_tokens"]),
        (prose(40, "start"), "I'm sorry, but I cannot write this. " + prose(72, "end"), ["no_refusal"]),
    ],
)
def test_a_pair_at_a_step_is_checked_as_a_whole_text(before, chosen, failed):
    assert [f.name for f in judged_pairs(at_a_step(before, chosen)) if f.critical and not f.passed] == failed


def test_the_finding_about_an_empty_side_names_that_side():
    train, test = pair_lists()
    observed = [
        finding.observed
        for lists in ((train, test), ([*train, *test], []))
        for finding in judged_pairs(lists)
        if finding.name == "both_sides_have_pairs"
    ]
    assert observed == ["8 rows, all values occur", "8 rows, none is test"]


def test_no_pairs_at_all_are_stopped():
    names = [f.name for f in judged_pairs(([], [])) if f.critical and not f.passed]
    assert names == ["enough_pairs", "both_sides_have_pairs"]


def test_the_data_docs_of_both_gates_stand_side_by_side_under_one_index(tmp_path):
    gx.run(examples.gate(good_examples(), BOUNDS, []), tmp_path / "validate")
    judged_pairs(pair_lists(), tmp_path / "preferences")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "preferences", "validate"]
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    for site in ("preferences", "validate"):
        assert f'href="{site}/index.html"' in index
        assert (tmp_path / site / "index.html").is_file()


def finding(name, critical=True, passed=True):
    return verdicts.Finding(name, critical, passed, 3, "<= 2", [] if passed else ["row1"])


def test_texts_of_rows_are_inert_in_the_data_docs_and_whole_in_the_findings(tmp_path):
    text = "<img src=x onerror=alert(7)>"
    rows = pd.DataFrame([{"row_id": f"<b>{n}</b>", "text": text} for n in range(2)])
    gate = Gate([unique("rows", "once", "text", "once")], {"rows": rows}, "row_id", [])
    [finding] = gx.run(gate, tmp_path / "docs")
    assert finding.rows == ["<b>0</b>", "<b>1</b>"]
    pages = "".join(page.read_text(encoding="utf-8") for page in (tmp_path / "docs").rglob("*.html"))
    assert text not in pages
    assert "<b>0" not in pages
    assert "&lt;img src=x onerror=alert(7)&gt;" in pages


def test_a_verdict_names_data_rows_and_every_finding(tmp_path):
    findings = [finding("one"), finding("two", critical=False, passed=False)]
    numbers = verdicts.settle("validate", findings, {"data/x.jsonl": "abc"}, 7, tmp_path / "verdict.json")
    assert numbers == {"expectations": 2.0, "warnings": 1.0}
    assert json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8")) == {
        "passed": True,
        "data": {"data/x.jsonl": "abc"},
        "rows": 7,
        "expectations": [finding._asdict() for finding in findings],
    }


def test_a_critical_finding_stops_and_publishes_no_verdict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings = [finding("one", passed=False), finding("two", critical=False, passed=False), finding("three")]
    with pytest.raises(GateStopped) as stop:
        verdicts.settle("preferences", findings, {}, 1200, tmp_path / "verdict.json")
    assert str(stop.value) == (
        "1 of 3 expectations stop the data set (1,200 rows): one: observed 3, bound <= 2; failing rows: row1. "
        "All failing rows: .lw/stopped/preferences/verdict.json; Data Docs: .lw/data_docs/preferences/index.html. "
        "In params.yaml preferences.warn lists expectations that only warn"
    )
    kept, docs = stop.value.artifacts
    assert json.loads(kept.read_text(encoding="utf-8"))["passed"] is False
    assert docs == verdicts.DOCS / "preferences"
    assert not (tmp_path / "verdict.json").exists()


def test_a_stop_names_the_keys_of_all_bounds_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    findings = [finding(name, passed=False) for name in ("enough_rows", "unique_ids", "prompt_in_bounds")]
    with pytest.raises(GateStopped) as stop:
        verdicts.settle("instructions", findings, {}, 7, tmp_path / "verdict.json")
    assert str(stop.value).endswith(
        "In params.yaml their bounds are instructions.gate.min_rows, instructions.gate.min_prompt_words, "
        "instructions.gate.max_prompt_words; instructions.gate.warn lists expectations that only warn"
    )


PARAMS = params.load()
SUITES = {
    "instructions": instructions.suite(40, PARAMS.instructions),
    "plan": plans.suite(PARAMS.plan),
    "validate": examples.suite(40, PARAMS.validate_),
    "preferences": pairs.suite(PARAMS.preferences, 0.2),
}


@pytest.mark.parametrize("stage", SUITES)
def test_each_expectation_and_key_that_a_message_may_name_exists(stage):
    assert set(verdicts.KEYS[stage]) <= {expectation.name for expectation in SUITES[stage]}
    for key in [*itertools.chain(*verdicts.KEYS[stage].values()), f"{verdicts._GATES[stage]}.warn"]:
        value = params.read()
        for word in key.split("."):
            value = value[word]
