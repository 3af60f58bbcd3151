"""General ability: lm-evaluation-harness on several models, each compared with the first, and logged to MLflow.

The harness runs as a process of its own, so that it may be installed in another environment than the pipeline.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.errors import BadRecord, UserError
from longwriter.io import files
from longwriter.text import inert
from longwriter.tracking import git
from longwriter.tracking import runs as tracking

_NO_METRIC_CHARS = re.compile(r"[^\w .:/-]")


class Measure(NamedTuple):
    """A number of the harness, with its own standard error if it has one, and whether a higher one is better."""

    value: float
    stderr: float | None
    is_higher_better: bool

    def minus(self, before: Measure) -> Measure:
        """Return the difference; its standard error is right if the two numbers are independent."""
        errors = (self.stderr, before.stderr)
        numbers = [error for error in errors if error is not None]
        stderr = math.hypot(*numbers) if len(numbers) == len(errors) else None
        return Measure(self.value - before.value, stderr, self.is_higher_better)


class Remote(NamedTuple):
    """A model of an OpenAI-compatible endpoint: its name there, the URL that ends in /v1, and the key ('' = none)."""

    model: str
    base_url: str
    key: str


Measures = dict[str, Measure]
"""{"TASK METRIC": number}; if a task has several filters, the name of the filter follows the metric."""


def evaluate(
    models: Mapping[str, Path | Remote],
    tasks: Sequence[str],
    folder: Path,
    *,
    python: str = sys.executable,
    task_folder: Path | None = None,
    options: Sequence[str] = (),
) -> dict[str, Measures]:
    """Return the numbers of each model; the harness writes to FOLDER/MODEL, and each model gets a run in MLflow.

    Args:
        models: Folders with weights as Hugging Face reads them, or models of endpoints, by name. An endpoint is
            asked by chat requests, so it can answer only tasks of the harness that generate text.
        tasks: Names of tasks of the harness.
        folder: Where the harness writes.
        python: Interpreter in whose environment the harness is installed.
        task_folder: Folder with task files of your own (YAML); None = only those of the harness.
        options: More options of `lm_eval run`.

    Raises:
        UserError: the harness is not installed, cannot read a path, or ends with an error.
        BadRecord: it wrote no results.
    """
    if python == sys.executable and importlib.util.find_spec("lm_eval") is None:
        raise UserError(
            "lm-evaluation-harness is not installed: pip install -e '.[lm-eval]' -c infra/constraints.txt, or name "
            "the Python of another environment by --python"
        )
    results = {}
    for name, model in models.items():
        target = folder / name
        command = [
            python, "-m", "lm_eval", "run", *_model_words(model),
            "--tasks", ",".join(tasks), "--output_path", str(target), *options,
        ]  # fmt: skip
        if task_folder is not None:
            command += ["--include_path", str(task_folder)]
        key = {"OPENAI_API_KEY": model.key} if isinstance(model, Remote) else {}
        process = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, env={**os.environ, **key}
        )
        if process.returncode:
            raise UserError(
                f"the harness ended with {process.returncode} for {inert.line(name)}; its output is above"
            )
        result_files = sorted(target.rglob("results_*.json"), key=lambda path: path.stat().st_mtime)
        if not result_files:
            raise BadRecord(f"{target} has no results_*.json: the harness wrote no results")
        results[name] = measures(files.read_json(result_files[-1]))
        _log(name, results[name], result_files[-1])
    return results


def _model_words(model: Path | Remote) -> list[str]:
    """Return the options of the harness that name a model; the key of an endpoint is not among them.

    Raises:
        UserError: the harness cannot read its path, its name or its URL.
    """
    if isinstance(model, Path):
        kind, values, noun = "hf", {"pretrained": str(model.resolve())}, "path"
    else:
        url = f"{model.base_url.rstrip('/')}/chat/completions"
        kind, values, noun = "local-chat-completions", {"model": model.model, "base_url": url}, "name or URL"
    for value in values.values():
        if set(value) & set(",= "):
            raise UserError(
                f"{inert.line(value)}: the harness cannot read a {noun} with a comma, a space or =: rename it"
            )
    arguments = ",".join(f"{name}={value}" for name, value in values.items())
    chat = ["--apply_chat_template"] if isinstance(model, Remote) else []
    return ["--model", kind, "--model_args", arguments, *chat]


def measures(content: Any) -> Measures:
    """Return the numbers in a results file of the harness.

    Raises:
        BadRecord: it is no such file.
    """
    tasks = content.get("results") if isinstance(content, dict) else None
    if not isinstance(tasks, dict):
        raise BadRecord("the harness's results have no `results`: another version of lm-eval than 0.4?")
    higher = content.get("higher_is_better", {})
    numbers: Measures = {}
    for task, values in tasks.items():
        for key, value in values.items():
            metric, _, kind = key.partition(",")
            if not kind or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = values.get(f"{metric}_stderr,{kind}")
            error = float(stderr) if isinstance(stderr, int | float) else None
            name = f"{task} {metric}" + ("" if kind == "none" else f" {kind}")
            numbers[name] = Measure(float(value), error, higher.get(task, {}).get(metric) is not False)
    return numbers


def table(results: Mapping[str, Measures]) -> str:
    """Return the numbers of all models as Markdown, with the difference from the first model."""
    first, *others = results
    lines = [
        [
            "",
            *map(inert.markdown, results),
            *(f"{inert.markdown(other)} - {inert.markdown(first)}" for other in others),
        ]
    ]
    for name, before in results[first].items():
        row = [results[model].get(name) for model in results]
        changes = [after.minus(before) if after else None for after in row[1:]]
        arrow = "" if before.is_higher_better else " (lower is better)"
        cells = [*(_text(item) for item in row), *(_text(item, "+") for item in changes)]
        lines.append([inert.markdown(name) + arrow, *cells])
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    return (
        f"{rows}\n\n± is the standard error of the harness. For a difference it assumes that the two models are "
        "independent. It is too large if they answer most items alike, so a loss of more than twice this error is "
        "clear evidence."
    )


def _text(item: Measure | None, sign: str = "") -> str:
    if item is None:
        return "-"
    return f"{item.value:{sign}.4f}" + ("" if item.stderr is None else f" ± {item.stderr:.4f}")


def _log(name: str, numbers: Measures, results: Path) -> None:
    """Log the numbers of a model to an MLflow run of their own."""
    tags = {**git.state_tags(), "lw.kind": "ability", "lw.model": name, "mlflow.runType": "genai_evaluate"}
    run_id = tracking.start_run(f"ability@{name}", tags)
    logged = {}
    for key, item in numbers.items():
        metric = _NO_METRIC_CHARS.sub("_", key.replace(" ", "/"))
        logged[metric] = item.value
        if item.stderr is not None:
            logged[f"{metric}_stderr"] = item.stderr
    tracking.log_metrics(run_id, logged)
    tracking.log_artifact(run_id, results)
    tracking.end_run(run_id, "FINISHED")
