import re

from longwriter.dataset import datacard
from tests.unit.builders import example


def test_a_funnel_hands_on_what_each_filter_lets_through():
    steps = datacard.filter_counts([("plan", 10, {"refused": 2, "empty": 0}), ("dataset", 7, {"loop": 1})])
    assert [(*step, step.rows_out) for step in steps] == [
        ("plan", "refused", 10, 2, 8),
        ("plan", "empty", 8, 0, 8),
        ("dataset", "loop", 7, 1, 6),
    ]


def test_the_refusals_of_a_stage_are_read_from_its_metrics():
    metrics = {
        "rows_in": 9,
        "rejected_over_limit": 1,
        "rejected_loop": 2.0,
        "rejected_a": 0,
        "steps_mean": 3.1,
    }
    assert list(datacard.refusals(metrics).items()) == [("a", 0), ("loop", 2), ("over_limit", 1)]


def test_the_card_counts_rows_lengths_refusals_licences_and_hashes():
    train = [example(i, words=120) for i in range(3)] + [example(9, words=250, language="zh", type="Essay")]
    test = [example(10, answer="x.", kind="general", words=1, type="General")]
    card = datacard.card(
        train=train,
        test=test,
        sources=[datacard.Source("seeds|more", 1234, "CC0")],
        filters=datacard.filter_counts([("dataset", 1234, {"loop": 34})]),
        digests={"train.jsonl": "abc"},
    )
    for line in (
        "4 training rows and 1 held-out row",
        "4 long texts and 1 general chat",
        "| seeds¦more | 1,234 | CC0 |",
        "| dataset | loop | 1,234 | 34 | 1,200 |",
        "| agentwrite | 4 | 0 |",
        "| general | 0 | 1 |",
        "| zh | 1 | 0 |",
        "| Essay | 1 | 0 |",
        "| 100-199 | 3 | " + "█" * 30 + " |",
        "| 200-299 | 1 | " + "█" * 10 + " |",
        "| train.jsonl | abc |",
    ):
        assert line in re.sub(" +", " ", card)
    assert "300-499" not in card


def test_a_card_of_nothing_can_be_written():
    assert "None." in datacard.card(train=[], test=[], sources=[], filters=[], digests={})
