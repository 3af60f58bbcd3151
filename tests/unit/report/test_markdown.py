import pytest

from longwriter.amounts import amount
from longwriter.report import markdown as report
from longwriter.statistics.intervals import Difference
from tests.unit.comparison.test_comparison import GOOD, WEAK, compared, judged, score


def difference(value, low, high, p, n):
    return Difference(value, low, high, p / 4, n, 0.0, p)


def written(base, sft, dpo, fitness=WEAK, metrics=(), figures=()):
    return report.markdown(
        compared(base, sft, dpo),
        fitness=fitness,
        max_unscored_share=0.05,
        dpo=dict(metrics),
        figures=list(figures),
    )


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            difference(6.44, 2.2, 10.94, 0.0049, 42),
            "DPO is better than SFT: difference +6.4, 95 % CI +2.2 to +10.9, p = 0.005, n = 42.",
        ),
        (
            difference(-6.44, -10.94, -2.2, 0.0004, 42),
            "DPO is worse than SFT: difference -6.4, 95 % CI -10.9 to -2.2, p < 0.001, n = 42.",
        ),
        (
            difference(1.2, -3.0, 5.0, 0.61, 42),
            "DPO is not shown to be better or worse than SFT: "
            "difference +1.2, 95 % CI -3.0 to +5.0, p = 0.610, n = 42.",
        ),
        (
            difference(41.0, 6.4, 75.9, 0.188, 6),
            "DPO is not shown to be better or worse than SFT: difference +41.0, 95 % CI +6.4 to +75.9, p = 0.188 "
            "(the interval holds for this comparison alone, p is corrected for all tests of this report), n = 6.",
        ),
        (
            difference(0.0, 0.0, 0.0, 1.0, 42),
            "DPO is not shown to be better or worse than SFT: "
            "difference +0.0, the same for every prompt, so without interval, p = 1.000, n = 42.",
        ),
        (
            difference(-30.9, -100.0, 100.0, 0.5, 3)._replace(smallest=182.0),
            "DPO is not shown to be better or worse than SFT: difference -30.9, 95 % CI -100.0 to +100.0, "
            "p = 0.500, n = 3; n is too small: this comparison misses even the largest true difference in more than one of five cases.",
        ),
        (
            difference(5.0, None, None, 1.0, 1),
            "DPO and SFT cannot be compared: they have 1 prompt in common with such a score, 2 are needed.",
        ),
        (
            None,
            "DPO and SFT cannot be compared: they have 0 prompts in common with such a score, 2 are needed.",
        ),
    ],
)
def test_a_difference_is_a_plain_sentence(difference, said):
    assert report.sentence("DPO", "SFT", difference, 0.95) == said


def test_a_report_has_each_model_each_difference_and_each_bucket():
    base = [score(k, words=50, ended=False, loop=True) for k in range(8)]
    sft, dpo = [score(k) for k in range(8)], [score(k, words=80, refusal=k < 2) for k in range(8)]
    text = written(base, sft, dpo, figures=["figures/length.png"])
    assert text.startswith(
        "# Benchmark `small`\n\n- In length score: SFT is better than the base model: difference +50.0, the same for every prompt, so without interval, p = 0.031"
    )
    assert "Prompts: base model 8, SFT 8, DPO 8. In brackets: 95 % " in text
    lines = text.splitlines()
    for line in (
        "| Base model | 8 | 50.0 (all equal) | 0% [0%, 32%] | 100% [68%, 100%] | 0% [0%, 32%] | 50 |",
        "| DPO | 8 | 87.5 (all equal) | 100% [68%, 100%] | 0% [0%, 32%] | 25% [7%, 59%] | 80 |",
        "- In length score: SFT is better than the base model: difference +50.0, the same for every prompt, so without interval, p = 0.031, n = 8.",
        "- In length score: DPO is worse than SFT: difference -12.5, the same for every prompt, so without interval, p = 0.031, n = 8.",
        "- In length score: DPO is better than the base model: difference +37.5, the same for every prompt, so without interval, p = 0.031, n = 8.",
        "- SFT ends by itself more often than the base model: 100% against 0% of the answers, p = 0.031.",
        "| words asked for | Base model S_l | SFT S_l | DPO S_l |",
        "| below 200 | 50.0 (all equal), n = 8 | 100.0 (all equal), n = 8 | 87.5 (all equal), n = 8 |",
        "![figures/length.png](figures/length.png)",
    ):
        assert line in lines
    assert "500 permutations, seed 0" in text
    assert "## DPO" not in text
    assert "Not evidence" not in text


