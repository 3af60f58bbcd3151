"""What a stage says of its work: one line for people, one file for machines, and what stays out of metrics."""

import pytest

from longwriter.execution.summary import Summary

PAPER = {
    "calls_sent": 60_000,
    "calls_replayed": 412,
    "calls_retried": 7,
    "prompt_tokens": 10_900_000,
    "cached_tokens": 9_000_000,
    "completion_tokens": 1_500_000,
    "cost_usd": 38.2,
}


def summary(seconds=1.0, **execution):
    rejected = {"refused": 27, "too_many_steps": 61}
    return Summary(6_000, 5_912, rejected, {"steps_mean": 9.5}, execution, seconds=seconds)


def test_the_closing_line_of_a_stage_that_asked_an_llm():
    assert summary(41 * 60, **PAPER).line("plan") == (
        "plan: 6,000 in, 5,912 kept, 88 rejected (too_many_steps 61, refused 27) in 41 min, "
        "60,000 calls, 412 replayed, 7 retried, 12.4M tokens, $38.20"
    )


@pytest.mark.parametrize(
    ("rows", "shortage"),
    [
        (Summary(4, 2, {"refused": 2}, min_kept_share=0.5), None),
        (Summary(1, 1), None),
        (Summary(9, 2, {"over_limit": 7}, offered=2, min_kept_share=0.9), None),
        (
            Summary(4, 1, {"refused": 1, "too_short": 2}, min_kept_share=0.5),
            "1 of 4 rows are kept, write.min_kept_share is 0.5; rejected: too_short 2, refused 1",
        ),
        (Summary(4, 0, {"refused": 4}), "0 of 4 rows are kept; rejected: refused 4"),
        (Summary(0, 0), "0 of 0 rows are kept; rejected: none"),
        (
            Summary(9, 1, {"over_limit": 7, "refused": 1}, offered=2, min_kept_share=0.9),
            "1 of 2 rows are kept, write.min_kept_share is 0.9; rejected: over_limit 7, refused 1",
        ),
    ],
)
def test_a_stage_that_keeps_nothing_or_too_little_says_so(rows, shortage):
    assert rows.shortage("write") == shortage


def test_the_closing_line_of_a_stage_that_asked_no_llm():
    assert Summary(1, 1, execution={"version": 3.0}).line("register") == (
        "register: 1 in, 1 kept, 0 rejected in 0.0 s, version 3"
    )


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        ({"cost_usd": 0.0}, "$0.00"),
        ({"cost_usd": 1234.567}, "$1,234.57"),
        ({"cost_usd": 0.004}, "$0.00"),
        ({}, "cost unknown (the model has no price)"),
    ],
)
def test_the_closing_line_ends_with_what_it_cost(cost, told):
    assert (
        summary(calls_sent=1, prompt_tokens=999_999, **cost).line("plan").endswith(f"999,999 tokens, {told}")
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.04, "0.0 s"),
        (119.9, "119.9 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (90_000, "25.0 h"),
    ],
)
def test_a_duration_has_the_unit_that_reads_best(seconds, told):
    assert f" in {told}" in summary(seconds).line("plan")


def test_values_that_vary_from_run_to_run_are_shown_and_are_no_metrics():
    content = summary(2.345, **PAPER).content()
    assert content == {
        "rows_in": 6_000,
        "rows_kept": 5_912,
        "rejected": {"refused": 27, "too_many_steps": 61},
        "seconds": 2.3,
        **PAPER,
    }
    assert summary(2.345, **PAPER).metrics() == {
        "rows_in": 6_000,
        "rows_kept": 5_912,
        "rejected_refused": 27,
        "rejected_too_many_steps": 61,
        "steps_mean": 9.5,
    }


def test_an_unknown_cost_is_null_and_no_call_has_no_cost():
    assert summary(calls_sent=1).content()["cost_usd"] is None
    assert "cost_usd" not in summary().content()
