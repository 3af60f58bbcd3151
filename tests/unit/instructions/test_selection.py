import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.instructions.duplicates import signatures
from longwriter.instructions.selection import (
    REASON_CODE,
    REASONS,
    bucket,
    quotas,
    reject_repeats,
    select,
    select_evenly,
)
from tests.unit.builders import prose


def test_each_candidate_gets_the_first_reason():
    text = prose(50)
    prompts = [text, text, text.upper(), prose(50, 1), prose(50, 2), prose(50, 2).upper()]
    ids = np.array([9, 9, 3, 7, 8, 1], np.uint64)
    codes, nearest, similarity = reject_repeats(ids, signatures(prompts), {0: "b", 3: "b", 1: "b"}, 0.8)
    assert [REASONS[code] for code in codes] == [
        "near_duplicate", "duplicate", "", "contaminated", "near_duplicate", "",
    ]  # fmt: skip
    assert nearest.tolist() == [2, -1, -1, -1, 5, -1]
    assert similarity.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_without_candidates_nothing_is_rejected_or_selected():
    empty = np.empty(0, np.uint64)
    codes, _, _ = reject_repeats(empty, signatures([]), [], 0.8)
    assert len(codes) == 0
    assert len(select(empty, np.empty(0, np.int64), [], codes, ["language"], 5, 0)) == 0


NAMES = [("en", "x", "0-499"), ("en", "x", "4000+"), ("zh", "x", "0-499")]


def selected(balance, limit, codes=None):
    ids = np.array([1, 2, 3, 4, 5, 6], np.uint64)
    cells = np.array([0, 0, 0, 0, 1, 2], np.int64)
    codes = np.zeros(6, np.uint8) if codes is None else np.array(codes, np.uint8)
    return select(ids, cells, NAMES, codes, balance, limit, 0).tolist()


def test_what_is_named_takes_turns_and_the_rest_goes_by_id():
    assert selected([], 3) == [0, 1, 2]
    assert selected(["language"], 3) == [0, 1, 5]
    assert selected(["language", "type", "length"], 3) == [0, 4, 5]
    assert selected(["length"], 2) == [0, 4]


def test_a_rejected_candidate_is_not_selected():
    assert selected(["language"], 3, [REASON_CODE["duplicate"], 0, 0, 0, 0, REASON_CODE["not_long"]]) == [
        1,
        2,
        3,
    ]


ROWS = st.dictionaries(
    st.integers(0, 2**64 - 1), st.tuples(st.sampled_from("ez"), st.sampled_from("xyw")), max_size=40
)
SEEDS = st.integers(-5, 2**70)


def ids_selected(rows, limit, seed=0):
    """Return the ids that are selected among {id: cell}."""
    names = sorted(set(rows.values()))
    ids = np.array(list(rows), np.uint64)
    cells = np.array([names.index(cell) for cell in rows.values()], np.int64)
    return [int(ids[at]) for at in select_evenly(ids, cells, names, limit, seed)]


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
def test_as_many_are_chosen_as_the_limit_allows_and_sorted(rows, limit, seed):
    found = ids_selected(rows, limit, seed)
    assert len(set(found)) == len(found) == min(limit, len(rows))
    assert found == sorted(found)


@given(ROWS, st.integers(1, 12), SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_source_does_not_matter(rows, limit, seed, shuffle):
    other = list(rows.items())
    shuffle.shuffle(other)
    assert ids_selected(dict(other), limit, seed) == ids_selected(rows, limit, seed)


@given(
    ROWS,
    st.integers(1, 12),
    SEEDS,
    st.integers(0, 2**64 - 1),
    st.tuples(st.sampled_from("ezq"), st.sampled_from("xyv")),
)
def test_one_more_row_in_the_source_changes_at_most_one_choice(rows, limit, seed, new, cell):
    rows.pop(new, None)
    before, after = set(ids_selected(rows, limit, seed)), set(ids_selected({**rows, new: cell}, limit, seed))
    assert len(after - before) <= 1
    assert len(before - after) <= 1


def test_the_seed_turns_the_ring_and_seed_0_begins_with_the_lowest_id():
    rows = {key * 2**56: ("e", "x") for key in range(256)}
    assert ids_selected(rows, 5) == [0, 2**56, 2 * 2**56, 3 * 2**56, 4 * 2**56]
    others = [set(ids_selected(rows, 20, seed)) for seed in range(4)]
    assert all(len(one & two) < 20 for one in others for two in others if one is not two)
    assert ids_selected(rows, 20, 3) == ids_selected(rows, 20, 3)
