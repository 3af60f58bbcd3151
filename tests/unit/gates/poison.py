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
from longwriter.text.basics.counting import count_words
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
    quality_weight=0.0, min_gap=5.0, max_pair_ratio=None, general_source="pairs", general_share=0.0, test_share=0.25, min_pairs=6, max_words_ratio=2.0,
    warn=["lengths_alike"], seed=0, judge=_PARAMS.preferences.judge,
)  # fmt: skip

FRENCH = (
    "Le vieux facteur savait qui attendait une lettre et qui avait peur d'en recevoir. Pendant quarante ans, il avait"
    " marché par tous les temps, et le jour de son dernier tour, il trouva devant chaque porte une petite enveloppe."
)


def good_instruction(key: int, prompt: str | None = None, **fields: Any) -> Instruction:
    """Return an instruction that the gate passes."""
    base = {
        "instruction_id": f"s{key}",
        "required_words": 150,
        "type": f"Type {key % 4}",
        "origin": f"seeds/en.jsonl:{key + 1}",
    }
    return instruction(prompt or f"Write 150 words on {prose(3, key)}", **{**base, **fields})


def instruction_list(**fields: Any) -> list[Instruction]:
    """Return clean instructions, the last one with other fields."""
    return [good_instruction(i) for i in range(7)] + [good_instruction(9, **fields)]


def good_plan(key: int, steps: list[tuple[str, int]] | None = None, **fields: Any) -> Plan:
    """Return a plan that the gate passes."""
    points = steps or [(f"The first {prose(2, key)}", 80), (f"The second {prose(2, key)}", 70)]
    plan_steps = [PlanStep(main_point=point, word_count=words) for point, words in points]
    base = {"instruction": good_instruction(key), "steps": plan_steps, "call_ids": ["c"]}
    return Plan(**{**base, **fields})


def plan_list(**fields: Any) -> list[Plan]:
    """Return clean plans, the last one with other fields."""
    return [good_plan(i) for i in range(5)] + [good_plan(9, **fields)]


def plans_of_eight(**fields: Any) -> tuple[list[Plan], int]:
    """Return `plan_list` as the plans of eight instructions."""
    return plan_list(**fields), 8


def good_examples() -> list[Any]:
    """Return training examples that the gate passes."""
    return [example(i, words=150) for i in range(10)]


def with_answer(row: Any, answer: str, **fields: Any) -> Any:
    """Return a row with another answer."""
    messages = [row.messages[0], Message(role="assistant", content=answer)]
    return row.model_copy(update={"messages": messages, **fields})


def long_enough(opening: str) -> str:
    """Return a text of 150 words that begins with `opening`."""
    return f"{opening} {prose(150 - len([w for w in opening.split() if w[0].isalpha()]), 'p')}"


def examples_with(**fields: Any) -> list[Any]:
    """Return clean examples, the last one with other fields."""
    return [*good_examples()[:-1], good_examples()[-1].model_copy(update=fields)]


def examples_with_answer(answer: str) -> list[Any]:
    """Return clean examples, the last one with another answer."""
    return [*good_examples()[:-1], with_answer(good_examples()[-1], answer)]


def pair(key: int, chosen_words: int = 100, rejected_words: int = 60, **fields: Any) -> PreferencePair:
    """Return a preference pair that the gate passes."""
    base = {
        "pair_id": f"s{key}",
        "instruction_id": f"i{key}",
        "language": "en",
        "required_words": 100,
        "prompt": turn("user", f"Write 100 words on {key}."),
        "chosen": turn("assistant", prose(chosen_words, f"c{key}")),
        "rejected": turn("assistant", prose(rejected_words, f"r{key}")),
        "chosen_score": 100.0,
        "rejected_score": 95.0,
        "call_ids": ["c", "r"],
    }
    return PreferencePair(**{**base, **fields})


def turn(role: str, text: str) -> list[Message]:
    """Return one turn of a chat."""
    return [Message(role=role, content=text)]


