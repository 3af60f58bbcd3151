import math
import random

import pytest

from longwriter.evaluation.measures.ruler import has_levels, ruler
from tests.unit.evaluation.measures.test_lengths import answer

LEVELS = (1000, 2000, 5000, 10_000, 20_000, 30_000)


def rows(written, samples=1, prompts=8):
    """Return answers to `prompts` prompts of each level; `written(level, rng)` gives their lengths."""
    rng = random.Random(0)
    return [
        answer(f"{level}-{prompt}", written(level, rng), level, draw)
        for level in LEVELS
        for prompt in range(prompts)
        for draw in range(samples)
    ]


def noisy(limit):
    return lambda level, rng: round(min(level, limit) * math.exp(rng.gauss(0, 0.2)))


@pytest.mark.parametrize("limit", [2000, 7000, 15_000])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_maximum_output_length_is_where_the_curve_bends(limit, samples):
    curve = ruler(rows(noisy(limit), samples), 0.95, 0)
    assert curve.maximum.value == pytest.approx(limit, rel=0.15)
    assert curve.maximum.low < limit < curve.maximum.high
    assert curve.maximum.n == 48
    assert curve.is_reached


def test_a_curve_that_rises_to_the_last_level_has_no_bend():
    curve = ruler(rows(noisy(10**6)), 0.95, 0)
    assert not curve.is_reached
    assert curve.maximum.value == pytest.approx(30_000, rel=0.15)


def test_the_levels_have_their_own_means():
    curve = ruler(rows(lambda level, rng: min(level, 5000)), 0.95, 0)
    assert [(level.required, level.words.value) for level in curve.levels] == [
        (level, min(level, 5000)) for level in LEVELS
    ]
    assert (curve.maximum.value, curve.maximum.low, curve.maximum.high) == (5000, 5000, 5000)


def test_a_model_that_answers_with_nothing_has_a_maximum_of_no_words():
    curve = ruler(rows(lambda level, rng: 0), 0.95, 0)
    assert (curve.maximum.value, curve.maximum.low, curve.maximum.high) == (0, 0, 0)
    assert curve.is_reached


def test_only_a_few_lengths_with_equally_many_prompts_are_levels():
    assert has_levels(rows(noisy(2000), prompts=4))
    assert not has_levels(rows(noisy(2000), prompts=3))
    assert not has_levels(rows(noisy(2000))[1:])
    assert not has_levels([answer(key, 5, 400 + 50 * (key % 3)) for key in range(24)])
    assert not has_levels([])
    assert ruler([], 0.95, 0) is None
