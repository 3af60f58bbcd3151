"""General preference pairs of other projects, mixed in so that DPO does not only learn to write long.

Pure. Source: LongWriter (arXiv:2408.07055), section 4.2, mixes in 50,000 pairs of its own data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from longwriter.exclusions import decontamination
from longwriter.hashing import hash_share, short_id
from longwriter.preferences.pairs import ratio, text_trouble
from longwriter.records import Message, PairRow, PreferencePair, Rejection
from longwriter.text.basics import counting, markup


class Rules(NamedTuple):
    """What a general pair must satisfy, and where it comes from."""

    benchmarks: decontamination.Index
    max_repeated_share: float
    max_ratio: float | None
    """Largest ratio of the words of the two answers; None = any."""
    licence: str


def number(pairs: int, share: float) -> int:
    """Return how many general pairs to add, so that they make up the given share of all pairs.

    Args:
        pairs: Number of the other pairs.
        share: Share of the general pairs, in [0, 1).
    """
    return round(pairs * share / (1 - share))


def mixed(
    rows: Iterable[tuple[str, PairRow | str]], limit: int, rules: Rules, seed: int
) -> tuple[list[PreferencePair], list[Rejection]]:
    """Return at most `limit` general pairs, in the order of their hashes, and the rejected rows.

    Malformed rows are always rejected. Rows whose hashes come after the last pair are not checked otherwise.

    Args:
        rows: `file:line` and row, or what is wrong with the line.
        limit: Largest number of pairs.
        rules: What a pair must satisfy.
        seed: Decides, together with a row's content, which rows come first.
    """
    malformed: list[Rejection] = []
    good: dict[str, tuple[str, PairRow]] = {}
    for origin, row in rows:
        if isinstance(row, str):
            malformed.append(Rejection(row_id=origin, stage="preferences", reason="malformed", detail=row))
        else:
            good.setdefault(short_id([row.prompt, row.chosen, row.rejected]), (origin, row))
    pairs: list[PreferencePair] = []
    rejected: list[Rejection] = []
    for key in sorted(good, key=lambda key: (hash_share(seed, key), key)):
        if len(pairs) == limit:
            break
        origin, row = good[key]
        result = _pair(key, origin, row, rules)
        if isinstance(result, PreferencePair):
            pairs.append(result)
        else:
            rejected.append(result)
    return pairs, [*malformed, *rejected]


def _pair(key: str, origin: str, row: PairRow, rules: Rules) -> PreferencePair | Rejection:
    if problem := _problem(row, rules):
        reason, detail = problem
        return Rejection(row_id=origin, stage="preferences", reason=reason, detail=detail)
    return PreferencePair(
        pair_id=key,
        instruction_id=f"general-{short_id(row.prompt)}",
        language=None,
        required_words=None,
        prompt=[Message(role="user", content=row.prompt)],
        chosen=[Message(role="assistant", content=row.chosen)],
        rejected=[Message(role="assistant", content=row.rejected)],
        chosen_score=None,
        rejected_score=None,
        call_ids=[],
        origin=origin,
        licence=rules.licence,
    )


def _problem(row: PairRow, rules: Rules) -> tuple[str, str] | None:
    """Return (reason, detail) if a row cannot be a pair, or None."""
    if prompt := decontamination.hit(rules.benchmarks, row.prompt):
        return "benchmark_prompt", f"its prompt repeats one of a benchmark: {prompt[:80]}"
    if reason := text_trouble(row.chosen, row.prompt, rules.max_repeated_share):
        return reason, f"the chosen answer may not be trained on: {reason}"
    if token := markup.control_token(row.rejected) or markup.control_token(row.prompt):
        return "control_token", f"control token or character {token!r}"
    if row.chosen.strip() == row.rejected.strip():
        return "same_answers", "chosen and rejected are the same"
    words = [counting.count_words(text) for text in (row.chosen, row.rejected)]
    if rules.max_ratio is not None and ratio(*words) > rules.max_ratio:
        return "other_length", f"{words[0]} and {words[1]} words; a ratio of {rules.max_ratio} is allowed"
    return None
