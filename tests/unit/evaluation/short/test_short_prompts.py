"""Short prompts: the file, the answers, and the comparison of two models."""

from pathlib import Path

import pytest

from longwriter import params
from longwriter.errors import BadRecord
from longwriter.evaluation.short import checks, short_prompts
from longwriter.exclusions import benchmarks, decontamination
from longwriter.io import files
from longwriter.records import Check, ShortPrompt
from longwriter.statistics.short_prompts import numbers, shared

PARAMS = params.load()
SOURCE = Path("src/longwriter/seeds/short_prompts/short.jsonl")
ROWS = files.read_jsonl(SOURCE, ShortPrompt)
YES = ShortPrompt(prompt="Say yes.", type="one_word", check=Check(one_of=["yes"]))


def answer(row, text, **sampling):
    settings = PARAMS.short_prompts.sampling.model_copy(update=sampling)
    return short_prompts.answer_of(row, text, settings, finish_reason="stop", call_ids=["c"])


def test_the_prompts_that_ship_are_fit_and_a_limit_takes_every_type():
    assert len(short_prompts.checked(ROWS, str(SOURCE), 1000)) == len(ROWS) == 50
    kinds = {row.type for row in ROWS}
    few = short_prompts.checked(ROWS, str(SOURCE), PARAMS.short_prompts.limit)
    assert {row.type for row in few} == kinds
    assert {answer(row, "").language for row in few} == {"en", "zh"}
    assert not [row.prompt for row in ROWS if checks.is_right(row.check, "")], "an empty answer is right"


def test_no_training_row_that_ships_repeats_a_short_prompt_and_none_may():
    prompts = benchmarks.all_prompts(PARAMS)
    assert {row.prompt for row in ROWS} <= set(prompts)
    shipped = [
        text
        for kind in ("general", "instructions")
        for text in benchmarks.prompts(f"src/longwriter/seeds/{kind}")
    ]
    assert decontamination.matches(prompts, shipped) == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "has no prompt"),
        ([YES, YES], "row 2 repeats a prompt"),
        (
            [YES, YES.model_copy(update={"prompt": "x", "check": Check(regex="[")})],
            r"row 2, check: regex '\['",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_row(rows, reason):
    with pytest.raises(BadRecord, match=reason):
        short_prompts.checked(rows, "mine.jsonl", 10)


def test_two_models_are_compared_on_the_tasks_that_both_have():
    no = YES.model_copy(update={"prompt": "Say no.", "check": Check(one_of=["no"])})
    before = [answer(YES, "yes"), answer(no, "yes")]
    after = [answer(no, "no"), answer(YES, "yes", max_tokens=7)]
    assert shared(before, after) == ([[0.0]], [[1.0]])


def test_another_check_is_another_task():
    stricter = YES.model_copy(update={"check": Check(exact="yes")})
    assert shared([answer(YES, "yes")], [answer(stricter, "yes")]) == ([], [])


def test_the_numbers_have_the_share_with_its_interval_and_the_shares_by_type():
    other = YES.model_copy(update={"prompt": "2 + 2", "type": "arithmetic", "check": Check(one_of=["4"])})
    found = numbers([answer(YES, "yes"), answer(other, "5")], 0.95)
    assert found["n"] == 2
    assert found["right_share"] == 0.5
    assert 0 < found["right_low"] < 0.5 < found["right_high"] < 1
    assert (found["right_share_one_word"], found["right_share_arithmetic"]) == (1.0, 0.0)
