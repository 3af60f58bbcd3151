import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.core.select import instruction_of, select_instructions
from longwriter.records import Instruction, SeedRow, content_hash

ROWS = st.lists(
    st.one_of(
        st.just("malformed"),
        st.builds(
            SeedRow,
            prompt=st.sampled_from(["a", "b", "c", "d", "e"]),
            type=st.sampled_from(["x", "y"]),
            length=st.one_of(st.none(), st.integers(1, 2000)),
            language=st.sampled_from(["en", "zh"]),
        ),
    ),
    max_size=30,
)


def choose(rows, limit=5):
    numbered = [(f"f:{i}", row) for i, row in enumerate(rows)]
    return select_instructions(numbered, languages=["en"], max_required_words=1000, limit=limit)


@given(ROWS, st.integers(1, 10))
def test_every_row_is_kept_or_rejected(rows, limit):
    kept, rejected = choose(rows, limit)
    assert len(kept) + len(rejected) == len(rows)
    assert len(kept) <= limit
    assert len({row.instruction_id for row in kept}) == len(kept)


def test_each_rejection_says_why():
    row = {"type": "x", "language": "en", "length": None}
    rows = [
        SeedRow(prompt="a", **row), SeedRow(prompt=" a ", **row), SeedRow(prompt="b", **{**row, "language": "zh"}),
        SeedRow(prompt="c", **{**row, "length": 5000}), "no JSON", SeedRow(prompt="d", **row),
    ]  # fmt: skip
    kept, rejected = choose(rows, limit=1)
    assert len(kept) == 1
    assert sorted(r.reason for r in rejected) == [
        "duplicate",
        "language",
        "malformed",
        "over_limit",
        "too_long_for_writer",
    ]


def test_the_order_of_the_source_does_not_matter_and_types_take_turns():
    rows = [SeedRow(prompt=f"p{i}", type="xy"[i > 7], language="en") for i in range(10)]
    kept = choose(rows, limit=4)[0]
    assert sorted(row.type for row in kept) == ["x", "x", "y", "y"]
    shuffled = random.Random(1).sample(rows, len(rows))
    assert [row.prompt for row in choose(shuffled, limit=4)[0]] == [row.prompt for row in kept]


def seed(prompt, **fields):
    return SeedRow.model_validate({"prompt": prompt, "type": "x", "language": "en", **fields})


def test_an_instruction_is_named_by_prompt_and_language():
    row = instruction_of(seed("Tell\u200b me.\r\n", length=300), "en.jsonl:7")
    assert row == Instruction(
        instruction_id=content_hash(["en", "Tell me."])[:16],
        prompt="Tell me.", type="x", language="en", required_words=300, origin="en.jsonl:7",
    )  # fmt: skip
    assert instruction_of(seed("Tell me.", language="zh"), "a:1").instruction_id != row.instruction_id


@pytest.mark.parametrize(
    ("rows", "rejection"),
    [
        (["no JSON"], ("f:0", "malformed", "no JSON")),
        ([seed("潮", language="zh")], (content_hash(["zh", "潮"])[:16], "language", "f:0: zh")),
        (
            [seed("a", length=1001)],
            (content_hash(["en", "a"])[:16], "too_long_for_writer", "f:0: 1001 words"),
        ),
        ([seed("a"), seed("a\u200b")], (content_hash(["en", "a"])[:16], "duplicate", "f:1")),
    ],
)
def test_a_rejection_names_row_reason_and_where(rows, rejection):
    kept, rejected = choose(rows)
    assert len(kept) == len(rows) - 1
    assert [(row.row_id, row.reason, row.detail) for row in rejected] == [rejection]
    assert rejected[0].stage == "instructions"


def test_a_length_at_the_writers_limit_is_kept():
    assert len(choose([seed("a", length=1000)])[0]) == 1


def test_all_asked_languages_are_kept():
    rows = [("f:0", seed("a")), ("f:1", seed("潮", language="zh"))]
    kept, rejected = select_instructions(rows, languages=["zh", "en"], max_required_words=9, limit=9)
    assert ({row.prompt for row in kept}, rejected) == ({"a", "潮"}, [])


@pytest.mark.parametrize("prompt", ["\u200b", "\ufeff \u00ad", "…", "__"])
def test_a_prompt_of_invisible_characters_is_not_kept(prompt):
    kept, rejected = choose([seed(prompt)])
    assert (len(kept), [row.reason for row in rejected]) == (0, ["no_words"])


UNIQUE = st.dictionaries(st.sampled_from("abcdefghijkl"), st.sampled_from("xyz"), max_size=12)


@given(UNIQUE, st.integers(1, 8), st.randoms(use_true_random=False))
def test_any_order_of_the_rows_gives_the_same_choice(types, limit, shuffle):
    rows = [seed(prompt, type=kind) for prompt, kind in types.items()] * 2
    other = list(rows)
    shuffle.shuffle(other)
    (one, why), (two, why_other) = choose(rows, limit), choose(other, limit)
    assert [row.instruction_id for row in one] == [row.instruction_id for row in two]
    assert sorted((r.row_id, r.reason) for r in why) == sorted((r.row_id, r.reason) for r in why_other)
    assert one == sorted(one, key=lambda row: row.instruction_id)


@given(UNIQUE, st.integers(1, 8), st.sampled_from("wxyz"))
def test_one_more_row_in_the_source_changes_at_most_one_choice(types, limit, kind):
    rows = [seed(prompt, type=of) for prompt, of in types.items()]
    before = {row.instruction_id for row in choose(rows, limit)[0]}
    after = {row.instruction_id for row in choose([*rows, seed("new", type=kind)], limit)[0]}
    assert len(after - before) <= 1
    assert len(before - after) <= 1


@given(UNIQUE, st.integers(1, 8))
def test_no_type_gets_two_more_than_another_that_has_rows_left(types, limit):
    kept, rejected = choose([seed(prompt, type=kind) for prompt, kind in types.items()], limit)
    got, left = Counter(row.type for row in kept), Counter(types.values())
    assert len(kept) == min(limit, len(types))
    assert len(rejected) == len(types) - len(kept)
    for kind, count in left.items():
        if got[kind] < count:
            assert got[kind] >= max(got.values()) - 1
