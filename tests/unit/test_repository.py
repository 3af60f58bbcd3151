"""The five names of each stage agree, and its dependencies and parameters are complete."""

import ast
import functools
from pathlib import Path

import pytest
import yaml

from longwriter.edges import versioning
from longwriter.params import Params

STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
NAMES = versioning.stage_names()
stage_files = functools.cache(versioning.stage_files)
SOURCE = Path("src")


def family(name):
    """Return the stage of dvc.yaml that `name` is, or is an item of."""
    return name.partition("@")[0]


def module(name):
    return SOURCE / "longwriter" / "stages" / f"{family(name)}.py"


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


@pytest.mark.parametrize("name", NAMES)
def test_one_name_stands_in_five_places(name):
    files = stage_files(name)
    stage, _, item = name.partition("@")
    words = item.split("-") if item else []
    assert files.cmd == " ".join(["python -m", f"longwriter.stages.{stage}", *words])
    assert module(name).is_file()
    assert str(module(name)) in files.deps
    sections = {field.alias or key for key, field in Params.model_fields.items()}
    assert stage in sections
    assert any(key == stage or key.startswith(f"{stage}.") for key in files.params)
    folder = f"data/{stage}/{item}/" if item else f"data/{stage}/"
    allowed = (folder, f"data/lineage/{name}.json")
    assert all(out.startswith(allowed) for out in files.outs)
    assert {f"data/lineage/{name}.json", f"{folder}metrics.json"} <= set(files.outs)


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_depends_on_all_that_decides_its_output_and_on_nothing_that_varies(name):
    deps = stage_files(name).deps
    assert core_reached(module(name)) <= set(deps)
    assert not [dep for dep in deps if "lineage" in dep or dep.endswith(("calls.jsonl.zst", "summary.json"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_that_logs_calls_says_in_a_summary_what_they_took_and_others_have_none(name):
    calls, summary = (
        [out for out in stage_files(name).outs if Path(out).name == file]
        for file in ("calls.jsonl.zst", "summary.json")
    )
    assert [Path(out).parent for out in summary] == [Path(out).parent for out in calls]


def test_the_wording_of_each_answer_format_is_a_dependency_of_the_plan():
    assert [dep for dep in stage_files("plan").deps if dep == "src/longwriter/prompts/format"]
    assert list(Path("src/longwriter/prompts/format").iterdir())


def test_each_model_answers_and_is_scored_on_each_benchmark_and_each_benchmark_is_reported():
    benchmarks = parameter("generate.benchmarks")
    pairs = [f"{model}-{benchmark}" for model in ("base_model", "sft", "dpo") for benchmark in benchmarks]
    items = {stage: [name.partition("@")[2] for name in NAMES if family(name) == stage] for stage in STAGES}
    assert items["generate"] == items["score"] == pairs
    assert items["report"] == benchmarks
    for pair in pairs:
        model, benchmark = pair.split("-")
        generate = stage_files(f"generate@{pair}").deps
        assert {f"data/{model}/weights", f"{parameter('generate.folder')}/{benchmark}.jsonl"} <= set(generate)
        scores = f"data/score/{pair}/scores.jsonl"
        assert scores in stage_files(f"score@{pair}").outs
        assert scores in stage_files(f"report@{benchmark}").deps


def test_the_model_that_is_registered_is_the_one_that_params_name():
    deps = stage_files("register").deps
    assert f"data/{parameter('register.model')}/weights" in deps
    assert "data/report" in deps


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


@pytest.mark.parametrize("name", NAMES)
def test_the_core_that_is_reached_through_an_edge_is_a_dependency_too(name):
    found = reached(module(name))
    assert {str(file) for file in found if file.parent.name == "core" and file.stem != "__init__"} <= set(
        stage_files(name).deps
    )


CLIENTS = {
    "files", "hub", "launch", "llm", "models", "packs", "process", "progress", "serving", "tracking",
    "versioning", "__init__",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_edge_that_is_a_stages_rule_is_its_dependency(name):
    edges = {file for file in imports(module(name)) if file.parent.name == "edges"}
    assert {str(file) for file in edges if file.stem not in CLIENTS} <= set(stage_files(name).deps)


@pytest.mark.parametrize("name", [name for name in NAMES if family(name) in ("sample", "generate")])
def test_the_converter_of_weights_is_a_dependency_where_a_trained_model_answers(name):
    assert "src/longwriter/edges/weights.py" in stage_files(name).deps


def sections_read(name):
    """Return the sections that a stage's module reads from `params`."""
    tree = ast.parse(module(name).read_text(encoding="utf-8"))
    read = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "params"
    }
    return {section.rstrip("_") for section in read}


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_declares_every_section_of_params_that_it_reads(name):
    declared = {key.split(".")[0] for key in stage_files(name).params}
    assert family(name) in sections_read(name)
    assert sections_read(name) <= declared


PROMPTS = [
    ("instructions", "instructions.judge_prompt"),
    ("plan", "plan.prompt"),
    ("plan", "plan.coverage_prompt"),
    ("write", "write.prompt"),
    ("dataset", "dataset.length_prompts"),
    ("preferences", "judge.prompt"),
    ("score@sft-small", "judge.prompt"),
]
SOURCES = [
    ("instructions", "instructions.source"),
    ("instructions", "instructions.rules"),
    ("instructions", "generate.folder"),
    ("dataset", "dataset.general_source"),
]


@pytest.mark.parametrize(("name", "key"), PROMPTS + SOURCES)
def test_prompts_and_sources_named_in_params_are_dependencies_and_exist(name, key):
    assert parameter(key) in stage_files(name).deps
    assert Path(parameter(key)).exists()


def test_every_file_named_prompt_in_params_is_looked_at_here():
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    named = {f"{s}.{k}" for s, v in values.items() for k in v if "prompt" in k}
    assert named == {key for _, key in PROMPTS}


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_reads_only_what_an_earlier_one_writes(name):
    earlier = [out for other in NAMES[: NAMES.index(name)] for out in stage_files(other).outs]
    for dep in stage_files(name).deps:
        if dep.startswith("data/"):
            assert [out for out in earlier if out == dep or out.startswith(f"{dep}/")], dep


def headers_in(path):
    """Return the CSV headers among a file's texts."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    lines = [text for text in constants if isinstance(text, str) and "," in text and text.endswith("\n")]
    return [set(text.strip().split(",")) for text in lines]


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if "plots" in stage])
def test_the_columns_of_a_plot_are_in_the_header_that_its_stage_writes(name):
    headers = [header for path in {module(name), *imports(module(name))} for header in headers_in(path)]
    for plot in STAGES[name]["plots"]:
        for style in plot.values():
            assert any({style["x"], style["y"]} <= header for header in headers), (style, headers)


@pytest.mark.parametrize("folder", ["core", "edges"])
def test_the_readme_has_the_first_line_of_every_file(folder):
    readme = Path("README.md").read_text(encoding="utf-8")
    _, _, table = readme.partition(f"<code>src/longwriter/{folder}/</code>")
    lines = {line for line in table.partition("</details>")[0].splitlines() if line.startswith("| `")}
    told = {
        file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]
        for file in (SOURCE / "longwriter" / folder).glob("*.py")
        if file.stem != "__init__"
    }
    assert lines == {f"| `{name}` | {line.rstrip('.')} |" for name, line in told.items()}
