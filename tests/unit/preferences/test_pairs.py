from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from longwriter.evaluation.scores import length_score
from longwriter.preferences import pairs as preferences
from longwriter.preferences.pairs import Candidate
from longwriter.records import Generation, Judgement, Message, PreferencePair, Rejection, Unscored
from longwriter.text.basics.counting import count_words
from tests.unit.builders import prose


def sample(key, words=100, text=None, finish="stop", required=100):
    text = prose(words, key) if text is None else text
    return Generation(
        generation_id=f"g{key}", prompt_id="i1", prompt="Write 100 words.", type="News Report", language="en",
        required_words=required, text=text, words=count_words(text), finish_reason=finish, max_tokens=300,
        call_ids=[f"c{key}"],
    )  # fmt: skip


def judgement(score):
    return Judgement(dimensions={}, quality_score=score, analysis="", judge="j", call_ids=["q"])


def candidates(*samples):
    return [preferences.candidate(one, None, 0.0, 0.2) for one in samples]


def paired(*samples, min_gap=5.0, seed=0, key="i1", max_ratio=None):
    return preferences.pair_of(key, candidates(*samples), min_gap=min_gap, seed=seed, max_ratio=max_ratio)


def pairs_of_instructions(number, *samples):
    """Return the pairs of i0, i1, … that have the same samples, which are scored once."""
    scored = candidates(*samples)
    return [preferences.pair_of(f"i{n}", scored, min_gap=5.0, seed=0) for n in range(number)]


@pytest.mark.parametrize(
    ("fields", "trouble"),
    [
        ({"text": " \n"}, "empty"),
        ({"text": "I'm sorry, but I can't write that."}, "refusal"),
        ({"text": "抱歉，我无法完成。"}, "refusal"),
        ({"text": "<think>A harbour.</think> The tide came in."}, "reasoning_text"),
        ({"text": "The tide<|im_end|> came in."}, "control_token"),
        ({"text": "The tide came in.\n\nI hope this essay helps you."}, "meta_talk"),
        (
            {
                "text": "Le vieux facteur savait qui attendait une lettre et qui avait peur d'en recevoir. Pendant quarante "
                "ans, il avait marché par tous les temps, et le jour de son dernier tour, il trouva une petite enveloppe."
            },
            "wrong_language",
        ),
        ({"text": "the cat sat on the mat " * 20}, "loop"),
        ({"finish": "length"}, "cut"),
        ({}, None),
        ({"text": "茶"}, None),
    ],
)
def test_only_a_whole_answer_has_no_trouble(fields, trouble):
    assert preferences.trouble(sample("a", **fields), 0.2) == trouble


def test_a_loop_at_its_bound_is_none():
    assert preferences.trouble(sample("a", text="x " * 8), 0.75) is None
    assert preferences.trouble(sample("a", text="x " * 8), 0.74) == "loop"


def test_without_weight_the_score_is_the_length_score_and_no_judge_is_needed():
    [one] = candidates(sample("a", words=50))
    assert (one.score, one.call_ids) == (50.0, ["ca"])


@pytest.mark.parametrize(("weight", "score"), [(0.5, 45.0), (1.0, 40.0), (0.25, 47.5)])
def test_quality_counts_by_its_weight(weight, score):
    one = preferences.candidate(sample("a", words=50), judgement(40.0), weight, 0.2)
    assert one == Candidate(sample("a", words=50), score, None, ["ca", "q"])


def test_an_unscored_sample_is_left_out_with_its_reason_and_calls():
    unscored = Unscored(reason="no_json", detail="x", call_ids=["q1", "q2"])
    one = preferences.candidate(sample("a"), unscored, 0.5, 0.2)
    assert one == Unscored(reason="no_json", detail="x", call_ids=["ca", "q1", "q2"])
    assert isinstance(preferences.candidate(sample("a"), unscored, 0.0, 0.2), Candidate)


def test_an_empty_answer_is_in_no_pair_since_a_message_needs_text():
    [one] = candidates(sample("a", text=" "))
    assert (one.reason, one.call_ids) == ("empty", ["ca"])


def test_a_weight_without_judgement_is_an_error():
    with pytest.raises(ValueError, match=r"0\.5 needs a judgement"):
        preferences.candidate(sample("a"), None, 0.5, 0.2)


