"""Clean rows for each gate, and for each expectation the single defect that it must find."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from longwriter import params
from longwriter.gates import examples, instructions, pairs, plans
from longwriter.gates.suite import gx, verdicts
from longwriter.params import ValidateParams
from longwriter.params.data import InstructionsGate
from longwriter.params.training import PreferencesParams
from longwriter.records import Instruction, Message, Plan, PlanStep, PreferencePair
from tests.unit.builders import example, instruction, prose

BENCHMARK = ["Tell the tale of a lighthouse keeper in about 150 words."]

_PARAMS = params.load()
INSTRUCTION_BOUNDS = _PARAMS.instructions.model_copy(
    update={
        "max_required_words": 400,
        "gate": InstructionsGate(
            min_rows=6, min_prompt_words=4, max_prompt_words=60, max_type_share=0.5,
            warn=["stated_length_is_true", "types_balanced"],
        ),
    }
)  # fmt: skip
_PLAN = _PARAMS.plan
PLAN_BOUNDS = _PLAN.model_copy(
    update={
        "min_steps": 1, "max_steps": 3, "min_step_words": 50, "max_step_words": 100,
        "gate": _PLAN.gate.model_copy(
            update={"min_rows": 4, "min_kept_share": 0.5, "max_length_error": 0.2, "warn": ["sum_is_near"]}
        ),
    }
)  # fmt: skip
BOUNDS = ValidateParams(
    min_rows=8, min_words=100, max_words=400, max_repeated_share=0.2, min_distinct_share=0.5,
    max_length_error=0.1, warn=["distinct_openings"],
)  # fmt: skip
PAIR_BOUNDS = PreferencesParams(
    quality_weight=0.0, min_gap=5.0, test_share=0.25, min_pairs=6, max_words_ratio=2.0,
    warn=["lengths_alike"], seed=0,
)  # fmt: skip


def asked(key: int, prompt: str | None = None, **fields: Any) -> Instruction:
    """Return an instruction that the gate lets through."""
    base = {
        "instruction_id": f"s{key}",
        "required_words": 150,
        "type": f"Type {key % 4}",
        "origin": f"seeds/en.jsonl:{key + 1}",
    }
    return instruction(prompt or f"Write 150 words on {prose(3, key)}", **{**base, **fields})


def ask_list(**fields: Any) -> list[Instruction]:
    """Return clean instructions, the last one with other fields."""
    return [asked(i) for i in range(7)] + [asked(9, **fields)]


def planned(key: int, steps: list[tuple[str, int]] | None = None, **fields: Any) -> Plan:
    """Return a plan that the gate lets through."""
    points = steps or [(f"The first {prose(2, key)}", 80), (f"The second {prose(2, key)}", 70)]
    made = [PlanStep(main_point=point, word_count=words) for point, words in points]
    base = {"instruction": asked(key), "steps": made, "call_ids": ["c"]}
    return Plan(**{**base, **fields})


def plan_list(**fields: Any) -> list[Plan]:
    """Return clean plans, the last one with other fields."""
    return [planned(i) for i in range(5)] + [planned(9, **fields)]


def of_eight(**fields: Any) -> tuple[list[Plan], int]:
    """Return `plan_list` as the plans of eight instructions."""
    return plan_list(**fields), 8


def clean() -> list[Any]:
    """Return training examples that the gate lets through."""
    return [example(i, words=150) for i in range(10)]


def with_answer(row: Any, answer: str, **fields: Any) -> Any:
    """Return a row with another answer."""
    messages = [row.messages[0], Message(role="assistant", content=answer)]
    return row.model_copy(update={"messages": messages, **fields})


def long_enough(opening: str) -> str:
    """Return a text of 150 words that begins with `opening`."""
    return f"{opening} {prose(150 - len([w for w in opening.split() if w[0].isalpha()]), 'p')}"


def changed(**fields: Any) -> list[Any]:
    """Return clean examples, the last one with other fields."""
    return [*clean()[:-1], clean()[-1].model_copy(update=fields)]


def answered(answer: str) -> list[Any]:
    """Return clean examples, the last one with another answer."""
    return [*clean()[:-1], with_answer(clean()[-1], answer)]


def pair(key: int, chosen_words: int = 100, rejected_words: int = 60, **fields: Any) -> PreferencePair:
    """Return a preference pair that the gate lets through."""
    base = {
        "pair_id": f"s{key}",
        "instruction_id": f"i{key}",
        "language": "en",
        "required_words": 100,
        "prompt": says("user", f"Write 100 words on {key}."),
        "chosen": says("assistant", prose(chosen_words, f"c{key}")),
        "rejected": says("assistant", prose(rejected_words, f"r{key}")),
        "chosen_score": 100.0,
        "rejected_score": 95.0,
        "call_ids": ["c", "r"],
    }
    return PreferencePair(**{**base, **fields})


def says(role: str, text: str) -> list[Message]:
    """Return one turn of a chat."""
    return [Message(role=role, content=text)]


def pair_lists(**fields: Any) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return clean pairs of train and test, the last one of train with other fields."""
    return [pair(i) for i in range(5)] + [pair(9, **fields)], [pair(i) for i in (6, 7)]


class Suite(NamedTuple):
    """A gate, rows that it lets through, and a defect for each of its expectations.

    `unnamed` are the expectations about the whole set, which name no row; the others name "s9".
    """

    judge: Callable[[Any], list[verdicts.Finding]]
    clean: Callable[[], Any]
    defects: dict[str, Callable[[], Any]]
    warn: tuple[str, ...]
    unnamed: tuple[str, ...]


