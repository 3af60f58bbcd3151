"""Builds a preference pair from several answers to one prompt: the best is chosen, a random other one is rejected.

Pure. Source: LongWriter (arXiv:2408.07055), section 4.2: four samples, the best is chosen, one of the
other three is rejected. Here the chosen answer must also be complete, and its score must be higher by a gap.
The samples of a pair are whole answers, or continuations of one text, which steps.py chose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from longwriter.evaluation.scores import length_score
from longwriter.hashing import hash_share, short_id
from longwriter.records import (
    Generation,
    Judgement,
    Message,
    PreferencePair,
    Rejection,
    Unscored,
)
from longwriter.talk import poison
from longwriter.talk.refusals import is_refusal
from longwriter.text.basics import counting as txt
from longwriter.text.basics import markup
from longwriter.text.language import other_language


class Candidate(NamedTuple):
    """A sample with its score in [0, 100]; `trouble` says why it may not be chosen, or is None."""

    sample: Generation
    score: float
    trouble: str | None
    call_ids: list[str]


def trouble(sample: Generation, max_repeated_share: float) -> str | None:
    """Return why a sample may not be chosen, or None.

    The reasons are `empty`, `reasoning_text`, `control_token`, `refusal`, `meta_talk`, `wrong_language`,
    `loop` and `cut`.

    Args:
        sample: An answer; `cut` means that it did not end by itself.
        max_repeated_share: Share of repeated 5-grams above which it is a loop, in [0, 1].
    """
    reason = text_trouble(sample.text, sample.prompt, max_repeated_share)
    return reason or (None if sample.finish_reason == "stop" else "cut")


def text_trouble(text: str, prompt: str, max_repeated_share: float) -> str | None:
    """Return why a text may not be chosen, or None: one of the reasons of `trouble`, except `cut`."""
    if not text.strip():
        return "empty"
    if refused := poison.check_markup(text):
        return refused.reason
    if is_refusal(text, prompt):
        return "refusal"
    if poison.talking_paragraph(text, prompt):
        return "meta_talk"
    if other_language(text, txt.language_of(prompt), prompt):
        return "wrong_language"
    return "loop" if txt.repeated_share(text) > max_repeated_share else None


def own_text(sample: Generation) -> str:
    """Return what the model wrote: the answer, or its continuation of a prefix."""
    return sample.text[len(sample.prefix) :].strip() if sample.prefix else sample.text.strip()


def _own_words(sample: Generation) -> int:
    return txt.count_words(own_text(sample)) if sample.prefix else sample.words


def candidate(
    sample: Generation,
    quality: Judgement | Unscored | None,
    quality_weight: float,
    max_repeated_share: float,
) -> Candidate | Unscored:
    """Return a sample with its score, or why it cannot be in a pair.

    Args:
        sample: An answer.
        quality: Judgement of its quality, or why there is none; None if the weight is 0.
        quality_weight: Weight w of S_q in (1 - w) * S_l + w * S_q, in [0, 1].
        max_repeated_share: See `trouble`.

    Raises:
        ValueError: the weight is above 0 and `quality` is None.
    """
    reason = trouble(sample, max_repeated_share)
    if reason == "empty" or not own_text(sample):
        return Unscored(reason="empty", detail="a message needs text", call_ids=sample.call_ids)
    if sample.required_words is None:
        return Unscored(reason="no_length", detail="the prompt asks for no length", call_ids=sample.call_ids)
    score = length_score(sample.required_words, sample.words)
    call_ids = list(sample.call_ids)
    if quality_weight > 0:
        if quality is None:
            raise ValueError(f"a quality weight of {quality_weight} needs a judgement or why there is none")
        if isinstance(quality, Unscored):
            return quality.model_copy(update={"call_ids": [*call_ids, *quality.call_ids]})
        score = (1 - quality_weight) * score + quality_weight * quality.quality_score
        call_ids += quality.call_ids
    return Candidate(sample, score, reason, call_ids)


def pair_of(
    instruction_id: str,
    samples: list[Candidate | Unscored],
    *,
    min_gap: float,
    max_ratio: float | None = None,
    seed: int,
) -> PreferencePair | Rejection:
    """Return the pair of one instruction, or why there is none; the samples' order does not matter.

    Args:
        instruction_id: Id of the instruction.
        samples: All whole answers to it, or all continuations of one text.
        min_gap: Smallest difference of the scores of chosen and rejected, in points.
        max_ratio: Largest ratio of their words, the longer one to the shorter; None = any.
        seed: Decides, together with the instruction's id, which other sample is rejected.

    Returns:
        A pair, or a rejection for `too_few_scored` (fewer than two samples have a score),
        `all_unusable` (none may be chosen), `no_gap` (no other score is low enough) or `other_length` (no such
        answer is of a similar length).
    """
    scored = [item for item in samples if isinstance(item, Candidate)]
    scored.sort(key=lambda item: (-item.score, item.sample.generation_id))
    usable = [item for item in scored if item.trouble is None]
    if len(scored) < 2:
        causes = sorted(item.reason for item in samples if isinstance(item, Unscored))
        detail = f"{len(scored)} of {len(samples)} samples have a score ({', '.join(causes) or 'no others'})"
        return _rejection(instruction_id, "too_few_scored", detail, samples)
    if not usable:
        causes = sorted(item.trouble for item in scored if item.trouble)
        detail = f"none of {len(samples)} samples may be chosen ({', '.join(causes)})"
        return _rejection(instruction_id, "all_unusable", detail, samples)
    best = usable[0]
    lower = [
        item
        for item in scored
        if best.score - item.score >= min_gap
        and item.sample.text.strip() != best.sample.text.strip()
        and not markup.control_token(item.sample.text)  # never trained on, not even as rejected
    ]
    if not lower:
        scores = ", ".join(
            f"{item.score:.1f}{f' ({item.trouble})' if item.trouble else ''}" for item in scored
        )
        return _rejection(instruction_id, "no_gap", f"scores {scores}; {min_gap} points are needed", samples)
    if max_ratio is not None:
        length = _own_words(best.sample)
        words = ", ".join(str(_own_words(item.sample)) for item in lower)
        lower = [item for item in lower if ratio(length, _own_words(item.sample)) <= max_ratio]
        if not lower:
            detail = f"chosen has {length} words, the others {words}; a ratio of {max_ratio} is allowed"
            return _rejection(instruction_id, "other_length", detail, samples)
    return _pair(instruction_id, best, lower[int(hash_share(seed, instruction_id) * len(lower))])


def ratio(words: int, others: int) -> float:
    """Return the ratio of two lengths in words, the larger one first."""
    return max(words, others) / max(1, min(words, others))


def split(
    pairs: Sequence[PreferencePair], test_share: float
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return the pairs to train on, and those that are held out.

    The hash of its instruction decides on which side a pair is, so new pairs do not move the others. With few pairs
    that may leave one side empty: then the instruction next to the border changes sides.

    Args:
        pairs: All pairs.
        test_share: Share of the instructions that is held out; 0 = none, 1 = all.
    """
    shares = sorted({_share(row) for row in pairs})
    border = test_share
    if len(shares) > 1 and 0 < test_share < 1:
        border = shares[1] if test_share <= shares[0] else min(test_share, shares[-1])
    train = [row for row in pairs if _share(row) >= border]
    return train, [row for row in pairs if _share(row) < border]


