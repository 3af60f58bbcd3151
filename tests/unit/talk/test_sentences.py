import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.talk.sentences import sentences

END = re.compile(r"(?<=[.!?…])[\"'”)\]*_]{0,3}\s+|(?<=[。！？；])[”』」）*_]{0,3}|\n+")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It is 3.5 km. Isn’t it? Yes!", ["it is 3.5 km.", "isn't it?", "yes!"]),
        ("He left (at last.) She stayed", ["he left (at last.", "she stayed"]),
        ("春天来了。河水涨了！“真的？”他问", ["春天来了。", "河水涨了！", "他问"]),
        ("# Title\n\n**Bold.** Plain", ["title", "bold.", "plain"]),
        ("…", ["…"]),
        ("", []),
    ],
)
def test_a_text_is_cut_at_the_ends_of_its_sentences(text, parts):
    assert sentences(text) == parts


@given(st.text("a.!…。！；\"'”』）*_ \n\t"))
def test_the_sentences_are_those_of_the_plain_regular_expression(text):
    if '"' not in text and "'" not in text:  # nothing is quoted
        parts = [part.strip(" \t　*_#>—–-\"“”'") for part in END.split(text)]
        assert sentences(text) == [part for part in parts if part]
