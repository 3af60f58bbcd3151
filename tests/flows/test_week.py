"""The text of the weekly digest."""

from __future__ import annotations

from datetime import UTC, datetime

from flows import week

DAY = datetime(2026, 1, 5, 8, tzinfo=UTC)


def test_a_digest_counts_the_nights_and_names_those_that_went_wrong() -> None:
    due = datetime(2026, 1, 2, 2, tzinfo=UTC)
    nights = [
        week.Night(due, "nightly fox", "NoNews", "no news"),
        week.Night(due, "nightly owl", "Failed", "plan: GateStopped: too few plans"),
        week.Night(due, "nightly elk", "NoNews", "no news"),
        week.Night(due, "training cat", "Late", ""),
    ]
    title, body = week.text(nights, 1.25, {"sft-a S_l": 58.3, "dpo-a S_l": 70.0}, {"sft-a S_l": 57.0}, DAY)
    assert title == "longwriter, week to 2026-01-05: 2 NoNews, 1 Failed, 1 Late"
    assert body.splitlines() == [
        "2026-01-02 02:00 nightly owl: Failed: plan: GateStopped: too few plans",
        "2026-01-02 02:00 training cat: Late: no reason is known",
        "LLM calls: $1.25",
        "sft-a S_l: 58.3 (a week ago 57)",
        "dpo-a S_l: 70",
    ]


def test_a_week_without_runs_says_so() -> None:
    assert week.text([], 0.0, {}, {}, DAY) == ("longwriter, week to 2026-01-05: no run", "LLM calls: $0.00")
