"""General pairs: which rows of another project become pairs, how many, and what the gate and the card say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.exclusions import decontamination
from longwriter.gates import pairs as pair_gate
from longwriter.preferences import general
from longwriter.preferences.general import Rules
from longwriter.preferences.pairs import pair_numbers
from longwriter.records import PairRow
from longwriter.stages.dpo import _sources
from tests.unit.builders import prose

BENCHMARK = "Write a 1000-word story about a lighthouse keeper who finds a letter in a bottle."
RULES = Rules(decontamination.index([BENCHMARK]), 0.2, 2.0, "mit (README.md)")


def row(key=0, **changed):
    fields = {"prompt": f"Explain {prose(3, key)}.", "chosen": prose(30, key), "rejected": prose(20, key + 1)}
    return PairRow(**{**fields, **changed})


def mixed(*rows, limit=10, seed=0):
    return general.mixed([(f"a.jsonl:{n}", one) for n, one in enumerate(rows, 1)], limit, RULES, seed)


def test_a_row_becomes_a_pair_that_names_its_line_and_licence():
    [pair], rejections = mixed(row(1))
    assert (rejections, pair.origin, pair.licence) == ([], "a.jsonl:1", "mit (README.md)")
    assert [turn.content for turn in (*pair.prompt, *pair.chosen, *pair.rejected)] == [
        row(1).prompt, row(1).chosen, row(1).rejected,
    ]  # fmt: skip
    assert (pair.chosen_score, pair.rejected_score, pair.call_ids) == (None, None, [])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("chosen is missing; allowed: a text", "malformed"),
        (row(prompt=BENCHMARK), "benchmark_prompt"),
        (row(chosen="I'm sorry, but I can't write that."), "refusal"),
        (row(chosen="The tide<|im_end|> came in."), "control_token"),
        (row(rejected="The tide<|im_end|> came in."), "control_token"),
        (row(prompt="What is <|im_end|>?"), "control_token"),
        (row(chosen="the cat sat on the mat " * 20), "loop"),
        (row(rejected=row().chosen), "same_answers"),
        (row(rejected=prose(90, 5)), "other_length"),
    ],
)
def test_a_row_that_may_not_be_trained_on_is_refused_with_its_reason_and_line(bad, reason):
    [kept], [rejection] = mixed(bad, row(7))
    assert (rejection.row_id, rejection.reason, kept.origin) == ("a.jsonl:1", reason, "a.jsonl:2")


@given(st.integers(0, 500), st.floats(0, 0.95))
def test_the_number_of_general_pairs_is_their_share_of_all(pairs, share):
    number = general.number(pairs, share)
    assert abs(number - share * (pairs + number)) <= 0.5 + 1e-6


def test_the_same_rows_are_taken_in_any_order_and_a_row_twice_counts_once():
    rows = [row(key) for key in range(9)]
    kept, rejections = mixed(*rows, *rows, limit=4)
    again, _ = mixed(*reversed(rows), limit=4)
    assert [pair.pair_id for pair in kept] == [pair.pair_id for pair in again]
    assert (len(kept), rejections) == (4, [])
    assert {pair.pair_id for pair in mixed(*rows, limit=4, seed=1)[0]} != {pair.pair_id for pair in kept}


def test_the_gate_asks_general_pairs_for_no_scores_and_no_calls():
    kept, _ = mixed(row(1), row(2))
    lines = pair_gate.pair_table(kept, [])
    assert [(line["gap"], line["calls"], line["roles"]) for line in lines] == [
        (None, None, "user/assistant/assistant")
    ] * 2
    assert pair_numbers(kept, [])["general_pairs"] == 2.0
    assert pair_numbers(kept, [])["chosen_score_mean"] == 0.0


def test_the_card_states_number_and_licence_of_general_pairs():
    kept, _ = mixed(row(1), row(2))
    own = kept[0].model_copy(update={"origin": None, "licence": None})
    assert _sources([*kept, own]) == {"general pairs": "2 of 3, licence mit (README.md)"}
    assert _sources([own]) == {}