def pair_lists(**fields: Any) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return clean pairs of train and test, the last one of train with other fields."""
    return [pair(i) for i in range(5)] + [pair(9, **fields)], [pair(i) for i in (6, 7)]


class Suite(NamedTuple):
    """A gate, rows that it passes, and a defect for each of its expectations.

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
        instruction_list,
        {
            "enough_rows": lambda: instruction_list()[:5],
            "unique_ids": lambda: instruction_list(instruction_id="s0"),
            "unique_prompts": lambda: instruction_list(prompt=good_instruction(0).prompt.upper()),
            "known_language": lambda: instruction_list(prompt="写一篇关于灯塔守望者的短文。", language="zh"),
            "language_is_true": lambda: instruction_list(prompt="写一篇关于灯塔守望者的短文。"),
            "prompt_in_bounds": lambda: instruction_list(prompt="A poem, please."),
            "length_in_reach": lambda: instruction_list(prompt=f"Write on {prose(3, 9)}", required_words=401),
            "stated_length_is_true": lambda: instruction_list(required_words=200),
            "no_benchmark_prompt": lambda: instruction_list(prompt=BENCHMARK[0].replace("tale", "story")),
            "traceable": lambda: instruction_list(origin="somewhere"),
            "types_balanced": lambda: [good_instruction(i, type="Only") for i in (0, 1, 2, 3, 9)] + [good_instruction(5), good_instruction(6)],
        },
        warn=("stated_length_is_true", "types_balanced"),
        unnamed=("enough_rows", "unique_ids"),
    ),
    "plan": Suite(
        lambda rows: gx.run(plans.gate(*rows, PLAN_BOUNDS), None),
        lambda: (plan_list(), 8),
        {
            "enough_rows": lambda: (plan_list()[:3], 6),
            "enough_kept": lambda: (plan_list(), 13),
            "unique_ids": lambda: plans_of_eight(instruction=good_instruction(0)),
            "steps_in_bounds": lambda: plans_of_eight(steps=[(f"{n} point", 50) for n in range(4)],
                                                 instruction=good_instruction(9, required_words=200)),
            "step_words_in_bounds": lambda: plans_of_eight(steps=[("All of it", 150)]),
            "points_say_something": lambda: plans_of_eight(steps=[("A point", 80), ("…", 70)]),
            "points_differ": lambda: plans_of_eight(steps=[(point, 75) for point in ("The sea.", "the sea")]),
            "no_refusal": lambda: plans_of_eight(steps=[("I'm sorry, but I cannot help.", 75), ("End", 75)]),
            "sum_is_near": lambda: plans_of_eight(steps=[("Half of it", 75)]),
            "traceable": lambda: plans_of_eight(call_ids=[]),
        },
        warn=("sum_is_near",),
        unnamed=("enough_rows", "enough_kept", "unique_ids"),
    ),
    "validate": Suite(
        lambda rows: gx.run(examples.gate(rows, BOUNDS, BENCHMARK), None),
        good_examples,
        {
            "enough_rows": lambda: good_examples()[:5],
            "unique_ids": lambda: examples_with(sample_id="s0"),
            "unique_answers": lambda: examples_with_answer(good_examples()[0].messages[1].content),
            "roles_in_turn": lambda: examples_with(messages=[*good_examples()[9].messages[:1] * 2, good_examples()[9].messages[1]]),
            "known_language": lambda: examples_with(language="fr"),
            "no_refusal": lambda: examples_with_answer(long_enough("Sorry, I cannot.")),
            "no_reasoning_text": lambda: examples_with_answer(f"<think>{prose(149, 'p')}"),
            "no_control_tokens": lambda: examples_with_answer(long_enough("The harbour<|im_end|>")),
            "no_meta_talk": lambda: examples_with_answer(
                f"{prose(70, 'a')}\n\nHere is the second paragraph of the text: {prose(72, 'b')}"
            ),
            "no_other_language": lambda: examples_with_answer(f"{prose(150 - count_words(FRENCH), 'a')}\n\n{FRENCH}"),
            "no_benchmark_prompt": lambda: examples_with(messages=[*turn("user", BENCHMARK[0].upper()), good_examples()[9].messages[1]]),
            "length_in_bounds": lambda: [*good_examples()[:-1], example(9, words=50)],
            "no_loop": lambda: examples_with_answer("the cat sat on the mat " * 25),
            "no_identifier": lambda: examples_with_answer(long_enough("Paragraph 2:")),
            "asked_length_is_written": lambda: examples_with(required_words=300),
            "recorded_length_is_true": lambda: examples_with(words=149),
            "traceable": lambda: examples_with(call_ids=[]),
            "distinct_openings": lambda: [
                with_answer(row, f"{prose(20, 'same')} {prose(130, row.sample_id)}") for row in good_examples()
            ],
        },
        warn=("distinct_openings",),
        unnamed=("enough_rows", "unique_ids"),
    ),
    "preferences": Suite(
        lambda rows: gx.run(pairs.gate(*rows, PAIR_BOUNDS, 0.2), None),
        pair_lists,
        {
            "enough_pairs": lambda: ([pair(i) for i in range(4)], [pair(6)]),
            "both_sides_have_pairs": lambda: ([pair(i) for i in range(8)], []),
            "sides_apart": lambda: pair_lists(instruction_id="i6"),
            "unique_ids": lambda: pair_lists(pair_id="s0"),
            "roles_in_turn": lambda: pair_lists(prompt=turn("system", "Write.")),
            "chosen_differs": lambda: pair_lists(rejected=turn("assistant", prose(100, "c9"))),
            "chosen_is_ahead": lambda: pair_lists(rejected_score=95.001),
            "no_refusal": lambda: pair_lists(chosen=turn("assistant", "I'm sorry, but I cannot write this. " + prose(90))),
            "no_reasoning_text": lambda: pair_lists(chosen=turn("assistant", f"{prose(50, 'a')} <think>More? {prose(48, 'b')}")),
            "no_control_tokens": lambda: pair_lists(rejected=turn("assistant", f"{prose(30, 'a')}\x00 {prose(30, 'b')}")),
            "no_meta_talk": lambda: pair_lists(chosen=turn("assistant", f"{prose(90, 'a')}\n\nI hope this essay helps you.")),
            "no_other_language": lambda: pair_lists(chosen=turn("assistant", f"{prose(90, 'a')}\n\n{FRENCH}")),
            "no_loop": lambda: pair_lists(chosen=turn("assistant", "the cat sat on the mat " * 15)),
            "traceable": lambda: pair_lists(call_ids=[]),
            "lengths_alike": lambda: ([pair(i, 130) for i in range(6)], [pair(i, 130) for i in (6, 7)]),
        },
        warn=("lengths_alike",),
        unnamed=("enough_pairs", "both_sides_have_pairs", "unique_ids", "lengths_alike"),
    ),
}  # fmt: skip


@functools.cache
def findings_of(gate: str, defect: str | None) -> tuple[verdicts.Finding, ...]:
    """Return the findings of a gate about its clean rows, or rows with one defect; cached per process."""
    suite = SUITES[gate]
    rows = suite.defects[defect]() if defect else suite.clean()
    return tuple(suite.judge(rows))
