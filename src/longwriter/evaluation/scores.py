"""Scores of answers: length, ending, loops, refusals, and their means. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from longwriter.records import Generation, Judgement, Score, Unscored
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics.counting import repeated_share


def length_score(required: int, written: int) -> float:
    """Score how near a text's length is to the length asked for.

    Falls from 100 at the asked length to 0 at four times it, or at a third of it.
    Source: LongWriter (arXiv:2408.07055), section 2.

    Args:
        required: Length asked for, in words; at least 1.
        written: Length of the text, in words as `text.basics.counting.count_words` counts them.

    Returns:
        Score in [0, 100]; an empty text scores 0.

    Raises:
        ValueError: `required` is below 1 or `written` below 0.
    """
    if required < 1 or written < 0:
        raise ValueError(f"required {required} must be >= 1 and written {written} >= 0")
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)


def score_of(generation: Generation, quality: Judgement | Unscored, max_repeated_share: float) -> Score:
    """Return the scores of one answer.

    Args:
        generation: The answer.
        quality: The judge's score, or the reason why there is none.
        max_repeated_share: Share of repeated 5-grams above which the answer counts as a loop.
    """
    repeated = repeated_share(generation.text)
    required = generation.required_words
    return Score(
        generation_id=generation.generation_id,
        prompt_id=generation.prompt_id,
        type=generation.type,
        language=generation.language,
        required_words=required,
        words=generation.words,
        length_score=None if required is None else length_score(required, generation.words),
        ended=generation.finish_reason == "stop",
        loop=repeated > max_repeated_share,
        refusal=is_refusal(generation.text, generation.prompt),
        repeated_share=repeated,
        quality=quality,
    )


def score_numbers(scores: Sequence[Score]) -> dict[str, float]:
    """Return the metrics of scores; answers without a quality score are counted by reason, not averaged."""
    count = max(1, len(scores))
    numbers = {
        "n": float(len(scores)),
        "ended_share": round(sum(row.ended for row in scores) / count, 4),
        "loop_share": round(sum(row.loop for row in scores) / count, 4),
        "refusal_share": round(sum(row.refusal for row in scores) / count, 4),
        "words_mean": round(sum(row.words for row in scores) / count, 3),
    }
    lengths = [row.length_score for row in scores if row.length_score is not None]
    if lengths or not scores:
        numbers["length_score_mean"] = round(sum(lengths) / max(1, len(lengths)), 3)
    if len(lengths) < len(scores):
        numbers["no_length"] = float(len(scores) - len(lengths))
    judged = [row.quality.quality_score for row in scores if isinstance(row.quality, Judgement)]
    if judged:
        numbers["quality_score_mean"] = round(sum(judged) / len(judged), 3)
        numbers["quality_n"] = float(len(judged))
    reasons = Counter(row.quality.reason for row in scores if isinstance(row.quality, Unscored))
    return numbers | {f"unscored_{reason}": float(count) for reason, count in sorted(reasons.items())}
