"""What the gates look at: one line a row, with every number that an expectation bounds."""

from __future__ import annotations

from typing import Any

from longwriter.core import text as txt
from longwriter.records import Example, Message, PreferencePair

_OPENING = 12  # words of an answer's opening that make two rows look alike

EXAMPLE_COLUMNS = (
    "sample_id", "kind", "language", "roles", "words", "words_recorded", "length_error",
    "repeated_share", "refusal", "identifier", "answer", "opening_seen", "calls",
)  # fmt: skip
PAIR_COLUMNS = (
    "pair_id", "side", "on_both_sides", "roles", "same", "gap", "refusal", "repeated_share",
    "words_ratio", "calls",
)  # fmt: skip


def example_table(rows: list[Example]) -> list[dict[str, Any]]:
    """Return one line an example, with the keys of `EXAMPLE_COLUMNS`."""
    table = []
    openings: set[tuple[str, ...]] = set()
    for row in rows:
        answer = row.messages[-1].content
        opening = tuple(txt.tokens(answer)[:_OPENING])
        table.append(
            {
                "sample_id": row.sample_id,
                "kind": row.kind,
                "language": row.language,
                "roles": _roles(row.messages),
                "words": txt.count_words(answer),
                "words_recorded": row.words,
                "length_error": abs(row.words - row.required_words) / row.required_words
                if row.required_words
                else 0.0,
                "repeated_share": round(txt.repeated_share(answer), 6),
                "refusal": txt.is_refusal(answer),
                "identifier": any(
                    txt.strip_identifier(part) != part.lstrip() for part in answer.split("\n\n")
                ),
                "answer": answer,
                "opening_seen": opening in openings,
                "calls": len(row.call_ids),
            }
        )
        openings.add(opening)
    return table


def pair_table(train: list[PreferencePair], test: list[PreferencePair]) -> list[dict[str, Any]]:
    """Return one line a pair, train first, with the keys of `PAIR_COLUMNS`.

    `words_ratio` is a pair's words of chosen over the mean words of all rejected, so that the mean
    of the column is the ratio of the means.
    """
    both = {row.instruction_id for row in train} & {row.instruction_id for row in test}
    words = [txt.count_words(row.rejected[-1].content) for row in (*train, *test)]
    rejected_mean = max(1.0, sum(words) / max(1, len(words)))
    return [
        {
            "pair_id": row.pair_id,
            "side": side,
            "on_both_sides": row.instruction_id in both,
            "roles": "/".join(_roles(part) for part in (row.prompt, row.chosen, row.rejected)),
            "same": row.chosen == row.rejected,
            "gap": row.chosen_score - row.rejected_score,
            "refusal": txt.is_refusal(row.chosen[-1].content),
            "repeated_share": round(txt.repeated_share(row.chosen[-1].content), 6),
            "words_ratio": txt.count_words(row.chosen[-1].content) / rejected_mean,
            "calls": len(row.call_ids),
        }
        for side, rows in (("train", train), ("test", test))
        for row in rows
    ]


def _roles(messages: list[Message]) -> str:
    return "-".join(message.role for message in messages)
