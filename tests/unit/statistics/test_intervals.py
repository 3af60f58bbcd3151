import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwriter.statistics import intervals
from longwriter.statistics.intervals import Difference, Estimate, Method

METHOD = Method(confidence=0.95, resamples=2000, seed=0)


def ones(values):
    """Return values as groups of one, which is one answer to each prompt."""
    return [[float(value)] for value in values]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], None),
        ([70.0], Estimate(70.0, None, None, 1)),
        ([70.0, 70.0, 70.0], Estimate(70.0, 70.0, 70.0, 3)),
        ([0.0, 100.0], Estimate(50.0, 0.0, 100.0, 2)),
        ([10.0, 20.0, 30.0], Estimate(20.0, 0.0, 44.8414, 3)),  # 20 +- 4.3027 * 10 / sqrt(3), not below 0
    ],
)
def test_the_mean_has_the_interval_of_student(values, found):
    assert intervals.mean_interval(ones(values), 0.95) == found


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ([], [], None),
        ([1.0], [3.0], Difference(2.0, None, None, 1.0, 1, None, 1.0)),
        ([1.0, 2.0], [1.0, 2.0], Difference(0.0, 0.0, 0.0, 1.0, 2, 0.0, 1.0)),
        ([1.0, 2.0], [3.0, 4.0], Difference(2.0, 2.0, 2.0, 0.5, 2, 0.0, 0.5)),
    ],
)
def test_the_difference_of_few_or_equal_pairs_is_clear(before, after, found):
    assert intervals.paired_difference(ones(before), ones(after), METHOD) == found


def test_pairs_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        intervals.paired_difference(ones([1.0, 2.0]), ones([1.0]), METHOD)


def test_a_small_difference_shows_where_pairs_differ_more_than_it():
    before = [float(i * 10) for i in range(10)]
    after = [value + 2 + i % 3 for i, value in enumerate(before)]
    found = intervals.paired_difference(ones(before), ones(after), METHOD)
    assert (found.value, found.p, found.n) == (
        2.9,
        0.00195,
        10,
    )  # p = 2 / 2^10: all swaps but two are nearer 0
    assert 2.0 < found.low < 2.9 < found.high < 4.0
    mean = intervals.mean_interval(ones(before), 0.95)
    assert mean.high - mean.low > 30


def test_four_answers_to_a_prompt_that_are_all_alike_count_as_one():
    once = [float(i * i % 37) for i in range(10)]
    again = [[value] * 4 for value in once]
    assert intervals.mean_interval(again, 0.95) == intervals.mean_interval(ones(once), 0.95)
    assert intervals.share_interval([[1.0] * 4, [0.0] * 4], 0.95) == intervals.share_interval(
        ones([1, 0]), 0.95
    )
    before, after = [[0.0] * 4 for _ in once], again
    assert intervals.paired_difference(before, after, METHOD) == intervals.paired_difference(
        ones([0] * 10), ones(once), METHOD
    )


def test_independent_answers_to_a_prompt_make_the_interval_of_a_share_narrower():
    mixed = intervals.share_interval([[1.0, 0.0, 1.0, 0.0]] * 10, 0.95)
    alike = intervals.share_interval([[1.0] * 4, [0.0] * 4] * 5, 0.95)
    assert (mixed.value, alike.value, mixed.n, alike.n) == (0.5, 0.5, 10, 10)
    assert mixed.high - mixed.low < alike.high - alike.low


def test_more_confidence_makes_wider_intervals():
    values = ones(range(20))
    half, most = (intervals.mean_interval(values, confidence) for confidence in (0.5, 0.99))
    assert most.low < half.low < half.high < most.high


def test_the_smallest_difference_is_the_one_that_the_t_test_shows_in_four_cases_of_five():
    changes = [-30.0, 30.0] * 12  # sd 30.65, n = 24: (2.0687 + 0.8569) * 30.65 / sqrt(24)
    found = intervals.paired_difference(ones([0.0] * 24), ones(changes), METHOD)
    assert found.smallest == pytest.approx(18.3, abs=0.05)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe (1998), table I, method 3
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_a_share_has_the_interval_of_wilson(hits, n, low, high):
    found = intervals.share_interval(ones([1] * hits + [0] * (n - hits)), 0.95)
    assert (found.low, found.high, found.n) == (low, high, n)


def test_a_share_of_nothing_is_none():
    assert intervals.share_interval([], 0.95) is None
    assert intervals.paired_shares([], [], METHOD) is None


@pytest.mark.parametrize(
    ("before", "after", "p"),
    [
        ([0] * 10, [1] * 10, 0.00195),  # 2 / 2^10
        ([1] * 10, [1] * 10, 1.0),
        ([1, 0] * 5, [0, 1] * 5, 1.0),
        ([0] * 5 + [1] * 15, [1] * 20, 0.0625),  # all five that changed became hits: 2 / 2^5
    ],
)
def test_paired_shares_are_compared_by_mcnemar(before, after, p):
    assert intervals.paired_shares(ones(before), ones(after), METHOD).p == p


def test_shares_of_several_answers_are_compared_by_their_means_within_prompts():
    found = intervals.paired_shares([[0.0, 0.0]] * 8, [[1.0, 0.0]] * 8, METHOD)
    assert (found.value, found.p, found.n) == (0.5, 0.00781, 8)  # 2 / 2^8


def test_prompts_without_any_change_do_not_prove_that_there_is_none():
    few, many = (intervals.share_change(ones([1] * n), ones([1] * n), 0.95) for n in (8, 120))
    assert few.value == many.value == 0.0
    assert -0.25 < few.low < -0.2
    assert -0.02 < many.low < 0


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # Holm (1979): 3 * 0.01, 2 * 0.03, then not smaller
        ([0.5, 0.9], [1.0, 1.0]),
    ],
)
def test_p_values_are_corrected_by_holm(given, corrected):
    assert intervals.holm(given) == corrected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8))
def test_a_corrected_p_value_is_never_smaller_and_keeps_the_order(given):
    corrected = intervals.holm(given)
    assert all(new >= float(f"{old:.3g}") and new <= 1 for old, new in zip(given, corrected, strict=True))
    pairs = sorted(zip(given, corrected, strict=True))
    assert [new for _, new in pairs] == sorted(corrected)


def test_the_spread_of_repeated_answers_leaves_out_differences_between_prompts():
    assert intervals.spread([[10.0, 20.0], [90.0, 100.0]]) == pytest.approx(7.0711)
    assert intervals.spread([[10.0], [90.0]]) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=12))
def test_an_interval_is_finite_ordered_and_within_the_range_of_scores(values):
    found = intervals.mean_interval(ones(values), 0.95)
    assert 0 <= found.low <= found.value + 1e-4
    assert found.value - 1e-4 <= found.high <= 100


def test_what_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="nan"):
        intervals.mean_interval(ones([float("nan"), 1.0]), 0.95)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.03, "+.1f", "-0.03"),
        (0.04, ".1f", "0.04"),
        (0.0, "+.1f", "+0.0"),
        (-0.06, "+.1f", "-0.1"),
        (-0.3, "+.0f", "-0.3"),
    ],
)
def test_a_bound_beside_zero_keeps_its_sign(value, form, text):
    assert intervals.shown(value, form) == text
