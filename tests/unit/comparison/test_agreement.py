import pytest

from longwriter.report import markdown as report
from longwriter.statistics.agreement import alpha
from tests.unit.comparison.test_comparison import GOOD, compared, judged, score

# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011): four observers, twelve units
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_the_published_one(level, published):
    assert alpha(list(zip(*OBSERVERS, strict=True)), level) == pytest.approx(published, abs=0.0006)


@pytest.mark.parametrize("units", [[], [[1.0, 2.0]], [[3.0, 3.0]] * 5, [[1.0, None], [2.0, None]]])
def test_alpha_of_too_little_or_always_the_same_is_not_defined(units):
    assert alpha(units) is None


def panelist(low, high):
    members = [judged(low), judged(high).model_copy(update={"judge": "k"})]
    return judged((low + high) / 2).model_copy(update={"judge": "j + k", "members": members})


@pytest.mark.parametrize("judged_pairs", [True, False])
def test_the_report_says_how_a_panel_agrees_and_whether_it_chose_the_pairs(judged_pairs):
    rows = [score(k, quality=panelist(10.0 * k, 10.0 * k)) for k in range(4)]
    text = report.markdown(
        compared(rows, rows, rows),
        fitness=GOOD, judged_pairs=judged_pairs, max_unscored_share=0.05, dpo={}, figures=[],
    )  # fmt: skip
    assert "S_q is the mean over a panel of judges, who agree by Krippendorff's alpha = 1.00" in text
    assert ("**The judge of the preference pairs is a judge of this benchmark too**" in text) == judged_pairs
