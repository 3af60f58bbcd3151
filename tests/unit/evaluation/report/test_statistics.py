import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwriter.evaluation.report import statistics
from longwriter.evaluation.report.statistics import Difference, Estimate, Method

METHOD = Method(confidence=0.95, resamples=2000, seed=0)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], None),
        ([70.0], Estimate(70.0, None, None, 1)),
        ([70.0, 70.0, 70.0], Estimate(70.0, 70.0, 70.0, 3)),
        ([0.0, 100.0], Estimate(50.0, 0.0, 100.0, 2)),
    ],
)
def test_the_mean_of_few_or_equal_values_is_clear(values, found):
    assert statistics.mean_interval(values, METHOD) == found


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ([], [], None),
        ([1.0], [3.0], Difference(2.0, None, None, 1.0, 1)),
        ([1.0, 2.0], [1.0, 2.0], Difference(0.0, 0.0, 0.0, 1.0, 2)),
        ([1.0, 2.0], [3.0, 4.0], Difference(2.0, 2.0, 2.0, 0.5, 2)),
    ],
)
def test_the_difference_of_few_or_equal_pairs_is_clear(before, after, found):
    assert statistics.paired_difference(before, after, METHOD) == found


def test_pairs_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        statistics.paired_difference([1.0, 2.0], [1.0], METHOD)


def test_a_small_difference_shows_where_pairs_differ_more_than_it():
    before = [float(i * 10) for i in range(10)]
    after = [value + 2 + i % 3 for i, value in enumerate(before)]
    found = statistics.paired_difference(before, after, METHOD)
    assert (found.value, found.p, found.n) == (
        2.9,
        0.00195,
        10,
    )  # p = 2 / 2^10: all swaps but two are nearer 0
    assert 2.0 < found.low < 2.9 < found.high < 4.0
    assert statistics.mean_interval(before, METHOD).high - statistics.mean_interval(before, METHOD).low > 30


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    found = statistics.mean_interval([float(i % 2) for i in range(400)], METHOD)
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.004)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.004)


def test_more_confidence_makes_wider_intervals():
    values = [float(i) for i in range(20)]
    half, most = (statistics.mean_interval(values, METHOD._replace(confidence=c)) for c in (0.5, 0.99))
    assert most.low < half.low < half.high < most.high


def test_the_seed_decides_the_interval_and_nothing_else_does():
    values = [float(i * i % 17) for i in range(30)]
    assert statistics.mean_interval(values, METHOD) == statistics.mean_interval(values, METHOD)
    assert statistics.mean_interval(values, METHOD) != statistics.mean_interval(
        values, METHOD._replace(seed=1)
    )


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
    found = statistics.share_interval(hits, n, 0.95)
    assert (found.low, found.high, found.n) == (low, high, n)


def test_a_share_of_nothing_is_none():
    assert statistics.share_interval(0, 0, 0.95) is None


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ((3, 4, 1, 4), 0.486),  # Fisher's tea taster, two-sided: 34/70
        ((10, 10, 10, 10), 1.0),
        ((0, 10, 10, 10), 1.08e-05),
        ((0, 0, 1, 4), None),
        ((1, 4, 0, 0), None),
    ],
)
def test_two_shares_are_compared_by_fisher(table, p):
    assert statistics.fisher_p(*table) == p


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=12))
def test_an_interval_is_finite_ordered_and_within_the_values(values):
    found = statistics.mean_interval(values, METHOD._replace(resamples=50))
    slack = 1e-4
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_what_is_no_number_is_an_error():
    with pytest.raises(ValueError, match="nan"):
        statistics.mean_interval([float("nan"), 1.0], METHOD)