def test_the_best_is_chosen_and_a_pair_is_what_trl_reads():
    best, worse = sample("a", words=100), sample("b", words=50)
    pair = paired(worse, best)
    assert pair == PreferencePair(
        pair_id=pair.pair_id, instruction_id="i1", language="en", required_words=100,
        prompt=[Message(role="user", content="Write 100 words.")],
        chosen=[Message(role="assistant", content=best.text)],
        rejected=[Message(role="assistant", content=worse.text)],
        chosen_score=100.0, rejected_score=50.0, call_ids=["ca", "cb"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "unusable",
    [
        {"finish": "length"},
        {"text": "I'm sorry, but I can't. " + prose(93)},
        {"text": "the cat sat on the mat " * 16 + "the cat sat on"},
    ],
)
def test_what_may_not_be_chosen_can_be_rejected_and_nothing_else(unusable):
    good, bad = sample("a", words=90), sample("b", **unusable)
    assert bad.words == 100
    assert paired(good, bad).reason == "no_gap"
    assert paired(bad, sample("c", words=120, finish="length")).reason == "all_unusable"
    low = sample("d", text=bad.text, finish=bad.finish_reason, required=900)
    assert paired(good, low).rejected[0].content == bad.text.strip()


@pytest.mark.parametrize(
    ("samples", "reason", "detail"),
    [
        ([], "too_few_scored", "0 of 0 samples have a score (no others)"),
        ([sample("a"), sample("b", text="")], "too_few_scored", "1 of 2 samples have a score (empty)"),
        (
            [sample("a", finish="length"), sample("b", text="As an AI assistant, no.")],
            "all_unusable",
            "none of 2 samples may be chosen (cut, refusal)",
        ),
        (
            [sample("a"), sample("b", words=98, finish="length")],
            "no_gap",
            "scores 100.0, 99.0 (cut); 5.0 points are needed",
        ),
    ],
)
def test_an_instruction_without_pair_says_why(samples, reason, detail):
    calls = sorted(call for one in samples for call in one.call_ids)
    rejection = Rejection(row_id="i1", stage="preferences", reason=reason, detail=detail, call_ids=calls)
    assert paired(*samples) == rejection


def test_a_gap_of_exactly_the_minimum_is_enough():
    assert isinstance(paired(sample("a"), sample("b", words=50), min_gap=50.0), PreferencePair)
    assert paired(sample("a"), sample("b", words=50), min_gap=50.01).reason == "no_gap"


def test_two_equal_texts_are_no_pair_even_if_no_gap_is_required():
    assert paired(sample("a", text="Tea."), sample("b", text=" Tea.\n"), min_gap=0.0).reason == "no_gap"


def test_every_other_that_is_far_enough_behind_gets_drawn_and_no_other():
    samples = [sample("a"), sample("b", words=99), *(sample(k, words=w) for k, w in (("c", 60), ("d", 50)))]
    drawn = [pair.rejected_score for pair in pairs_of_instructions(200, *samples)]
    assert {round(score, 3) for score in drawn} == {66.667, 50.0}
    assert 60 < sum(score == 50.0 for score in drawn) < 140
    assert len({paired(*samples, seed=seed).rejected_score for seed in range(20)}) == 2


lengths = st.integers(1, 500)
sampled = st.lists(
    st.tuples(lengths, st.sampled_from(["stop", "length"]), st.booleans()), min_size=0, max_size=6
)


def samples_of(drawn):
    return [
        sample(k, text="so it goes " * words if loops else prose(words, k), finish=finish)
        for k, (words, finish, loops) in enumerate(drawn)
    ]


@example([(1, "stop", True), (1, "length", True), (1, "stop", False)], 0, 0, Random(0))  # one text twice
@given(sampled, st.integers(0, 40), st.integers(0, 9), st.randoms())
def test_a_pair_keeps_its_invariants_whatever_the_samples(drawn, min_gap, seed, random):
    samples = samples_of(drawn)
    result = paired(*samples, min_gap=min_gap, seed=seed)
    shuffled = list(samples)
    random.shuffle(shuffled)
    assert paired(*shuffled, min_gap=min_gap, seed=seed) == result
    usable = [one for one in samples if preferences.trouble(one, 0.2) is None]
    if isinstance(result, Rejection):
        assert result.reason in ("too_few_scored", "all_unusable", "no_gap")
        assert sorted(result.call_ids) == sorted(call for one in samples for call in one.call_ids)
        return
    words = {one.text.strip(): one.words for one in samples}
    chosen, rejected = result.chosen[0].content, result.rejected[0].content
    assert chosen in {one.text.strip() for one in usable}
    assert chosen != rejected
    assert result.chosen_score == max(length_score(100, one.words) for one in usable)
    assert result.rejected_score == length_score(100, words[rejected])
    assert result.chosen_score - result.rejected_score >= min_gap


@given(st.lists(sampled, max_size=8))
def test_every_instruction_becomes_one_pair_or_one_rejection(groups):
    results = [paired(*samples_of(drawn), key=f"i{n}") for n, drawn in enumerate(groups)]
    found = [row.instruction_id if isinstance(row, PreferencePair) else row.row_id for row in results]
    assert found == [f"i{n}" for n in range(len(groups))]


def held_out(pairs, share):
    train, test = preferences.split(pairs, share)
    assert len(train) + len(test) == len(pairs)
    return [row.instruction_id for row in test]


def test_a_pair_keeps_its_side_and_about_the_share_is_held_out():
    pairs = pairs_of_instructions(400, sample("a"), sample("b", words=50))
    held = held_out(pairs, 0.25)
    assert 70 < len(held) < 130
    assert held_out(pairs_of_instructions(400, sample("x"), sample("y", words=30)), 0.25) == held
    assert set(held) < set(held_out(pairs, 0.3))
    assert held_out(pairs, 0.0) == []
    assert len(held_out(pairs, 1.0)) == 400
    first = held_out(pairs[:200], 0.25)
    assert first == held[: len(first)]  # new pairs do not move the others


@pytest.mark.parametrize("share", [1e-9, 0.4, 1 - 1e-9])
@pytest.mark.parametrize("pairs", [2, 3, 12])
def test_neither_side_is_empty_if_there_are_two_instructions(pairs, share):
    rows = pairs_of_instructions(pairs, sample("a"), sample("b", words=50))
    assert 0 < len(held_out(rows, share)) < pairs


def test_one_pair_or_none_is_on_the_side_that_its_hash_says():
    [row] = pairs_of_instructions(1, sample("a"), sample("b", words=50))
    assert (held_out([row], 1e-9), held_out([row], 1.0), held_out([], 0.4)) == ([], [row.instruction_id], [])


def test_the_numbers_of_pairs_are_means_over_both_sides():
    one = paired(sample("a"), sample("b", words=50))
    two = paired(sample("c", words=80), sample("d", words=40))
    assert preferences.pair_numbers([one], [two]) == {
        "pairs": 2.0, "train_pairs": 1.0, "test_pairs": 1.0, "general_pairs": 0.0,
        "chosen_score_mean": 93.75, "rejected_score_mean": 37.5,
        "chosen_words_mean": 90.0, "rejected_words_mean": 45.0, "words_ratio": 2.0,
    }  # fmt: skip
    assert preferences.pair_numbers([], [])["words_ratio"] == 0.0


def test_every_sample_is_counted_under_what_became_of_it():
    left_out = Unscored(reason="no_json", detail="")
    samples = [*candidates(sample("a"), sample("b", finish="length"), sample("c", text="")), left_out]
    assert preferences.sample_numbers(samples) == {
        "samples": 4.0, "samples_whole": 1.0, "samples_cut": 1.0, "samples_unscored_empty": 1.0,
        "samples_unscored_no_json": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(("max_ratio", "words"), [(None, {50, 170}), (2.0, {50, 170}), (1.9, {170})])
def test_chosen_and_rejected_are_of_a_similar_length(max_ratio, words):
    samples = [sample("a", 100), sample("b", 50), sample("c", 170)]
    rejected = {
        count_words(paired(*samples, key=f"i{n}", max_ratio=max_ratio).rejected[-1].content)
        for n in range(40)
    }
    assert rejected == words


def test_without_an_answer_of_a_similar_length_there_is_no_pair():
    refused = paired(sample("a", 100), sample("b", 50), sample("c", 170), max_ratio=1.5)
    assert (refused.reason, refused.detail) == (
        "other_length", "chosen has 100 words, the others 170, 50; a ratio of 1.5 is allowed",
    )  # fmt: skip


START = prose(40, 7)


def continuation(key, words, **fields):
    return sample(key, text=f"{START}\n\n{prose(words, key)}", **fields).model_copy(
        update={"prefix": START, "call_ids": [f"c{key}", "start"]}
    )


def test_a_pair_at_a_step_has_the_common_text_in_its_prompt_and_differs_in_the_continuation():
    pair = paired(continuation("a", 60), continuation("b", 10))
    assert [(turn.role, turn.content) for turn in pair.prompt] == [
        ("user", "Write 100 words."), ("assistant", START),
    ]  # fmt: skip
    assert [pair.chosen[0].content, pair.rejected[0].content] == [prose(60, "a"), prose(10, "b")]
    assert (pair.chosen_score, pair.rejected_score) == (100.0, 50.0)  # of the whole texts
    assert pair.call_ids == ["ca", "start", "cb"]
    assert preferences.pair_numbers([pair], [])["step_pairs"] == 1.0


def test_the_lengths_of_continuations_count_without_the_common_text():
    both = [continuation("a", 60), continuation("b", 10)]
    assert (
        paired(*both, max_ratio=5.9).detail == "chosen has 60 words, the others 10; a ratio of 5.9 is allowed"
    )
    assert isinstance(paired(*both, max_ratio=6.0), PreferencePair)


def test_a_continuation_that_ends_at_once_has_no_text_to_train_on():
    text = continuation("b", 10).model_copy(update={"text": START, "words": 40})
    assert [one.reason for one in candidates(text)] == ["empty"]


def test_a_continuation_that_repeats_the_text_before_it_may_not_be_chosen():
    loop = continuation("a", 9).model_copy(update={"text": f"{START}\n\n{START}"})
    assert preferences.trouble(loop, 0.2) == "loop"
