"""One recipe trained several times."""

import numpy as np
import pytest

from longwriter.comparison.repeats import repeat
from tests.unit.comparison.test_comparison import score


def rows(points):
    """Return one row for each number; `points` holds a list for each prompt."""
    return [
        score(prompt, length_score=value, generation_id=f"{prompt}-{draw}")
        for prompt, values in enumerate(points)
        for draw, value in enumerate(values)
    ]


def test_the_spread_of_trainings_stands_beside_that_of_decodings():
    found = repeat(["a", "b"], {"a": rows([[50, 54], [60, 64]]), "b": rows([[70, 74], [80, 84]])})
    assert found.means == [57.0, 77.0]
    assert found.n == 2
    assert found.between == pytest.approx(14.1421, abs=1e-4)  # 20 / sqrt(2)
    assert found.decoding == pytest.approx(1.4142, abs=1e-4)  # sqrt(8) / sqrt(2 prompts x 2 answers)


def test_prompts_count_that_all_trainings_answered_and_one_answer_says_nothing_of_decoding():
    found = repeat(["a", "b"], {"a": rows([[50], [60], [99]]), "b": rows([[70], [80]])})
    assert (found.n, found.means, found.decoding) == (2, [55.0, 75.0], None)
    assert repeat(["a", "b"], {"a": rows([[50]]), "b": []}) is None


def test_trainings_that_differ_by_decoding_only_lie_as_far_apart_as_decodings():
    rng = np.random.default_rng(0)
    level = rng.normal(50, 5, (40, 1))
    between, decoding = [], []
    for _ in range(200):
        models = {name: rows(level + rng.normal(0, 8, (40, 2))) for name in "abc"}
        found = repeat(list("abc"), models)
        between.append(found.between**2)
        decoding.append(found.decoding**2)
    assert np.mean(between) == pytest.approx(np.mean(decoding), rel=0.15)
