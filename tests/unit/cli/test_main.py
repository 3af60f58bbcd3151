"""The `longwriter` command as a whole: what `--help` imports, and what happens outside a checkout."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from longwriter.cli import main as cli


def test_help_imports_neither_mlflow_nor_torch():
    code = (
        "import sys; sys.argv = ['longwriter', '--help']\n"
        "from longwriter.cli import main as cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as ended:\n    assert ended.code == 0\n"
        "heavy = {'mlflow', 'torch', 'transformers', 'great_expectations', 'dvc', 'openai'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("profile", "cache", "estimate", "lineage"))


def test_an_estimate_outside_a_checkout_is_an_error_in_one_line(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("estimate")
    assert (code, out) == (2, "")
    assert err == "BadParams: params.yaml is missing: run from the top of the checkout\n"


@pytest.mark.parametrize(
    "words",
    [
        ["profile", "show", "paper"],
        ["profile", "diff", "paper"],
        ["profile", "apply", "paper"],
        ["cache"],
        ["cache", "prune", "--older-than", "0d", "--yes"],
        ["estimate"],
        ["lineage"],
        ["lineage", "--benchmark", "small"],
        ["export", "OUT"],
        ["write", "Write about rain in 100 words."],
        ["init", "mine.json"],
        ["endpoint", "gpt-4o"],
        ["benchmark", "mine"],
        ["chat"],
        ["serve"],
        ["fetch", "candidate", "OUT"],
        ["promote", "1", "--reason", "read"],
        ["rollback", "--reason", "read"],
    ],
    ids=" ".join,
)
def test_a_subcommand_outside_a_checkout_says_so_in_one_line_and_creates_nothing(
    words, tmp_path, run, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err == "BadParams: params.yaml is missing: run from the top of the checkout\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("stages_ran_in", "is_named"), [([".lw/quick"], True), ([".", ".lw/quick"], False)])
def test_a_command_that_has_no_data_here_names_the_quick_run(stages_ran_in, is_named, checkout, run):
    for folder in stages_ran_in:
        Path(folder, "data/lineage").mkdir(parents=True)
    code, _, err = run("export", "OUT")
    assert (code, err.count("cd .lw/quick\n")) == (2, is_named)
    assert "Traceback" not in err


def test_a_review_of_an_unknown_model_names_the_known_ones(checkout, run):
    code, _, err = run("review", "mine")
    assert code == 2
    assert err.startswith("UserError: compare.models has no model mine: it has base_model, dpo, sft; ")


@pytest.mark.parametrize("name", ["mine", "../../etc"])
def test_a_review_of_an_unknown_benchmark_names_the_known_ones(name, checkout, run):
    code, _, err = run("review", "--benchmark", name)
    assert code == 2
    assert err.startswith(f"UserError: generate.benchmarks has no benchmark {name}: it has ")


@pytest.mark.parametrize(
    "words",
    [
        ["init", "n" * 900],
        ["benchmark", "n" * 900],
        ["benchmark", "--pred", "n" * 900],
        ["benchmark", "--model", "m", "--base-url", "http://a[\x1b/v1"],
    ],
)
def test_a_path_or_a_url_that_cannot_be_is_an_error_in_one_line(words, checkout, run):
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "\x1b" not in err


def test_a_review_of_a_file_that_is_missing_names_the_option(checkout, run):
    code, _, err = run("review", "--pred", "a.jsonl", "--pred", "b.jsonl")
    assert (code, err) == (2, "UserError: --pred a.jsonl: no such file\n")


def test_the_version_is_that_of_the_package(run):
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    assert run("--version") == (0, f"longwriter {version}\n", "")


def _commands(group, names=()):
    """Yield (words of the command, its help) for each command and each group that does something by itself."""
    for name, command in group.commands.items():
        words = (*names, name)
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield " ".join(words), command.help
        if hasattr(command, "commands"):
            yield from _commands(command, words)


COMMANDS = dict(_commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_has_an_example(command, run):
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    example = " ".join(out.partition("Example:")[2].split())
    assert f"longwriter {command}" in example


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_shows_its_paragraphs_whole(command, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "2000")
    _, out, _ = run(*command.split(), "--help")
    for paragraph in inspect.cleandoc(COMMANDS[command]).split("\n\n"):
        assert " ".join(paragraph.replace("`", "").split()) in out


def _parameters(group):
    """Yield (words of the command, argument or option) for each command and group."""
    for name, command in group.commands.items():
        yield from ((name, parameter) for parameter in command.params)
        if hasattr(command, "commands"):
            yield from _parameters(command)


PARAMETERS = {f"{name} {p.name}": p for name, p in _parameters(typer.main.get_command(cli.app))}


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_argument_and_option_is_explained_and_shows_no_default_that_differs_by_machine(name):
    parameter = PARAMETERS[name]
    assert parameter.help
    assert isinstance(parameter.show_default, str) or parameter.default != sys.executable
