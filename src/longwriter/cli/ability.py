"""`longwriter ability`: measures general ability by lm-evaluation-harness, and compares models with the first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

if TYPE_CHECKING:
    from longwriter.contest.ability import Remote


def ability(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Models of the pipeline, folders, or versions in MLflow's registry; with --base-url: names of models at "
            "that endpoint. All others are compared with the first"
        ),
    ],
    tasks: Annotated[str, typer.Option(help="Tasks of the harness, with commas between them")],
    base_url: Annotated[
        str | None, typer.Option(help="https://HOST/v1 of an endpoint that has the models")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(help="With --base-url: environment variable with the key, '' = none")
    ] = "OPENAI_API_KEY",
    task_folder: Annotated[
        Path | None, typer.Option(help="Folder with task files of your own (YAML, data beside them)")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only this many items of each task, for a quick test")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Apply the chat template of the model to the prompts")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:0 …")] = "cpu",
    python: Annotated[
        str,
        typer.Option(
            help="Python of the environment that has lm-eval", show_default="the Python of longwriter"
        ),
    ] = sys.executable,
    out: Annotated[Path, typer.Option(help="Folder of the harness's results")] = Path(".lw/ability"),
) -> None:
    """Measure whether a model lost general ability: run lm-evaluation-harness on it and on the model before training.

    Needs `pip install -e '.[lm-eval]' -c infra/constraints.txt`. Tasks of the harness fetch their data from the
    Hugging Face hub; a task file of your own can name local files. Every model gets a run in MLflow.

    Example: longwriter ability base_model sft dpo --tasks mmlu,ifeval --chat --device cuda

    Example: longwriter ability base_model sft --tasks capitals --task-folder my-tasks

    Example: longwriter ability qwen3 qwen3-tuned --tasks ifeval --base-url http://localhost:8000/v1 --api-key-env ""
    (only tasks that generate text)
    """
    checkout.require()
    from longwriter import params
    from longwriter.chat import weights
    from longwriter.contest import ability as harness
    from longwriter.io import access, files, process

    names = [name for name in tasks.split(",") if name]
    if not names or any(name.startswith("-") for name in names):
        raise UserError("--tasks names one task or more, such as --tasks mmlu,ifeval")
    if task_folder is not None and not task_folder.is_dir():
        raise UserError(f"--task-folder {inert.line(str(task_folder))}: no such folder")
    settings = params.load()
    options = [] if base_url else ["--device", device, *(["--apply_chat_template"] if chat else [])]
    if limit is not None:
        options += ["--limit", str(limit)]
    process.exit_on_sigterm()
    with access.kept_private(files.LOCAL):
        sources = {
            model.strip("./").replace("/", "_"): _remote(model, base_url, api_key_env)
            if base_url
            else weights.folder(model, settings)
            for model in models
        }
        results = harness.evaluate(
            sources, names, out, python=python, task_folder=task_folder, options=options
        )
    typer.echo(inert.terminal(harness.table(results)))


def _remote(model: str, url: str, api_key_env: str) -> Remote:
    """Return a model of an endpoint; its settings are checked like those of params.yaml.

    Raises:
        BadParams: the URL or the name of the variable is not allowed.
        UserError: the variable is not set.
    """
    from longwriter.cli import profile
    from longwriter.contest.ability import Remote

    llm = {"engine": "external", "model": model, "base_url": url, "api_key_env": api_key_env}
    profile.checked({"llm": llm})
    if api_key_env and not os.environ.get(api_key_env):
        raise UserError(
            f"{api_key_env} is not set: export the key, or give --api-key-env '' if there is none"
        )
    return Remote(model, url, os.environ.get(api_key_env, "") if api_key_env else "")
