import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.text import histogram


@given(st.lists(st.integers(0, 99_999)))
def test_each_value_lies_in_one_bin(values):
    counts = histogram.histogram(values, histogram.WORD_BINS)
    assert sum(counts) == len(values)
    assert counts[0] == sum(value < 50 for value in values)
    assert counts[-1] == sum(value >= 32_000 for value in values)


def test_a_histogram_is_a_line_a_bin():
    assert (
        histogram.histogram_csv("tokens,rows\n", [0, 5, 9, 10], [0, 5, 10])
        == "tokens,rows\n0-4,1\n5-9,2\n10+,1\n"
    )


def test_a_value_below_all_bins_is_an_error():
    with pytest.raises(ValueError, match="-1 is below 0"):
        histogram.histogram([-1], histogram.WORD_BINS)
