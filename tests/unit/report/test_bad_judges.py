"""A drill: judges that say nothing about texts are tested by the stage fitness, and the report begins with the result."""

import pytest

from tests.unit.comparison.test_comparison import GOOD, judged, score
from tests.unit.fitness.test_fitness import fitness_of
from tests.unit.report.test_markdown import written

ROWS = [score(k, quality=judged(100.0)) for k in range(6)]


def warnings(fitness, rows):
    """Return the warnings above the first table of a report."""
    top = written(rows, rows, rows, fitness=fitness).partition("\n|")[0]
    return [line for line in top.splitlines() if "WARNING" in line]


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        ("always_five", "that it ranks below their originals is 0%, 80% are needed"),
        ("gullible", "the upper bound of the gain by an attack in a text is 25.0 points, 5 are allowed"),
    ],
)
def test_a_judge_that_failed_its_test_is_named_above_the_first_table(judge, reason, tmp_path, monkeypatch):
    _, fitness = fitness_of(tmp_path, monkeypatch, judge)
    [warning] = warnings(fitness, ROWS)
    assert warning.startswith("> **WARNING: what the judge says is no evidence**: ")
    assert reason in warning


def test_a_good_judge_or_none_is_no_reason_for_a_warning(tmp_path, monkeypatch):
    assert warnings(GOOD, ROWS) == []
    assert warnings(GOOD.model_copy(update={"is_evidence": False}), [score(k) for k in range(6)]) == []
