import json

import pytest

from longwriter.edges import quality
from longwriter.errors import GateStopped
from longwriter.params import ValidateParams
from longwriter.params.training import PreferencesParams
from longwriter.records import Message, PreferencePair
from tests.unit.builders import example, prose

BOUNDS = ValidateParams(
    min_rows=8,
    min_words=100,
    max_words=400,
    max_repeated_share=0.2,
    min_distinct_share=0.5,
    max_length_error=0.1,
)


def clean():
    return [example(i, words=150) for i in range(10)]


def with_answer(row, answer, **fields):
    messages = [row.messages[0], Message(role="assistant", content=answer)]
    return row.model_copy(update={"messages": messages, **fields})


def long_enough(opening):
    return f"{opening} {prose(150 - len([w for w in opening.split() if w[0].isalpha()]), 'p')}"


DEFECTS = {
    "enough_rows": lambda rows: rows[:5],
    "unique_ids": lambda rows: [*rows[:-1], rows[-1].model_copy(update={"sample_id": rows[0].sample_id})],
    "unique_answers": lambda rows: [*rows[:-1], with_answer(rows[-1], rows[0].messages[1].content)],
    "roles_in_turn": lambda rows: [
        *rows[:-1],
        rows[-1].model_copy(update={"messages": [*rows[-1].messages[:1] * 2, rows[-1].messages[1]]}),
    ],
    "known_language": lambda rows: [*rows[:-1], rows[-1].model_copy(update={"language": "fr"})],
    "no_refusal": lambda rows: [*rows[:-1], with_answer(rows[-1], long_enough("As an AI assistant,"))],
    "length_in_bounds": lambda rows: [*rows[:-1], example(9, words=50)],
    "no_loop": lambda rows: [*rows[:-1], with_answer(rows[-1], "the cat sat on the mat " * 25)],
    "no_identifier": lambda rows: [*rows[:-1], with_answer(rows[-1], long_enough("Paragraph 2:"))],
    "asked_length_is_written": lambda rows: [*rows[:-1], rows[-1].model_copy(update={"required_words": 300})],
    "recorded_length_is_true": lambda rows: [*rows[:-1], rows[-1].model_copy(update={"words": 149})],
    "traceable": lambda rows: [*rows[:-1], rows[-1].model_copy(update={"call_ids": []})],
    "distinct_openings": lambda rows: [
        with_answer(row, f"{prose(20, 'same')} {prose(130, row.sample_id)}") for row in rows
    ],
}


def failed(rows, docs):
    return [f for f in quality.validate_examples(rows, BOUNDS, docs) if not f.passed]


def test_a_clean_set_passes_every_expectation_and_has_data_docs(tmp_path):
    findings = quality.validate_examples(clean(), BOUNDS, tmp_path / "docs")
    assert [f.name for f in findings] == list(DEFECTS)
    assert all(f.passed for f in findings)
    assert (tmp_path / "docs" / "index.html").is_file()


@pytest.mark.parametrize("name", DEFECTS)
def test_one_defect_is_stopped_by_exactly_its_expectation(name, tmp_path):
    found = failed(DEFECTS[name](clean()), tmp_path / "docs")
    assert [f.name for f in found] == [name]
    assert found[0].critical == (name != "distinct_openings")
    if name not in ("enough_rows", "distinct_openings", "unique_ids"):
        assert "s9" in found[0].rows
        assert "s9" in found[0].sentence()
    assert found[0].bound in found[0].sentence()


def test_the_same_rows_give_the_same_findings(tmp_path):
    rows = DEFECTS["no_loop"](clean())
    one, two = (quality.validate_examples(rows, BOUNDS, tmp_path / d) for d in "ab")
    assert json.dumps(one) == json.dumps(two)


def test_an_empty_set_is_stopped(tmp_path):
    assert "enough_rows" in [f.name for f in failed([], tmp_path / "docs")]


def test_a_row_with_the_id_of_another_is_named(tmp_path):
    [found] = failed(DEFECTS["unique_ids"](clean()), tmp_path / "docs")
    assert found.rows == ["s0"]


def test_general_chats_are_judged_as_chats(tmp_path):
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
    assert failed([*clean(), *chats], tmp_path / "docs") == []
    stopped = failed([*clean(), *chats, chats[0].model_copy(update={"sample_id": "twin"})], tmp_path / "docs")
    assert [(one.name, one.rows) for one in stopped] == [("unique_answers", ["sg0", "twin"])]


def test_rows_at_their_bounds_pass(tmp_path):
    bounds = BOUNDS.model_copy(
        update={"min_rows": 10, "min_words": 150, "max_words": 150, "max_length_error": 0.5}
    )
    rows = [row.model_copy(update={"required_words": 100}) for row in clean()]
    assert [f.name for f in quality.validate_examples(rows, bounds, tmp_path / "docs") if not f.passed] == []


def test_one_opening_in_ten_may_be_seen_before_where_nine_in_ten_must_be_distinct(tmp_path):
    rows = clean()
    opening = " ".join(rows[0].messages[1].content.split()[:12])
    twin = with_answer(rows[9], f"{opening} {prose(138, 'other')}")
    bounds = BOUNDS.model_copy(update={"min_distinct_share": 0.9})
    findings = quality.validate_examples([*rows[:9], twin], bounds, tmp_path / "docs")
    assert [(f.observed, f.passed) for f in findings if f.name == "distinct_openings"] == [(1, True)]


PAIR_BOUNDS = PreferencesParams(
    quality_weight=0.0, min_gap=5.0, test_share=0.25, min_pairs=6, max_words_ratio=2.0, seed=0
)


