"""What the gates look at: one line a row, with every number that an expectation bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from longwriter.records import Example, Instruction, Message, Plan, PreferencePair
from longwriter.text import counting as txt
from longwriter.text import decontamination, wording
from longwriter.text.language import identify
from longwriter.text.stated_length import stated_length

_OPENING = 12  # words of an answer's opening that make two rows look alike

INSTRUCTION_COLUMNS = (
    "instruction_id", "words", "prompt_words", "language", "other_script", "required_words", "other_length",
    "on_benchmark", "origin", "of_its_type",
)  # fmt: skip
PLAN_COLUMNS = ("instruction_id", "steps", "length_error", "kept_share", "calls")
STEP_COLUMNS = ("instruction_id", "word_count", "empty", "seen", "refusal")
EXAMPLE_COLUMNS = (
    "sample_id", "kind", "language", "roles", "words", "words_recorded", "length_error",
    "repeated_share", "refusal", "identifier", "answer", "opening_seen", "origins", "on_benchmark",
)  # fmt: skip
PAIR_COLUMNS = (
    "pair_id", "side", "on_both_sides", "roles", "same", "gap", "refusal", "repeated_share",
    "words_ratio", "calls",
)  # fmt: skip


def instruction_table(rows: list[Instruction], benchmark: Sequence[str]) -> list[dict[str, Any]]:
    """Return one line an instruction, with the keys of `INSTRUCTION_COLUMNS`.

    `other_script` is True where a Chinese prompt is not mainly of Han characters, or an English one is, and
    no detector finds its language there; `other_length` where the prompt states a length that is not the recorded one.
    """
    index = decontamination.index(benchmark)
    types = Counter(row.type for row in rows)
    table = []
    for row in rows:
        words = txt.tokens(row.prompt)
        han = sum("\u4e00" <= word <= "\u9fff" for word in words)
        stated = stated_length(row.prompt)
        table.append(
            {
                "instruction_id": row.instruction_id,
                "words": " ".join(words),
                "prompt_words": len(words),
                "language": row.language,
                "other_script": (row.language == "zh") != (2 * han > len(words))
                and identify(row.prompt) != row.language,
                "required_words": row.required_words,
                "other_length": stated is not None and stated != row.required_words,
                "on_benchmark": decontamination.hit(index, row.prompt) is not None,
                "origin": row.origin,
                "of_its_type": types[row.type],
            }
        )
    return table


def plan_tables(rows: list[Plan], asked: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one line a plan and one a step, with the keys of `PLAN_COLUMNS` and `STEP_COLUMNS`.

    `kept_share` is the same in each line: the plans as a share of the `asked` instructions.
    """
    plans, steps = [], []
    for row in rows:
        key, wanted = row.instruction.instruction_id, row.instruction.required_words
        total = sum(step.word_count for step in row.steps)
        error = abs(total - wanted) / wanted if wanted else 0.0
        plans.append(
            {
                "instruction_id": key,
                "steps": len(row.steps),
                "length_error": error,
                "kept_share": len(rows) / asked,
                "calls": len(row.call_ids),
            }
        )
        seen: set[str] = set()
        for step in row.steps:
            point = " ".join(txt.tokens(step.main_point))
            steps.append(
                {
                    "instruction_id": key,
                    "word_count": step.word_count,
                    "empty": not point,
                    "seen": point in seen,
                    "refusal": wording.is_refusal(step.main_point),
                }
            )
            seen |= {point} - {""}
    return plans, steps


def example_table(rows: list[Example], benchmark: Sequence[str]) -> list[dict[str, Any]]:
    """Return one line an example, with the keys of `EXAMPLE_COLUMNS`.

    `identifier` tells whether a written row has what `dataset` strips; in an imported one it is a heading.
    `origins` counts the LLM calls that wrote a row; of an imported row, its source.
    """
    index = decontamination.index(benchmark)
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
                "refusal": wording.is_refusal(answer),
                "identifier": row.kind == "agentwrite"
                and wording.strip_identifiers(answer) != answer.strip(),
                "answer": answer,
                "opening_seen": opening in openings,
                "origins": len(row.call_ids) or int(row.origin is not None),
                "on_benchmark": any(
                    decontamination.hit(index, turn.content) for turn in row.messages if turn.role == "user"
                ),
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
            "refusal": wording.is_refusal(row.chosen[-1].content),
            "repeated_share": round(txt.repeated_share(row.chosen[-1].content), 6),
            "words_ratio": txt.count_words(row.chosen[-1].content) / rejected_mean,
            "calls": len(row.call_ids),
        }
        for side, rows in (("train", train), ("test", test))
        for row in rows
    ]


def _roles(messages: list[Message]) -> str:
    return "-".join(message.role for message in messages)
