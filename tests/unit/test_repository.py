"""The five names of each stage agree, its deps are complete, and the seeds are what they claim."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from longwriter.core import agentwrite, select
from longwriter.core.text import is_refusal, stated_lengths
from longwriter.edges import files, versioning
from longwriter.params import Params
from longwriter.records import GeneralRow, PlanStep, SeedRow
from tests.unit.builders import instruction

STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
SOURCE = Path("src")


def imports(path):
    """Return the modules of `longwriter` that a file imports, as paths."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            file = SOURCE / (name.replace(".", "/") + ".py")
            if name.startswith("longwriter") and file.is_file():
                found.add(file)
    return found


def core_reached(path):
    todo, seen = [path], set()
    while todo:
        for file in imports(todo.pop()):
            if file.parent.name == "core" and file not in seen:
                seen.add(file)
                todo.append(file)
    return {str(file) for file in seen}


@pytest.mark.parametrize("name", STAGES)
def test_one_name_stands_in_five_places(name):
    files = versioning.stage_files(name)
    module = f"src/longwriter/stages/{name}.py"
    assert files.cmd == f"python -m longwriter.stages.{name}"
    assert Path(module).is_file()
    assert module in files.deps
    sections = {field.alias or key for key, field in Params.model_fields.items()}
    assert name in sections
    assert any(key == name or key.startswith(f"{name}.") for key in files.params)
    allowed = (f"data/{name}/", f"data/lineage/{name}.json")
    assert all(out.startswith(allowed) for out in files.outs)
    assert {f"data/lineage/{name}.json", f"data/{name}/metrics.json"} <= set(files.outs)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_that_decides_its_output_and_on_nothing_that_varies(name):
    deps = versioning.stage_files(name).deps
    assert core_reached(Path(f"src/longwriter/stages/{name}.py")) <= set(deps)
    assert not [dep for dep in deps if "lineage" in dep or dep.endswith("calls.jsonl.zst")]


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
        stated = [number for number, _, _ in stated_lengths(row["prompt"])]
        assert stated == ([row["length"]] if row["length"] else [])


def test_general_chats_are_pairs_of_user_and_assistant():
    chats = rows("general/*.jsonl")
    assert len(chats) >= 40
    assert all([turn["role"] for turn in row["messages"]] == ["user", "assistant"] for row in chats)


def parameter(dotted):
    value = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for key in dotted.split("."):
        value = value[key]
    return value


def reached(path):
    """Return every file of `longwriter` that a file imports, directly or through another."""
    todo, seen = [path], set()
    while todo:
        new = imports(todo.pop()) - seen
        seen |= new
        todo += new
    return seen


@pytest.mark.parametrize("name", STAGES)
def test_the_core_that_is_reached_through_an_edge_is_a_dependency_too(name):
    found = reached(Path(f"src/longwriter/stages/{name}.py"))
    assert {str(file) for file in found if file.parent.name == "core" and file.stem != "__init__"} <= set(
        versioning.stage_files(name).deps
    )


CLIENTS = {"files", "progress", "serving", "llm", "tracking", "versioning", "process", "__init__"}


@pytest.mark.parametrize("name", STAGES)
def test_an_edge_that_is_a_stages_rule_is_its_dependency(name):
    edges = {
        file for file in imports(Path(f"src/longwriter/stages/{name}.py")) if file.parent.name == "edges"
    }
    assert {str(file) for file in edges if file.stem not in CLIENTS} <= set(versioning.stage_files(name).deps)


def sections_read(name):
    """Return the sections that a stage's module reads from `params`."""
    tree = ast.parse(Path(f"src/longwriter/stages/{name}.py").read_text(encoding="utf-8"))
    read = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "params"
    }
    return {section.rstrip("_") for section in read}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_every_section_of_params_that_it_reads(name):
    declared = {key.split(".")[0] for key in versioning.stage_files(name).params}
    assert name in sections_read(name)
    assert sections_read(name) <= declared


PROMPTS = [("plan", "plan.prompt"), ("write", "write.prompt"), ("dataset", "dataset.length_prompts")]
SOURCES = [("instructions", "instructions.source"), ("dataset", "dataset.general_source")]