def pair(key, chosen_words=100, rejected_words=60, **fields):
    base = {
        "pair_id": f"p{key}",
        "instruction_id": f"i{key}",
        "language": "en",
        "required_words": 100,
        "prompt": [Message(role="user", content=f"Write 100 words on {key}.")],
        "chosen": [Message(role="assistant", content=prose(chosen_words, f"c{key}"))],
        "rejected": [Message(role="assistant", content=prose(rejected_words, f"r{key}"))],
        "chosen_score": 100.0,
        "rejected_score": 95.0,
        "call_ids": ["c", "r"],
    }
    return PreferencePair(**{**base, **fields})


def says(role, text):
    return [Message(role=role, content=text)]


def last(**fields):
    """Return the clean pairs, the last train pair with other fields."""
    return [pair(i) for i in range(5)] + [pair(5, **fields)], [pair(i) for i in (6, 7)]


PAIR_DEFECTS = {
    "enough_pairs": lambda: ([pair(i) for i in range(4)], [pair(6)]),
    "both_sides_have_pairs": lambda: ([pair(i) for i in range(8)], []),
    "sides_apart": lambda: last(instruction_id="i6"),
    "unique_ids": lambda: last(pair_id="p0"),
    "roles_in_turn": lambda: last(prompt=says("system", "Write.")),
    "chosen_differs": lambda: last(rejected=says("assistant", prose(100, "c5"))),
    "chosen_is_ahead": lambda: last(rejected_score=95.001),
    "no_refusal": lambda: last(chosen=says("assistant", "I'm sorry, but I cannot write this. " + prose(90))),
    "no_loop": lambda: last(chosen=says("assistant", "the cat sat on the mat " * 15)),
    "traceable": lambda: last(call_ids=[]),
    "lengths_alike": lambda: ([pair(i, 130) for i in range(6)], [pair(i, 130) for i in (6, 7)]),
}


def judged_pairs(sides, docs, bounds=PAIR_BOUNDS):
    return quality.validate_pairs(*sides, bounds, 0.2, docs)


def test_clean_pairs_pass_every_expectation_and_have_data_docs(tmp_path):
    findings = judged_pairs(last(), tmp_path / "docs")
    assert [f.name for f in findings] == list(PAIR_DEFECTS)
    assert all(f.passed for f in findings)
    assert (tmp_path / "docs" / "index.html").is_file()


@pytest.mark.parametrize("name", PAIR_DEFECTS)
def test_one_defect_of_pairs_is_stopped_by_exactly_its_expectation(name, tmp_path):
    found = [f for f in judged_pairs(PAIR_DEFECTS[name](), tmp_path / "docs") if not f.passed]
    assert [f.name for f in found] == [name]
    assert found[0].critical == (name != "lengths_alike")
    rows = {"sides_apart": ["p5", "p6"], "unique_ids": ["p0"]}
    if name not in ("enough_pairs", "both_sides_have_pairs", "lengths_alike"):
        assert found[0].rows == rows.get(name, ["p5"])


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_both_answers_are_the_assistants(side, tmp_path):
    wrong = last(**{side: says("user", prose(80))})
    assert [f.name for f in judged_pairs(wrong, tmp_path / "docs") if not f.passed] == ["roles_in_turn"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "passed"), [(120, 60, True), (121, 60, False), (60, 120, True), (59, 120, False)]
)
def test_chosen_may_be_twice_or_half_as_long_as_rejected(chosen, rejected, passed, tmp_path):
    rows = [pair(i, chosen, rejected) for i in range(8)]
    findings = judged_pairs((rows[:6], rows[6:]), tmp_path / "docs")
    assert [f.passed for f in findings if f.name == "lengths_alike"] == [passed]


def test_a_rejected_answer_may_loop_or_refuse(tmp_path):
    for text in ("the cat sat on the mat " * 10, "I'm sorry, but I cannot write this."):
        rows = last(rejected=says("assistant", text))
        assert [f.name for f in judged_pairs(rows, tmp_path / "docs") if not f.passed] == []


def test_no_pairs_at_all_are_stopped(tmp_path):
    names = [f.name for f in judged_pairs(([], []), tmp_path / "docs") if f.critical and not f.passed]
    assert names == ["enough_pairs", "both_sides_have_pairs"]


def test_the_data_docs_of_both_gates_stand_side_by_side_under_one_index(tmp_path):
    quality.validate_examples(clean(), BOUNDS, tmp_path / "validate")
    judged_pairs(last(), tmp_path / "preferences")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "preferences", "validate"]
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    for site in ("preferences", "validate"):
        assert f'href="{site}/index.html"' in index
        assert (tmp_path / site / "index.html").is_file()


def finding(name, critical=True, passed=True):
    return quality.Finding(name, critical, passed, 3, "<= 2", [] if passed else ["row1"])


def test_a_verdict_names_data_rows_and_every_finding(tmp_path):
    findings = [finding("one"), finding("two", critical=False, passed=False)]
    numbers = quality.settle("validate", findings, {"data/x.jsonl": "abc"}, 7, tmp_path / "verdict.json")
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
        quality.settle("preferences", findings, {}, 1200, tmp_path / "verdict.json")
    assert str(stop.value) == (
        "1 of 3 expectations stop the data set (1,200 rows): one: observed 3, bound <= 2; worst rows: row1. "
        "All failing rows: .lw/stopped/preferences/verdict.json; Data Docs: .lw/data_docs/preferences/index.html"
    )
    kept, docs = stop.value.artifacts
    assert json.loads(kept.read_text(encoding="utf-8"))["passed"] is False
    assert docs == quality.DOCS / "preferences"
    assert not (tmp_path / "verdict.json").exists()
