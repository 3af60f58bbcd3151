"""The step at which a model is weak, and the text before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.preferences import steps
from longwriter.preferences.steps import Beginning, TrainingText
from tests.unit.builders import prose
from tests.unit.preferences.test_pairs import sample

WRITTEN = TrainingText("\n\n".join(prose(25, 80 + key) for key in range(4)), ["w1", "w2"])


def parts(*words):
    return [prose(count, key) for key, count in enumerate(words)]


@pytest.mark.parametrize(
    ("paragraphs", "place"),
    [
        (parts(40, 40, 40), 2),  # 120 words: the third makes it too long
        (parts(40, 70, 40), 1),
        (parts(130, 10), 0),
        (parts(20, 20), 1),  # ended too early
        ([prose(20, 1), prose(20, 2), prose(20, 1), prose(20, 3)], 2),  # says the first again
        (["潮水来了。" * 25, "海。"], 0),
        ([prose(20, 1)], 0),
    ],
)
def test_the_weak_paragraph_repeats_or_is_too_much_or_is_the_last(paragraphs, place):
    assert steps.weak_paragraph(paragraphs, 100) == place


def test_the_beginning_is_that_of_the_answer_with_the_worst_length():
    good = sample("a", text="\n\n".join(parts(50, 50)))
    short = sample("b", text="\n \n".join(parts(20, 10, 5)))
    begun = steps.beginning([good, short], WRITTEN, "own")
    assert begun == Beginning("\n\n".join(parts(20, 10)), ["cb"])


def test_the_beginning_of_the_written_text_is_as_long_as_the_model_was_good():
    answer = sample("a", text="\n\n".join(parts(30, 25, 60)))
    begun = steps.beginning([answer], WRITTEN, "written")
    assert begun == Beginning("\n\n".join(steps.paragraphs(WRITTEN.text)[:2]), ["w1", "w2"])


def test_one_paragraph_of_the_written_text_is_given_where_the_answer_is_weak_at_once():
    begun = steps.beginning([sample("a", text=prose(300))], WRITTEN, "written")
    assert begun.text == steps.paragraphs(WRITTEN.text)[0]


@pytest.mark.parametrize(
    ("answers", "written", "source"),
    [
        ([], WRITTEN, "own"),
        ([sample("a", text=prose(300))], WRITTEN, "own"),  # weak from its first paragraph on
        ([sample("a", text="")], WRITTEN, "written"),
        (
            [sample("a", text=prose(300))],
            TrainingText(prose(50), []),
            "written",
        ),  # there is no second paragraph
        ([sample("a", text=f"The tide<|im_end|>.\n\n{prose(9)}")], WRITTEN, "own"),
        ([sample("a", text=prose(30), required=None)], WRITTEN, "written"),
    ],
)
def test_a_text_without_a_usable_beginning_is_not_continued(answers, written, source):
    assert steps.beginning(answers, written, source) is None


@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=5), min_size=1, max_size=4), st.booleans())
def test_a_beginning_is_some_first_paragraphs_of_its_text_and_never_all(texts, is_own):
    answers = [sample(key, text="\n\n".join(parts(*words))) for key, words in enumerate(texts)]
    begun = steps.beginning(answers, WRITTEN, "own" if is_own else "written")
    sources = {answer.text for answer in answers} if is_own else {WRITTEN.text}
    if begun is None:
        assert is_own
        assert all(not steps.weak_paragraph(steps.paragraphs(answer.text), 100) for answer in answers)
        return
    assert any(text.startswith(begun.text + "\n\n") for text in sources)
