"""The report and the numbers of one literal comparison, as they were first published."""

from pathlib import Path

from longwriter.comparison import comparison
from longwriter.judge.judgements import DIMENSIONS, quality_score
from longwriter.records import Judgement, Unscored
from longwriter.report import markdown as report
from tests.unit.comparison.test_comparison import WEAK, compared, score

REPORT = Path("tests/golden/report.md")
SHARES = [f"{kind}_share{end}" for kind in ("ended", "loop", "refusal") for end in ("", "_low", "_high")]
SCORES = [f"length_score_{end}" for end in ("mean", "low", "high")]
QUALITY = [f"{kind}_score_{end}" for kind in ("quality", "overall") for end in ("mean", "low", "high")]
QUALITY += ["quality_n", "unscored_share"]
PAIRS = ("sft_minus_base", "dpo_minus_sft", "dpo_minus_base")
DIFFERENCES = [
    f"{pair}_{kind}_score{end}"
    for kind in ("length", "overall")
    for pair in PAIRS
    for end in ("", "_low", "_high", "_p", "_p_holm")
]


def required(key):
    return 100 * (1 + key % 3)


def marks(key):
    dimensions = dict(zip(DIMENSIONS, (1 + (key + step) // 7 for step in range(6)), strict=True))
    value = quality_score(dimensions)
    return Judgement(dimensions=dimensions, quality_score=value, analysis="", judge="j", call_ids=[])


def three_models():
    """Return a comparison in which the models differ in length, ending, loops, refusals, quality and n."""
    lost = Unscored(reason="no_json", detail="")
    base = [
        score(
            k, words=50, required=required(k), ended=k % 4 == 0, loop=k < 2, quality=marks(k) if k else lost
        )
        for k in range(12)
    ]
    sft = [
        score(k, words=90, required=required(k), ended=k % 6 != 0, quality=marks(k + 12)) for k in range(12)
    ]
    dpo = [score(k, words=110, required=required(k), refusal=k == 3, quality=marks(k + 6)) for k in range(11)]
    return compared(base, sft, dpo)


def test_the_report_of_three_models_is_the_golden_one():
    figures = ["figures/length.png", "figures/overview.png"]
    dpo = {"test_reward_accuracy": 0.625, "test_pairs": 8.0}
    text = report.markdown(three_models(), fitness=WEAK, max_unscored_share=0.05, dpo=dpo, figures=figures)
    assert text == REPORT.read_text(encoding="utf-8")


def test_the_numbers_of_three_models_keep_their_names_and_order():
    assert list(comparison.numbers(three_models())) == [
        "n",
        *(
            f"{model}_{name}"
            for model in ("base_model", "sft", "dpo")
            for name in [*SCORES, *SHARES, "words_mean", *QUALITY]
        ),
        *DIFFERENCES,
        "ended_p",
        "ended_p_holm",
    ]
