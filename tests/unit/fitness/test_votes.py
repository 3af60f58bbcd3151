import pytest

from longwriter.fitness import votes
from longwriter.records import Unscored, Vote
from tests.unit.comparison.test_comparison import judged


def agree(rows, given):
    return votes.agreement(rows, given, 0.95)


def vote(name, label, rater="r", turned=False):
    first, second = (f"{name} bad", f"{name} good") if turned else (f"{name} good", f"{name} bad")
    return Vote(prompt=name, first=first, second=second, vote=label, rater=rater)


def marks(*names, good=80.0, bad=40.0):
    return {
        (name, f"{name} {kind}"): judged(mark)
        for name in names
        for kind, mark in (("good", good), ("bad", bad))
    }


def test_accuracy_and_kappa_equal_those_computed_by_hand():
    """Pairs are ordered by text: "bad" comes first, so the judge says "second" four times.

    People say second, second, second, first: observed agreement 3/4, by chance 1 * 3/4 + 0 * 1/4 = 3/4, kappa 0.
    """
    rows = [vote(name, "first") for name in "abc"] + [vote("d", "second")]
    found = agree(rows, marks(*"abcd"))
    assert (found.votes, found.pairs, found.accuracy.value, found.kappa) == (4, 4, 0.75, 0.0)


def test_a_judge_that_agrees_with_everybody_has_kappa_and_alpha_one():
    rows = [vote(name, "first", rater) for name in "ab" for rater in "rs"]
    rows += [vote("c", "tie", rater) for rater in "rs"]
    found = agree(rows, marks(*"ab") | marks("c", good=50.0, bad=50.0))
    assert (found.accuracy.value, found.kappa, found.alpha, found.people) == (1.0, 1.0, 1.0, 1.0)


def test_kappa_of_a_two_by_two_table():
    """Two right of each label of five: observed 4/5 = 0.8; by chance 0.6 * 0.4 + 0.4 * 0.6 = 0.48; 0.32 / 0.52."""
    rows = (
        [vote(name, "first") for name in "ab"]
        + [vote(name, "second") for name in "cd"]
        + [vote("e", "second")]
    )
    given = marks("a", "b", "e") | marks("c", "d", good=40.0, bad=80.0)
    found = agree(rows, given)
    assert found.kappa == pytest.approx((0.8 - 0.48) / 0.52, abs=1e-4)


def test_the_order_of_a_pair_does_not_matter():
    given = marks("a", "b")
    plain = agree([vote("a", "first"), vote("b", "second")], given)
    turned = agree([vote("a", "second", turned=True), vote("b", "first", turned=True)], given)
    assert plain == turned


def test_a_pair_that_the_judge_did_not_mark_is_left_out():
    given = marks("a") | {("b", "b good"): Unscored(reason="no_json", detail=""), ("b", "b bad"): judged(1.0)}
    found = agree([vote("a", "first"), vote("b", "first")], given)
    assert (found.votes, found.pairs) == (1, 1)
    assert agree([], {}).accuracy is None


def test_each_text_is_judged_once():
    assert len(votes.texts([vote("a", "first", "r"), vote("a", "tie", "s", turned=True)])) == 2