SUITES = {
    "instructions": Suite(
        lambda rows: gx.run(instructions.gate(rows, INSTRUCTION_BOUNDS, BENCHMARK), None),
        ask_list,
        {
            "enough_rows": lambda: ask_list()[:5],
            "unique_ids": lambda: ask_list(instruction_id="s0"),
            "unique_prompts": lambda: ask_list(prompt=asked(0).prompt.upper()),
            "known_language": lambda: ask_list(prompt="写一篇关于灯塔守望者的短文。", language="zh"),
            "language_is_true": lambda: ask_list(prompt="写一篇关于灯塔守望者的短文。"),
            "prompt_in_bounds": lambda: ask_list(prompt="A poem, please."),
            "length_in_reach": lambda: ask_list(prompt=f"Write on {prose(3, 9)}", required_words=401),
            "stated_length_is_true": lambda: ask_list(required_words=200),
            "no_benchmark_prompt": lambda: ask_list(prompt=BENCHMARK[0].replace("tale", "story")),
            "traceable": lambda: ask_list(origin="somewhere"),
            "types_balanced": lambda: [asked(i, type="Only") for i in range(5)] + [asked(5), asked(6)],
        },
        warn=("stated_length_is_true", "types_balanced"),
        unnamed=("enough_rows", "unique_ids", "types_balanced"),
    ),
    "plan": Suite(
        lambda rows: gx.run(plans.gate(*rows, PLAN_BOUNDS), None),
        lambda: (plan_list(), 8),
        {
            "enough_rows": lambda: (plan_list()[:3], 6),
            "enough_kept": lambda: (plan_list(), 13),
            "unique_ids": lambda: of_eight(instruction=asked(0)),
            "steps_in_bounds": lambda: of_eight(steps=[(f"{n} point", 50) for n in range(4)],
                                                 instruction=asked(9, required_words=200)),
            "step_words_in_bounds": lambda: of_eight(steps=[("All of it", 150)]),
            "points_say_something": lambda: of_eight(steps=[("A point", 80), ("…", 70)]),
            "points_differ": lambda: of_eight(steps=[(point, 75) for point in ("The sea.", "the sea")]),
            "no_refusal": lambda: of_eight(steps=[("I'm sorry, but I cannot help.", 75), ("End", 75)]),
            "sum_is_near": lambda: of_eight(steps=[("Half of it", 75)]),
            "traceable": lambda: of_eight(call_ids=[]),
        },
        warn=("sum_is_near",),
        unnamed=("enough_rows", "enough_kept", "unique_ids"),
    ),
    "validate": Suite(
        lambda rows: gx.run(examples.gate(rows, BOUNDS, BENCHMARK), None),
        clean,
        {
            "enough_rows": lambda: clean()[:5],
            "unique_ids": lambda: changed(sample_id="s0"),
            "unique_answers": lambda: answered(clean()[0].messages[1].content),
            "roles_in_turn": lambda: changed(messages=[*clean()[9].messages[:1] * 2, clean()[9].messages[1]]),
            "known_language": lambda: changed(language="fr"),
            "no_refusal": lambda: answered(long_enough("As an AI assistant,")),
            "no_benchmark_prompt": lambda: changed(messages=[*says("user", BENCHMARK[0].upper()), clean()[9].messages[1]]),
            "length_in_bounds": lambda: [*clean()[:-1], example(9, words=50)],
            "no_loop": lambda: answered("the cat sat on the mat " * 25),
            "no_identifier": lambda: answered(long_enough("Paragraph 2:")),
            "asked_length_is_written": lambda: changed(required_words=300),
            "recorded_length_is_true": lambda: changed(words=149),
            "traceable": lambda: changed(call_ids=[]),
            "distinct_openings": lambda: [
                with_answer(row, f"{prose(20, 'same')} {prose(130, row.sample_id)}") for row in clean()
            ],
        },
        warn=("distinct_openings",),
        unnamed=("enough_rows", "unique_ids", "distinct_openings"),
    ),
    "preferences": Suite(
        lambda rows: gx.run(pairs.gate(*rows, PAIR_BOUNDS, 0.2), None),
        pair_lists,
        {
            "enough_pairs": lambda: ([pair(i) for i in range(4)], [pair(6)]),
            "both_sides_have_pairs": lambda: ([pair(i) for i in range(8)], []),
            "sides_apart": lambda: pair_lists(instruction_id="i6"),
            "unique_ids": lambda: pair_lists(pair_id="s0"),
            "roles_in_turn": lambda: pair_lists(prompt=says("system", "Write.")),
            "chosen_differs": lambda: pair_lists(rejected=says("assistant", prose(100, "c9"))),
            "chosen_is_ahead": lambda: pair_lists(rejected_score=95.001),
            "no_refusal": lambda: pair_lists(chosen=says("assistant", "I'm sorry, but I cannot write this. " + prose(90))),
            "no_loop": lambda: pair_lists(chosen=says("assistant", "the cat sat on the mat " * 15)),
            "traceable": lambda: pair_lists(call_ids=[]),
            "lengths_alike": lambda: ([pair(i, 130) for i in range(6)], [pair(i, 130) for i in (6, 7)]),
        },
        warn=("lengths_alike",),
        unnamed=("enough_pairs", "both_sides_have_pairs", "unique_ids", "lengths_alike"),
    ),
}  # fmt: skip


@functools.cache
def found(gate: str, defect: str | None) -> tuple[verdicts.Finding, ...]:
    """Return what a gate finds in its clean rows, or in those with one defect; judged once a process."""
    suite = SUITES[gate]
    rows = suite.defects[defect]() if defect else suite.clean()
    return tuple(suite.judge(rows))
