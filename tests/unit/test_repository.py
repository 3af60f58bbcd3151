"""The five names of each stage agree, and its dependencies and parameters are complete."""

import ast
import functools
import itertools
import re
import tomllib
from pathlib import Path

import networkx
import pytest
import yaml

from longwriter.params import Params
from longwriter.tracking import versioning

STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
NAMES = versioning.stage_names()
stage_files = functools.cache(versioning.stage_files)
SOURCE = Path("src")


def family(name):
    """Return the stage of dvc.yaml that `name` is, or is an item of."""
    return name.partition("@")[0]


def module(name):
    return SOURCE / "longwriter" / "stages" / f"{family(name)}.py"


@functools.cache
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


def reached(*paths):
    """Return `paths` and every file of `longwriter` that they import, directly or through others but `TABLES`."""
    todo, seen = list(paths), set(paths)
    while todo:
        path = todo.pop()
        new = imports(path) - seen if path != TABLES else set()
        seen |= new
        todo += new
    return seen


TABLES = (
    SOURCE / "longwriter" / "execution" / "tables.py"
)  # scores the rows that it shows; no stage reads them
RANK = SOURCE / "longwriter" / "training" / "ranks" / "rank.py"  # started by name, in processes of its own
STARTED = {"sft": [RANK], "dpo": [RANK]}

# Files that do not decide what a stage writes: clients, serving, tracking, launch. A folder stands for all in it.
UNDECIDING = {
    "llm", "endpoints", "calls", "io", "web", "tracking", "params", "settings", "amounts.py", "errors.py", "hashing.py", "records.py",
    "models/llamacpp_server.py", "models/server_keeper.py", "models/servers.py", "execution",
    "text/inert.py",  # tracking shows texts with it; where it decides an output, dvc.yaml names it
    "launch", "traces", "training/fitting.py", "training/states.py",
}  # fmt: skip
DECIDING = {
    "calls/answers.py",
    "llm/asking.py",
}  # in a folder of the above: which answer a stage uses, and its text
CONVERTS = (
    "sample",
    "generate",
    "short_prompts",
)  # stages in which a trained model answers, so its converter decides
GATED = ("instructions", "plan", "validate", "preferences")  # stages with a gate: they write a verdict


def deciding(name):
    """Return the files of `longwriter` that decide what a stage writes."""
    files = {
        file.relative_to(SOURCE / "longwriter") for file in reached(module(name), *STARTED.get(name, []))
    }
    decides = {
        file
        for file in files
        if str(file) in DECIDING or not {str(file), *map(str, file.parents)} & UNDECIDING
    }
    if family(name) not in (*CONVERTS, "base_model"):
        decides = {file for file in decides if file.parts[0] != "models"}
    if family(name) not in GATED:  # to check a verdict decides nothing
        decides = {file for file in decides if file.parts[0] != "gates"}
    return {SOURCE / "longwriter" / file for file in decides}


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
    always = {f"data/lineage/{name}.json", f"{folder}metrics.json", f"{folder}headline.json"}
    assert always <= set(files.outs)


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_depends_on_all_that_decides_its_output_and_on_nothing_that_varies(name):
    deps = stage_files(name).deps
    missing = [file for file in deciding(name) if not {str(file), *map(str, file.parents)} & set(deps)]
    assert not missing
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
    pairs = [f"{model}-{benchmark}" for model in parameter("compare.models") for benchmark in benchmarks]
    items = {stage: [name.partition("@")[2] for name in NAMES if family(name) == stage] for stage in STAGES}
    assert items["generate"] == items["score"] == pairs
    assert items["report"] == benchmarks
    for pair in pairs:
        model, benchmark = pair.split("-")
        generate = stage_files(f"generate@{pair}").deps
        assert {f"data/{model}/weights", f"data/benchmarks/files/{benchmark}.jsonl"} <= set(generate)
        scores = f"data/score/{pair}/scores.jsonl"
        assert scores in stage_files(f"score@{pair}").outs
        assert {scores, *map(str, Path(scores).parents)} & set(stage_files(f"report@{benchmark}").deps)


def test_the_model_that_is_registered_is_the_one_that_params_name():
    deps = stage_files("register").deps
    assert f"data/{parameter('register.model')}/weights" in deps
    assert "data/report" in deps


def parameter(dotted):
    value = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for key in dotted.split("."):
        value = value[key]
    return value


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
    ("instructions", "instructions.judge.prompt"),
    ("plan", "plan.prompt"),
    ("plan", "plan.judge.prompt"),
    ("write", "write.prompt"),
    ("dataset", "dataset.length_prompts"),
    ("preferences", "preferences.judge.prompt"),
    ("score@sft-small", "score.prompt"),
    ("fitness", "score.prompt"),
    ("pairwise", "pairwise.prompt"),
]
SOURCES = [
    ("instructions", "instructions.source"),
    ("instructions", "instructions.rules"),
    ("benchmarks", "instructions.source"),
    ("benchmarks", "generate.folder"),
    ("dataset", "dataset.general_source"),
    ("benchmarks", "short_prompts.source"),
    ("short_prompts@sft", "short_prompts.source"),
    ("fitness", "fitness.votes"),
]


@pytest.mark.parametrize(("name", "key"), PROMPTS + SOURCES)
def test_prompts_and_sources_named_in_params_are_dependencies_and_exist(name, key):
    assert parameter(key) in stage_files(name).deps
    assert Path(parameter(key)).exists()


def test_every_file_named_prompt_in_params_is_looked_at_here():
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    sections = {
        **values,
        **{
            f"{name}.{key}": inner
            for name, section in values.items()
            for key, inner in section.items()
            if isinstance(inner, dict)
        },
    }
    named = {
        f"{s}.{k}"
        for s, v in sections.items()
        for k, value in v.items()
        if "prompt" in k and isinstance(value, str)
    }
    assert named == {key for _, key in PROMPTS}


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_reads_only_what_an_earlier_one_writes(name):
    earlier = [out for other in NAMES[: NAMES.index(name)] for out in stage_files(other).outs]
    for dep in stage_files(name).deps:
        if dep.startswith("data/"):
            assert [
                out for out in earlier if out == dep or out.startswith(f"{dep}/") or dep.startswith(f"{out}/")
            ], dep


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


def test_the_modules_that_call_themselves_pure_are_the_ones_that_import_linter_checks():
    contracts = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    checked = next(
        contract["source_modules"] for contract in contracts if contract["name"].startswith("pure")
    )
    named = [
        ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for file in SOURCE.rglob("*.py")
        if re.search(
            r"(^|\s)Pure\.(\s|$)", ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        )
    ]
    assert sorted(named) == sorted(checked)


def test_the_graph_of_the_readme_is_that_of_dvc_yaml():
    edges = {
        (source, name)
        for name, stage in STAGES.items()
        for dep in stage.get("do", stage)["deps"]
        if isinstance(dep, str)
        and (source := dep.removeprefix("data/").split("/")[0]) in set(STAGES) - {name}
    }
    [graph] = re.findall(
        r"```mermaid\ngraph LR\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    drawn = {edge for line in graph.splitlines() for edge in itertools.pairwise(line.strip().split(" --> "))}
    assert drawn == set(networkx.transitive_reduction(networkx.DiGraph(edges)).edges)
