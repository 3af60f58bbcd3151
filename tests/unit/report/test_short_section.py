"""The part of a report about short prompts."""

from longwriter.comparison import comparison
from longwriter.records import Check, ShortPrompt
from longwriter.report import short_section
from longwriter.statistics.intervals import Method
from tests.unit.comparison.test_comparison import score
from tests.unit.evaluation.short.test_short_prompts import answer

METHOD = Method(0.95, 100, 0)
ROWS = [ShortPrompt(prompt=f"Say {k}.", type="one_word", check=Check(one_of=[f"{k}"])) for k in range(20)]


def answers(right):
    return [answer(row, str(k) if k < right else "x") for k, row in enumerate(ROWS)]


def test_the_section_has_shares_and_the_difference_from_the_first_model():
    both = {"base_model": answers(18), "sft": answers(6)}
    compared = comparison.compare(
        "small", {name: [score(0)] for name in both}, METHOD,
        labels={"base_model": "the base model", "sft": "SFT"}, pairs=[("sft", "base_model")],
    )  # fmt: skip
    text = short_section.section(compared, both)
    assert "| Base model | 20 | 90% [70%, 97%] |  | 18 of 20 |" in text
    assert "| SFT | 20 | 30% [15%, 52%] | -60 [-79, -30] | 6 of 20 |" in text
    assert short_section.section(compared, {"base_model": [], "sft": []}) == ""
    found = short_section.numbers(both, METHOD)
    assert found["sft_minus_base_short_prompts_right"] == -0.6
    assert found["sft_minus_base_short_prompts_right_p"] < 0.001
    assert found["base_model_short_prompts_right"] == 0.9
