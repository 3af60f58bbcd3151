import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.bench import hostile_texts
from longwriter.talk import poison, refusals, task_talk
from longwriter.talk.pattern_set import PatternSet

PATTERNS = [
    re.compile(r"\bi (?:can't|won't) (?!believe)(?:write|help)\b"),
    re.compile(r"我(?:不能|无法)[^。]{0,8}(?:写|帮)(?=信|$)"),
    re.compile(r"(?<!the )(?<=a )draft\b.*\bwords\Z"),
    re.compile(r"[\(\[](?:continued|续)\)?"),
]
SET = PatternSet(PATTERNS)


def matching(patterns, text):
    return [position for position, pattern in enumerate(patterns) if pattern.search(text)]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("sorry, i won't help", 0),
        ("对不起，我无法替您写", 1),
        ("a draft of 300 words", 2),
        ("[continued", 3),
        ("(续", 3),
    ],
)
def test_a_pattern_that_matches_is_a_candidate(text, position):
    assert matching(PATTERNS, text) == [position]
    assert position in SET.candidates(text)
    assert SET.matches(text)


def test_a_pattern_whose_words_a_text_does_not_hold_is_no_candidate():
    assert SET.candidates("The old bridge over the river was new once.") == []
    assert SET.candidates("") == []


def test_a_candidate_need_not_match():
    assert SET.candidates("the draft has few words") == [2]
    assert not SET.matches("the draft has few words")


def test_a_lone_surrogate_hides_nothing():
    assert SET.matches("\ud800 sorry, i won't help")


def test_case_is_ignored_where_the_pattern_says_so():
    errors = PatternSet([re.compile(r"^error code: \d", re.IGNORECASE | re.MULTILINE), re.compile("Error")])
    assert errors.candidates("ok\nERROR Code: 5") == [0, 1]
    assert errors.matches("ok\nERROR Code: 5")
    assert not errors.matches("an error")


def test_a_pattern_with_flags_that_change_its_words_is_refused():
    with pytest.raises(ValueError, match="has flags"):
        PatternSet([re.compile("a draft", re.VERBOSE)])


@given(
    st.lists(
        st.sampled_from(
            [
                "i ",
                "can't",
                "won't",
                " write",
                " help",
                "我无法",
                "写",
                "信",
                "a draft",
                " words",
                "[续",
                "。",
            ]
        )
    ).map("".join)
)
def test_every_pattern_that_matches_is_a_candidate(text):
    assert set(matching(PATTERNS, text)) <= set(SET.candidates(text))


@pytest.mark.parametrize(
    ("patterns", "pattern_set"),
    [
        (refusals._DECLINING, refusals._DECLINING_SET),
        ((*refusals._ASKS, *refusals._HAN_ASKS), refusals._ASKING_SET),
        (refusals._SELF, refusals._SELF_SET),
        (poison._ERRORS, poison._ERROR_SET),
        ([pattern for _, pattern in task_talk._ALL], task_talk._SET),
    ],
)
def test_every_rule_that_matches_a_text_made_for_it_is_a_candidate(patterns, pattern_set):
    texts = {text for pattern in patterns for text in hostile_texts.near_misses(pattern, count=8)}
    missing = {
        text for text in texts if not set(matching(patterns, text)) <= set(pattern_set.candidates(text))
    }
    assert missing == set()
    assert sum(bool(matching(patterns, text)) for text in texts) > len(patterns)
