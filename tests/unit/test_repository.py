"""The five names of each stage agree, its deps are complete, and the seeds are what they claim."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from longwriter.core.text import stated_lengths
from longwriter.edges import versioning
from longwriter.params import Params

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
