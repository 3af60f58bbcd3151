"""The gate of the preference pairs. It stops bad pairs before DPO trains on them.

Pure.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from longwriter.gates.suite.expectations import Expectation, Gate, among, at_least, between, never, unique
from longwriter.params.training import PreferencesParams
from longwriter.records import JOINT, Message, PreferencePair, roles
from longwriter.talk import poison
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics import markup, thinking
from longwriter.text.basics.counting import count_words, language_of, repeated_share
from longwriter.text.language import other_language

COLUMNS = (
    "pair_id",
    "side",
    "on_both_sides",
    "roles",
    "same",
    "gap",
    "refusal",
    "reasoning",
    "control_token",
    "meta_talk",
    "other_language",
    "repeated_share",
    "words_ratio",
    "calls",
)


def gate(
    train: list[PreferencePair],
    test: list[PreferencePair],
    params: PreferencesParams,
    max_repeated_share: float,
) -> Gate:
    """Return the gate of preference pairs.

    Args:
        train: Pairs of the training side.
        test: Pairs of the test side.
        params: The bounds, and the names of the expectations that only warn.
        max_repeated_share: Largest share of the 5-grams of a chosen answer that are repeats, in [0, 1].
    """
    tables = {"pairs": pd.DataFrame(pair_table(train, test), columns=list(COLUMNS))}
    return Gate(suite(params, max_repeated_share), tables, "pair_id", params.warn)


def pair_table(train: list[PreferencePair], test: list[PreferencePair]) -> list[dict[str, Any]]:
    """Return a line for each pair, with the keys of `COLUMNS`; the pairs of train come first.

    `words_ratio` is the number of words of chosen, divided by the mean number of words of all rejected
    answers. The mean of the column is then the ratio of the two means. A general pair has neither `gap` nor `calls`.
    In a pair at a step, `repeated_share` is computed for the whole text, because a continuation may repeat the text
    before it.
    """
    both_sides = {row.instruction_id for row in train} & {row.instruction_id for row in test}
    rejected_words = [count_words(row.rejected[-1].content) for row in (*train, *test)]
    rejected_mean = max(1.0, sum(rejected_words) / max(1, len(rejected_words)))
    return [
        {
            "pair_id": row.pair_id,
            "side": side,
            "on_both_sides": row.instruction_id in both_sides,
            "roles": "/".join(roles(part) for part in (row.prompt, row.chosen, row.rejected)),
            "same": row.chosen == row.rejected,
            "gap": _gap(row),
            "refusal": is_refusal(row.chosen[-1].content, _question(row)),
            "reasoning": thinking.reasoning_text(row.chosen[-1].content) is not None,
            "control_token": any(
                markup.control_token(turn.content)
                for turn in (*_text_before(row), *row.chosen, *row.rejected)
            ),
            "meta_talk": poison.talking_paragraph(row.chosen[-1].content, _question(row)) is not None,
            "other_language": other_language(
                row.chosen[-1].content, language_of(_question(row)), _request(row)
            )
            is not None,
            "repeated_share": round(
                repeated_share(JOINT.join(turn.content for turn in (*_text_before(row), row.chosen[-1]))), 6
            ),
            "words_ratio": count_words(row.chosen[-1].content) / rejected_mean,
            "calls": len(row.call_ids) if row.origin is None else None,
        }
        for side, rows in (("train", train), ("test", test))
        for row in rows
    ]


def _text_before(row: PreferencePair) -> list[Message]:
    """Return the text that both answers continue, as one message; empty if they are whole answers."""
    return [row.prompt[-1]] if row.prompt[-1].role == "assistant" else []


def _question(row: PreferencePair) -> str:
    """Return the instruction."""
    return row.prompt[-2 if _text_before(row) else -1].content


def _request(row: PreferencePair) -> str:
    """Return all that was said before the answers, without the text that they continue."""
    return "\n".join(turn.content for turn in row.prompt[: -1 if _text_before(row) else None])


def _gap(row: PreferencePair) -> float | None:
    """Return how far chosen is ahead; None for a general pair, which has no scores."""
    if row.chosen_score is None or row.rejected_score is None:
        return None
    return row.chosen_score - row.rejected_score


def suite(params: PreferencesParams, max_repeated_share: float) -> list[Expectation]:
    """Return the expectations of preference pairs."""
    table = "pairs"
    low, high = sorted((params.max_words_ratio, 1 / params.max_words_ratio))
    return [
        at_least(table, "enough_pairs", params.min_pairs, "pairs"),
        Expectation(
            table,
            "both_sides_have_pairs",
            "train and test",
            "ExpectColumnDistinctValuesToContainSet",
            {"column": "side", "value_set": ["test", "train"]},
        ),
        never(table, "sides_apart", "on_both_sides", "no instruction on both sides"),
        unique(table, "unique_ids", "pair_id", "each id once"),
        among(
            table,
            "roles_in_turn",
            "roles",
            ["user/assistant/assistant", "user-assistant/assistant/assistant"],
        ),
        never(table, "chosen_differs", "same", "chosen and rejected differ"),
        between(table, "chosen_is_ahead", "gap", params.min_gap, None, "points"),
        never(table, "no_refusal", "refusal", "no chosen answer that refuses"),
        never(table, "no_reasoning_text", "reasoning", "no thinking of a model in chosen"),
        never(table, "no_control_tokens", "control_token", "no control token or character in either answer"),
        never(
            table, "no_meta_talk", "meta_talk", "no paragraph of chosen that talks about the text or the task"
        ),
        never(
            table,
            "no_other_language",
            "other_language",
            "no paragraph of chosen in a language that nobody asked for",
        ),
        between(
            table,
            "no_loop",
            "repeated_share",
            None,
            max_repeated_share,
            "of the 5-grams of chosen are repeats",
        ),
        between(table, "traceable", "calls", 1, None, "LLM calls"),
        Expectation(
            table,
            "lengths_alike",
            f"{low:.3g} to {high:.3g} words of chosen for each word of rejected",
            "ExpectColumnMeanToBeBetween",
            {"column": "words_ratio", "min_value": low, "max_value": high},
        ),
    ]
