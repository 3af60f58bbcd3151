import pytest

from longwriter.evaluation.measures import lengths
from tests.unit.comparison.test_comparison import score


def answer(key, words, required=100, draw=0):
    return score(key, words=words, required=required).model_copy(
        update={"generation_id": f"{key}-{draw}", "prompt_id": f"p{key}"}
    )


def test_volatility_is_deviation_over_mean_of_the_answers_to_a_prompt():
    rows = [answer(1, 90), answer(1, 110, draw=1), answer(2, 50), answer(2, 50, draw=1)]
    assert lengths.volatility(rows) == pytest.approx((200**0.5 / 100 + 0) / 2, abs=1e-4)
    assert lengths.volatility([answer(1, 0), answer(1, 0, draw=1)]) == 0
    assert lengths.volatility([answer(1, 90), answer(2, 50)]) is None
    assert lengths.volatility([]) is None


@pytest.mark.parametrize(("words", "value"), [(100, 100), (90, 90), (150, 50), (200, 0), (900, 0), (0, 0)])
def test_accuracy_loses_what_the_length_is_off(words, value):
    assert lengths.accuracy([answer(1, words)], 0.95).value == pytest.approx(value)


def test_the_answers_to_a_prompt_count_once():
    rows = [*(answer(1, 100, draw=draw) for draw in range(9)), answer(2, 50)]
    estimate = lengths.accuracy(rows, 0.95)
    assert (estimate.value, estimate.n) == (75, 2)
    assert lengths.accuracy([], 0.95) is None