@pytest.mark.parametrize(
    ("base", "sft", "said"),
    [
        (
            5,
            5,
            "Base model and SFT are not shown to differ in how often they end by themselves: 62% against 62% of the",
        ),
        (
            8,
            0,
            "SFT ends by itself less often than the base model: 0% against 100% of the answers, p = 0.031.",
        ),
    ],
)
def test_how_often_models_end_is_a_plain_sentence(base, sft, said):
    rows = [[score(k, ended=k < hits) for k in range(8)] for hits in (base, sft)]
    assert said in written(rows[0], rows[1], rows[1])


@pytest.mark.parametrize(
    ("fitness", "head"),
    [
        (WEAK, "**Not evidence: repeats agree by 0.10.**"),
        (GOOD, "**The judge was tested and what it says here is evidence.**"),
    ],
)
def test_the_fitness_of_the_judge_is_shown_before_its_scores(fitness, head):
    rows = [score(k, quality=judged(50.0)) for k in range(3)] + [score(3)]
    text = written(rows, rows, rows, fitness=fitness)
    assert "| SFT | 1 of 4 (25%): no_judge 1 | 50.0 (all equal) |" in text
    assert (
        text.index("## Quality") < text.index(head) < text.index("Tested on 4 texts.") < text.index("S_q is")
    )


def test_the_accuracy_on_held_out_pairs_is_shown_with_its_interval():
    rows = [score(k) for k in range(2)]
    text = written(rows, rows, rows, metrics={"test_reward_accuracy": 0.625, "test_pairs": 8.0})
    assert "in 5 of 8 held-out pairs: 62% [31%, 86%]; 50% would be chance, so this does not show that" in text
    text = written(rows, rows, rows, metrics={"test_reward_accuracy": 1.0, "test_pairs": 8.0})
    assert "in 8 of 8 held-out pairs: 100% [68%, 100%]; 50% would be chance." in text
    few = {"test_reward_accuracy": 1.0, "test_pairs": 5.0, "train_pairs": 9}
    text = written(rows, rows, rows, metrics=few)
    assert "DPO was trained on 9 pairs and measured on 5: too few to say whether it learned anything." in text
    assert "100%" not in text.partition("## DPO")[2].partition("##")[0]
    assert "## DPO" not in written(rows, rows, rows, metrics={"train_pairs": 9.0})


@pytest.mark.parametrize("n", [0, 1])
def test_a_report_of_hardly_any_answers_says_so(n):
    rows = [score(k) for k in range(n)]
    text = written(rows, rows, rows)
    assert f"SFT and the base model cannot be compared: they have {amount(n, 'prompt')} in common" in text
    assert "nan" not in text.lower()
    assert ("they have no prompt in common" in text) == (n == 0)


def test_a_report_says_which_difference_its_n_can_show():
    base = [score(k, words=60 + k) for k in range(8)]
    sft = [score(k, words=100 - 3 * k) for k in range(8)]
    text = written(base, sft, sft)
    assert "; this comparison alone finds a true difference of " in text


def test_a_report_of_several_answers_a_prompt_says_how_far_the_same_weights_repeat_themselves():
    rows = [score(k, words=80 + 20 * draw, generation_id=f"{k}-{draw}") for k in range(6) for draw in (0, 1)]
    text = written([score(k) for k in range(6)], rows, rows)
    assert "Prompts: base model 6, SFT 6 (12 answers), DPO 6 (12 answers)." in text
    assert (
        "- SFT: S_l of answers to the same prompt differs by 8.8 (standard deviation); mean S_l of the first "
        "answers, of the second, and so on: 87.5, 100.0." in text
    )
    assert "- Base model: S_l of answers" not in text


def test_a_label_is_only_a_label():
    given = compared([score("a", 80)], [score("a", 90)], [score("a", 95)])
    given = given._replace(labels=given.labels | {"sft": "[SFT](https://shop.example) | <b>"})
    text = report.markdown(given, fitness=WEAK, max_unscored_share=0.05, dpo={}, figures=[])
    assert "`[SFT](https://shop.example) ¦ <b>`" in text
    assert text.count("shop.example") == text.count("`[SFT](https://shop.example) ¦ <b>`")
