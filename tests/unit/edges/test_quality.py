import json

import pytest

from longwriter.edges import quality
from longwriter.params import ValidateParams
from longwriter.records import Message
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