def _share(pair: PreferencePair) -> float:
    return hash_share("split-dpo", pair.instruction_id)


def pair_numbers(train: Sequence[PreferencePair], test: Sequence[PreferencePair]) -> dict[str, float]:
    """Return counts of pairs, and mean scores and words of chosen and rejected (0 without pairs)."""
    pairs = [*train, *test]
    n = max(1, len(pairs))
    scores = [
        (row.chosen_score, row.rejected_score)
        for row in pairs
        if row.chosen_score is not None and row.rejected_score is not None
    ]
    scored = max(1, len(scores))
    chosen_words = sum(txt.count_words(row.chosen[-1].content) for row in pairs) / n
    at_steps = sum(row.prompt[-1].role == "assistant" for row in pairs)
    rejected_words = sum(txt.count_words(row.rejected[-1].content) for row in pairs) / n
    return {
        "pairs": float(len(pairs)),
        "train_pairs": float(len(train)),
        "test_pairs": float(len(test)),
        "general_pairs": float(sum(row.origin is not None for row in pairs)),
        **({"step_pairs": float(at_steps)} if at_steps else {}),
        "chosen_score_mean": round(sum(chosen for chosen, _ in scores) / scored, 3),
        "rejected_score_mean": round(sum(rejected for _, rejected in scores) / scored, 3),
        "chosen_words_mean": round(chosen_words, 3),
        "rejected_words_mean": round(rejected_words, 3),
        "words_ratio": round(chosen_words / max(1.0, rejected_words), 4),
    }


def sample_numbers(samples: Sequence[Candidate | Unscored]) -> dict[str, float]:
    """Return the number of samples: in all, without trouble (`whole`), with each trouble, and without score by reason."""
    reasons = Counter(
        f"unscored_{item.reason}" if isinstance(item, Unscored) else item.trouble or "whole"
        for item in samples
    )
    counts = {f"samples_{name}": float(count) for name, count in sorted(reasons.items())}
    return {"samples": float(len(samples)), **counts}


def _rejection(
    instruction_id: str, reason: str, detail: str, samples: list[Candidate | Unscored]
) -> Rejection:
    calls = sorted(call_id for item in samples for call_id in item.call_ids)
    return Rejection(row_id=instruction_id, stage="preferences", reason=reason, detail=detail, call_ids=calls)


def _pair(instruction_id: str, chosen: Candidate, rejected: Candidate) -> PreferencePair:
    assert chosen.sample.required_words is not None  # else it has no score
    prompt = [Message(role="user", content=chosen.sample.prompt)]
    if chosen.sample.prefix:
        prompt.append(Message(role="assistant", content=chosen.sample.prefix))
    answers = [[Message(role="assistant", content=own_text(item.sample))] for item in (chosen, rejected)]
    content = [[message.model_dump() for message in part] for part in (prompt, *answers)]
    return PreferencePair(
        pair_id=short_id(content),
        instruction_id=instruction_id,
        language=chosen.sample.language,
        required_words=chosen.sample.required_words,
        prompt=prompt,
        chosen=answers[0],
        rejected=answers[1],
        chosen_score=chosen.score,
        rejected_score=rejected.score,
        call_ids=list(dict.fromkeys([*chosen.call_ids, *rejected.call_ids])),
    )
