"""Chapters of a text that is longer than one plan."""

import pytest

from longwriter import params
from longwriter.agentwrite import chapters, one_text
from longwriter.records import PlanStep

PLAN = params.load().plan  # at most 5 steps of 100 words


def steps(**words):
    return [PlanStep(main_point=point, word_count=count) for point, count in words.items()]


@pytest.mark.parametrize(
    ("required", "most"), [(1, 1), (500, 1), (501, 5), (2500, 6), (3000, 8), (15_000, 36)]
)
def test_a_text_has_chapters_if_one_plan_is_too_short_for_it(required, most):
    assert chapters.most_chapters(PLAN, required) == most


def test_chapters_add_up_to_the_length_that_is_asked_for_and_fit_one_plan():
    found = chapters.fitted(steps(quay=300, storm=100), 800, 500)
    assert [chapter.word_count for chapter in found] == [500, 200]


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("Tell of {a} quay.", "Plan only part 2 of 2, in about 200 words. It is about this: storm"),
        ("写一篇关于码头的文章。", "只规划第2部分(共2部分),约200字。这一部分写:storm"),
    ],
)
def test_each_chapter_is_planned_for_its_point_and_its_length(prompt, part):
    row = one_text.instruction(prompt, 800)
    first, second = chapters.instructions(row, steps(quay=500, storm=200))
    assert second.prompt == f"{row.prompt}\n\n{part}"
    assert (first.required_words, second.required_words) == (500, 200)
    assert len({row.instruction_id, first.instruction_id, second.instruction_id}) == 3


def test_a_point_that_two_chapters_have_is_written_once():
    first, second = (
        PlanStep(main_point="The ships leave.", word_count=60),
        PlanStep(main_point="A storm.", word_count=60),
    )
    assert chapters.different([first, second, first.model_copy(update={"word_count": 90})]) == [first, second]