@pytest.mark.parametrize(("name", "key"), PROMPTS + SOURCES)
def test_prompts_and_sources_named_in_params_are_dependencies_and_exist(name, key):
    assert parameter(key) in versioning.stage_files(name).deps
    assert Path(parameter(key)).exists()


def test_every_file_named_prompt_in_params_is_looked_at_here():
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    named = {f"{s}.{k}" for s, v in values.items() for k in v if "prompt" in k}
    assert named == {key for _, key in PROMPTS}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_what_an_earlier_one_writes(name):
    earlier = {
        out
        for other in list(STAGES)[: list(STAGES).index(name)]
        for out in versioning.stage_files(other).outs
    }
    assert {dep for dep in versioning.stage_files(name).deps if dep.startswith("data/")} <= earlier


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if "plots" in stage])
def test_the_columns_of_a_plot_are_in_the_header_that_its_stage_writes(name):
    tree = ast.parse(Path(f"src/longwriter/stages/{name}.py").read_text(encoding="utf-8"))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    headers = [set(text.strip().split(",")) for text in texts if "," in text and text.endswith("\n")]
    for plot in STAGES[name]["plots"]:
        for style in plot.values():
            assert any({style["x"], style["y"]} <= header for header in headers), (style, headers)


@pytest.mark.parametrize("name", ["plan.txt", "plan_short.txt"])
def test_a_committed_plan_prompt_is_filled_whole(name):
    template = files.template(f"src/longwriter/prompts/{name}")
    prompt = agentwrite.plan_prompt(template, instruction("{潮} §"), agentwrite.Bounds(11, 22, 33, 44))
    assert prompt.replace("{潮} §", "").count("{") == 0
    assert all(part in prompt for part in ("{潮} §", "11", "22", "33", "44"))


@pytest.mark.parametrize("name", ["write.txt", "write_short.txt"])
def test_a_committed_write_prompt_is_filled_whole(name):
    template = files.template(f"src/longwriter/prompts/{name}")
    steps = [PlanStep(main_point=f"Point {i}.", word_count=70 + i) for i in range(3)]
    prompt = agentwrite.write_prompt(template, instruction("{潮} §"), steps, ["Written {before}."])
    assert all(part in prompt for part in ("{潮} §", "paragraph 2 of 3", "Point 1.", "71"))
    assert prompt.replace("{潮} §", "").replace("{before}", "").count("{") == 0


def test_the_long_write_prompt_shows_plan_and_text_and_its_step_last():
    """The text so far is a growing prefix: what is constant stands before it."""
    template = files.template("src/longwriter/prompts/write.txt")
    order = [
        template.index(f"{{{field}}}") for field in ("instruction", "plan", "text", "step", "main_point")
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_wording_of_a_length_asks_for_it_once(language):
    wordings = files.template(f"{parameter('dataset.length_prompts')}/{language}.txt").splitlines()
    assert len(wordings) >= 3
    assert len(set(wordings)) == len(wordings)
    for wording in wordings:
        assert wording.count("{words}") == 1
        assert [number for number, _, _ in stated_lengths(agentwrite.fill(wording, words=77))] == [77]


def test_the_seed_instructions_have_each_type_in_both_languages():
    seeds = [SeedRow.model_validate(row) for row in rows("instructions/*.jsonl")]
    found = Counter((row.language, row.type) for row in seeds)
    assert len(found) == 14
    assert min(found.values()) >= 3
    han = [any("\u4e00" <= char <= "\u9fff" for char in row.prompt) for row in seeds]
    assert han == [row.language == "zh" for row in seeds]


def test_no_two_seeds_are_the_same_instruction():
    items = [select.instruction_of(SeedRow.model_validate(row), "") for row in rows("instructions/*.jsonl")]
    assert len({item.instruction_id for item in items}) == len(items)
    assert all(
        item.prompt == row["prompt"] for item, row in zip(items, rows("instructions/*.jsonl"), strict=True)
    )


def test_no_two_general_chats_are_the_same_and_none_would_be_stopped_by_the_gate():
    chats = [GeneralRow.model_validate(row) for row in rows("general/*.jsonl")]
    answers = [row.messages[-1].content for row in chats]
    assert len(set(answers)) == len(answers)
    assert [answer for answer in answers if is_refusal(answer)] == []
