"""The report and the numbers of one literal comparison, as they were first published."""

from pathlib import Path

from longwriter.evaluation.report import comparison
from longwriter.evaluation.report import markdown as report
from tests.unit.evaluation.report.test_comparison import compared, judged, score

REPORT = Path("tests/golden/report.md")
SHARES = [f"{kind}_share{end}" for kind in ("ended", "loop", "refusal") for end in ("", "_low", "_high")]
SCORES = [f"length_score_{end}" for end in ("mean", "low", "high")]
QUALITY = [f"quality_score_{end}" for end in ("mean", "low", "high")]
DIFFERENCE = [f"length_score{end}" for end in ("", "_low", "_high", "_p", "_p_holm")]


def required(key):
    return 100 * (1 + key % 3)


def three_models():
    """Return a comparison in which the models differ in length, ending, loops, refusals, quality and n."""
    base = [score(k, words=50, required=required(k), ended=k % 4 == 0, loop=k < 2) for k in range(12)]
    sft = [
        score(k, words=90, required=required(k), ended=k % 6 != 0, quality=judged(50.0 + k))
        for k in range(12)
    ]
    dpo = [score(k, words=110, required=required(k), refusal=k == 3) for k in range(11)]
    return compared(base, sft, dpo)


def test_the_report_of_three_models_is_the_golden_one():
    figures = ["figures/length.png", "figures/overview.png"]
    dpo = {"test_reward_accuracy": 0.625, "test_pairs": 8.0}
    text = report.markdown(three_models(), judge_is_evidence=False, dpo=dpo, figures=figures)
    assert text == REPORT.read_text(encoding="utf-8")


def test_the_numbers_of_three_models_keep_their_names_and_order():
    assert list(comparison.numbers(three_models())) == [
        "n",
        *(f"base_model_{name}" for name in [*SCORES, *SHARES, "words_mean", "quality_n"]),
        *(f"sft_{name}" for name in [*SCORES, *SHARES, "words_mean", *QUALITY, "quality_n"]),
        *(f"dpo_{name}" for name in [*SCORES, *SHARES, "words_mean", "quality_n"]),
        *(f"sft_minus_base_{name}" for name in DIFFERENCE),
        *(f"dpo_minus_sft_{name}" for name in DIFFERENCE),
        *(f"dpo_minus_base_{name}" for name in DIFFERENCE),
        "ended_p",
        "ended_p_holm",
    ]
