"""Which pairs a rater sees, in which order and on which sides."""

import json

from hypothesis import given
from hypothesis import strategies as st

from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.records import Vote
from longwriter.review import pairs

MODELS = {"base_model": "slow", "sft": "quick"}


def answer(key, text):
    prompt = Prompt(f"p{key}", f"Prompt {key}", "Essay", "en", 10)
    return generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[text])


def listed(count=40):
    return pairs.review_pairs(
        {model: [answer(key, f"{word} {key}") for key in range(count)] for model, word in MODELS.items()}
    )


def test_equal_and_empty_answers_are_not_shown():
    first = [answer(0, "same"), answer(1, " \n"), answer(2, "one")]
    second = [answer(0, " same"), answer(1, "text"), answer(2, "two"), answer(3, "alone")]
    [pair] = pairs.review_pairs({"a": first, "b": second})
    assert (pair.prompt, {pair.left, pair.right}) == ("Prompt 2", {"one", "two"})


@given(st.text(min_size=1, max_size=20), st.integers(0, 99))
def test_a_rater_gets_every_pair_once_and_always_in_the_same_order(rater, seed):
    own = pairs.for_rater(listed(6), rater, seed)
    assert own == pairs.for_rater(list(reversed(listed(6))), rater, seed)
    assert sorted(pair.pair_id for pair in own) == sorted(pair.pair_id for pair in listed(6))


def test_no_side_is_that_of_a_model_and_raters_differ():
    ann, ben = (pairs.for_rater(listed(200), rater, 0) for rater in ("ann", "ben"))
    left = sum(pair.left.startswith("quick") for pair in ann)
    assert 70 < left < 130
    assert [pair.pair_id for pair in ann] != [pair.pair_id for pair in ben]
    assert {pair for pair in ann} != {pair for pair in ben}


def test_no_pair_says_which_model_wrote_it():
    text = json.dumps([pair._asdict() for pair in pairs.for_rater(listed(), "ann", 0)])
    assert not any(model in text for model in MODELS)


def test_a_vote_is_on_the_pair_whose_texts_it_has_in_either_order():
    pair = listed(1)[0]
    for one, other in ((pair.left, pair.right), (pair.right, pair.left)):
        vote = Vote(prompt=pair.prompt, first=one, second=other, vote="tie", rater="ann")
        assert pairs.voted_pair_id(vote) == pair.pair_id
