import random

from hypothesis import given
from hypothesis import strategies as st

from longwriter.core.select import select_instructions
from longwriter.records import SeedRow

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
