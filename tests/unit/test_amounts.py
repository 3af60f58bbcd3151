"""Numbers with their nouns."""

import pytest

from longwriter.amounts import amount


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_000, "12,000 rows")]
)
def test_a_noun_is_singular_after_one_and_plural_after_every_other_number(number, text):
    assert amount(number, "row") == text
