import math
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.talk.classifier import runs, wording_score, wording_scores


def test_runs_are_hashes_of_up_to_three_neighbouring_words_each_once():
    words = [b"i", b"can't", b".", b"i can't", b"can't .", b"i can't ."]
    assert runs("I can’t.").tolist() == sorted(crc32(word) % 2**16 for word in words)
    assert runs("no no").tolist() == sorted(crc32(word) % 2**16 for word in [b"no", b"no no"])
    assert runs("我们").tolist() == sorted(crc32(word.encode()) % 2**16 for word in ["我", "们", "我 们"])
    assert runs(" \n").tolist() == []


@given(st.lists(st.text(alphabet="ab .’\ud800我İ\n", max_size=20), min_size=1, max_size=6))
def test_texts_that_are_scored_together_have_the_scores_that_they_have_alone(texts):
    assert wording_scores("talk.safetensors", texts) == [
        wording_score("talk.safetensors", text) for text in texts
    ]


@pytest.mark.parametrize("texts", [[], [""], ["", " "]])
def test_a_text_without_words_has_the_lowest_score(texts):
    assert wording_scores("talk.safetensors", texts) == [-math.inf] * len(texts)
