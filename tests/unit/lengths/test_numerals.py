import pytest

from longwriter.lengths import numerals


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2,000", 2000),
        ("1.5k", 1500),
        ("2 thousand", 2000),
        ("two thousand five hundred and ten", 2510),
        ("fifteen hundred", 1500),
        ("a hundred", 100),
        ("twenty-five", 25),
        ("one two", None),
        ("0", None),
        ("1.5", None),
        ("两千", 2000),
        ("一万五千", 15000),
        ("一万五", 15000),
        ("八百五十", 850),
        ("一千零五十", 1050),
        ("十二", 12),
        ("七八百", 800),
        ("2万", 20000),
        ("1万5千", 15000),
        ("1.2万", 12000),
        ("千", None),
        ("三", None),
    ],
)
def test_numerals_have_the_value_that_people_mean(written, number):
    assert numerals.value(written) == number
