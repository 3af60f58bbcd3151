"""The committed prompts can be filled, and the seeds are what they claim."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from longwriter import params
from longwriter.agentwrite.paragraphs import drafts as drafting
from longwriter.agentwrite.plans import coverage
from longwriter.agentwrite.plans import plan as planning
from longwriter.exclusions import decontamination
from longwriter.instructions import duplicates, patterns, screening, selection
from longwriter.io import files
from longwriter.lengths.stated import stated_length, statement
from longwriter.records import GeneralRow, Plan, PlanStep
from longwriter.schemas.rows import parse
from longwriter.talk import poison
from longwriter.text.basics.prompts import fill
from longwriter.text.language import identify
from tests.unit.builders import instruction


def rows(pattern):
    paths = sorted(Path("src/longwriter/seeds").glob(pattern))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_seed_instructions_cover_types_languages_and_lengths():
    seeds = rows("instructions/*.jsonl")
    assert len(seeds) >= 96
    assert len({row["prompt"] for row in seeds}) == len(seeds)
    assert len({row["type"] for row in seeds}) == 7
    assert min(Counter((row["language"], row["length"] is None) for row in seeds).values()) >= 10
    for row in seeds:
        stated = statement(row["prompt"])
        assert (stated.words, len(stated.places)) == (row["length"], int(bool(row["length"])))
        assert not stated.others


def test_general_chats_are_pairs_of_user_and_assistant():
    chats = rows("general/*.jsonl")
    assert len(chats) >= 40
    assert all([turn["role"] for turn in row["messages"]] == ["user", "assistant"] for row in chats)


FORMATS = {name: files.template(f"src/longwriter/prompts/format/{name}.txt") for name in ("lines", "json")}
BOUNDS = planning.Bounds(11, 22, 33, 44)


@pytest.mark.parametrize("answer_format", ["json_schema", "json_object", "lines"])
@pytest.mark.parametrize("name", ["plan.txt", "plan_short.txt"])
def test_a_committed_plan_prompt_is_filled_whole(name, answer_format):
    template = files.template(f"src/longwriter/prompts/{name}")
    prompt = planning.plan_prompt(template, FORMATS, answer_format, instruction("{潮} §"), BOUNDS)
    assert "{format}" not in prompt
    assert all(part in prompt for part in ("{潮} §", "11", "22", "33", "44"))
    shown = {name: text in prompt for name, text in FORMATS.items()}
    says_it = name == "plan.txt" or answer_format != "json_schema"
    assert shown == {"lines": answer_format == "lines", "json": answer_format != "lines" and says_it}


def test_the_wording_of_each_format_shows_what_its_reader_reads():
    found = FORMATS["lines"].partition("\n\n")[2].replace("[number]", "300")
    assert [step.word_count for step in planning.parse_plan(found, "lines")] == [300, 300]
    found = FORMATS["json"].partition("\n\n")[2].replace("number}, ...", "300}")
    assert [step.word_count for step in planning.parse_plan(found, "json_object")] == [300]
    assert "JSON" in FORMATS["json"]  # OpenAI's JSON mode refuses a prompt without the word


@pytest.mark.parametrize("name", ["write.txt", "write_short.txt"])
def test_a_committed_write_prompt_is_filled_whole(name):
    template = files.template(f"src/longwriter/prompts/{name}")
    steps = [PlanStep(main_point=f"Point {i}.", word_count=70 + i) for i in range(3)]
    plan = Plan(instruction=instruction("{潮} §"), steps=steps, call_ids=[])
    prompt = drafting.write_prompt(template, plan, 1, ["Written {before}."])
    assert all(part in prompt for part in ("{潮} §", "paragraph 2 of 3", "Point 1.", "71"))
    assert prompt.replace("{潮} §", "").replace("{before}", "").count("{") == 0


def test_the_committed_coverage_prompt_shows_the_judge_what_its_reader_reads():
    template = files.template("src/longwriter/prompts/coverage.txt")
    prompt = coverage.coverage_prompt(template, "{潮} §", "A plan")
    assert "{潮} §" in prompt
    assert "A plan" in prompt
    assert coverage.parse_coverage(prompt.splitlines()[-1].replace("true or false", "true")) is None


def test_the_long_write_prompt_shows_plan_and_text_and_its_step_last():
    """The text so far is a growing prefix: what is constant stands before it."""
    template = files.template("src/longwriter/prompts/write.txt")
    order = [
        template.index(f"{{{field}}}") for field in ("instruction", "plan", "text", "step", "main_point")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_wording_of_a_length_asks_for_it_once(language):
    folder = params.load().dataset.length_prompts
    wordings = files.template(f"{folder}/{language}.txt").splitlines()
    assert len(wordings) >= 3
    assert len(set(wordings)) == len(wordings)
    for wording in wordings:
        assert wording.count("{words}") == 1
        assert stated_length(fill(wording, words=77)) == 77


def test_the_seed_instructions_have_each_type_in_both_languages():
    seeds = [parse(row) for row in rows("instructions/*.jsonl")]
    found = Counter((row.language, row.type) for row in seeds)
    assert len(found) == 14
    assert min(found.values()) >= 3
    assert [identify(row.prompt) for row in seeds] == [row.language for row in seeds]


def limits(languages):
    folder = Path("src/longwriter/rules")
    harm, types = (patterns.read_patterns(folder / f"{name}.yaml") for name in ("harm", "types"))
    return screening.ScreeningLimits(languages, 1000, 10_000, harm, types, decontamination.index([]))


def test_every_seed_is_an_instruction_as_it_stands_and_none_is_another_in_other_words():
    seeds = rows("instructions/*.jsonl")
    found, rejected = screening.screen([("f:1", parse(row)) for row in seeds], limits(["en", "zh"]))
    assert rejected == []
    assert [item.instruction.prompt for item in found] == [row["prompt"] for row in seeds]
    ids = np.array([int(item.instruction.instruction_id, 16) for item in found], np.uint64)
    codes, _, _ = selection.reject_repeats(
        ids, duplicates.signatures([row["prompt"] for row in seeds]), [], 0.8
    )
    assert not codes.any()


def test_no_two_general_chats_are_the_same_and_none_would_be_stopped_by_the_gate():
    chats = [GeneralRow.model_validate(row) for row in rows("general/*.jsonl")]
    answers = [row.messages[-1].content for row in chats]
    assert len(set(answers)) == len(answers)
    faults = [found for found in map(poison.check_text, answers) if found]
    assert [found for found in faults if found.reason != "meta_talk"] == []  # in a chat, talk is no fault
