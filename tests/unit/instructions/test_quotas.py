import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.instructions.quotas import bucket, choose, quotas

ROWS = st.dictionaries(
    st.integers(0, 2**64 - 1), st.tuples(st.sampled_from("ez"), st.sampled_from("xyw")), max_size=40
)
SEEDS = st.integers(-5, 2**70)


def chosen(rows, limit, seed=0):
    """Return the ids that are chosen among {id: cell}."""
    names = sorted(set(rows.values()))
    ids = np.array(list(rows), np.uint64)
    cells = np.array([names.index(cell) for cell in rows.values()], np.int64)
    return [int(ids[at]) for at in choose(ids, cells, names, limit, seed)]


@pytest.mark.parametrize(
    ("words", "name"),
    [(None, "unstated"), (1, "0-499"), (499, "0-499"), (500, "500-1999"), (1999, "500-1999"), (2000, "2000-3999"),
     (3999, "2000-3999"), (4000, "4000+"), (32_000, "4000+")],
)  # fmt: skip
def test_lengths_fall_into_the_buckets_of_longbench_write(words, name):
    assert bucket(words) == name


@pytest.mark.parametrize(
    ("counts", "limit", "expected"),
    [
        ({("a",): 9, ("b",): 9}, 4, {("a",): 2, ("b",): 2}),
        ({("a",): 9, ("b",): 9}, 5, {("a",): 3, ("b",): 2}),
        ({("a",): 9, ("b",): 1, ("c",): 9}, 7, {("a",): 3, ("b",): 1, ("c",): 3}),
        ({("a",): 2, ("b",): 1}, 99, {("a",): 2, ("b",): 1}),
        ({("e", "x"): 9, ("e", "y"): 9, ("z", "x"): 2}, 6, {("e", "x"): 2, ("e", "y"): 2, ("z", "x"): 2}),
        ({("e", "x"): 9, ("e", "y"): 9, ("z", "x"): 9}, 6, {("e", "x"): 2, ("e", "y"): 1, ("z", "x"): 3}),
        ({(): 5}, 3, {(): 3}),
        ({}, 3, {}),
    ],
)
def test_parts_take_turns_on_each_level(counts, limit, expected):
    assert quotas(counts, limit) == expected


@given(ROWS, st.integers(1, 12), SEEDS)
def test_as_many_are_chosen_as_there_may_be_and_sorted(rows, limit, seed):
    found = chosen(rows, limit, seed)
    assert len(set(found)) == len(found) == min(limit, len(rows))
    assert found == sorted(found)


@given(ROWS, st.integers(1, 12), SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_source_does_not_matter(rows, limit, seed, shuffle):
    other = list(rows.items())
    shuffle.shuffle(other)
    assert chosen(dict(other), limit, seed) == chosen(rows, limit, seed)


@given(
    ROWS,
    st.integers(1, 12),
    SEEDS,
    st.integers(0, 2**64 - 1),
    st.tuples(st.sampled_from("ezq"), st.sampled_from("xyv")),
)
def test_one_more_row_in_the_source_changes_at_most_one_choice(rows, limit, seed, new, cell):
    rows.pop(new, None)
    before, after = set(chosen(rows, limit, seed)), set(chosen({**rows, new: cell}, limit, seed))
    assert len(after - before) <= 1
    assert len(before - after) <= 1


def test_the_seed_turns_the_ring_and_seed_0_begins_with_the_lowest_id():
    rows = {key * 2**56: ("e", "x") for key in range(256)}
    assert chosen(rows, 5) == [0, 2**56, 2 * 2**56, 3 * 2**56, 4 * 2**56]
    others = [set(chosen(rows, 20, seed)) for seed in range(4)]
    assert all(len(one & two) < 20 for one in others for two in others if one is not two)
    assert chosen(rows, 20, 3) == chosen(rows, 20, 3)
