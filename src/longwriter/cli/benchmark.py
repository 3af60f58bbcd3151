"""`longwriter benchmark`: runs a benchmark on any models, or sets your own benchmarks in params.yaml."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout, contest, profile
from longwriter.errors import UserError
from longwriter.text import inert


class PairsOption(StrEnum):
    """Which models are compared two by two."""

    NONE = "none"
    REFERENCE = "reference"
    ALL = "all"


def benchmark(
    folder: Annotated[
        str | None,
        typer.Argument(
            help="Folder with a NAME.jsonl for each benchmark to use from now on; a row has prompt, type and, if the "
            "prompt states one, length"
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model that answers. With --base-url: its name at that endpoint. Without: a model of this checkout, "
            "an alias or a version number of the registry, or a folder. Give several to compare them with the first"
        ),
    ] = None,
    base_url: Annotated[
        list[str] | None,
        typer.Option(
            help="https://HOST/v1 of the endpoint: one for all models or one for each, '' = a model of this checkout"
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable with the key, '' = none (default: as in params.yaml)"),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="Name of a benchmark of params.yaml, or a file NAME.jsonl")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Answers to each prompt (default: generate.samples of params.yaml)"
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer in tokens (default: as in params.yaml)")
    ] = None,
    pred: Annotated[
        list[Path] | None, typer.Option(help="pred.jsonl whose answers are scored again; no model is asked")
    ] = None,
    judged: Annotated[
        bool, typer.Option("--judged", help="Take the quality scores from the judge.jsonl beside each --pred")
    ] = False,
    pairwise: Annotated[
        PairsOption | None,
        typer.Option(
            help="Let the judges of score.judges compare the answers two by two: each model with the first "
            "(reference), or all pairs (default: pairwise.pairs of params.yaml)"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the answers and the report (default: .lw/benchmark/NAME)")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the keys that use FOLDER into params.yaml")
    ] = False,
) -> None:
    """Run a benchmark on any models, or set your own benchmarks in params.yaml.

    With --model or --pred: the models answer, the answers are scored (also by score.judges, if there are any), and
    one table shows all models. Every endpoint and every judge is tried with the shortest prompt first, before the rest is
    paid. Writes pred.jsonl and judge.jsonl of each model as the paper's code does, and report.md.
    With FOLDER: shows the keys of params.yaml that use the benchmarks in it. From then on a training row is rejected
    if it repeats one of their prompts.

    Example: longwriter benchmark --base-url http://localhost:8000/v1 --model qwen3 --benchmark small --api-key-env ""

    Example: longwriter benchmark --base-url http://localhost:8000/v1 --model qwen3 --base-url "" --model sft

    Example: longwriter benchmark --model models:/longwriter@champion --model models:/longwriter@candidate

    Example: longwriter benchmark --model champion --model ./my-model

    Example: longwriter benchmark --model base_model --model candidate --model champion --pairwise all

    Example: longwriter benchmark --pred models/glm/pred.jsonl --judged

    Example: longwriter benchmark my-benchmarks --apply
    """
    checkout.require()
    if model or pred or base_url or judged:
        if folder is not None or apply:
            raise UserError("FOLDER and --apply change params.yaml: leave them out, or leave out the models")
        contest.run(
            models=model or [],
            urls=base_url or [],
            api_key_env=api_key_env,
            benchmark=benchmark,
            samples=samples,
            max_tokens=max_tokens,
            preds=pred or [],
            is_judged=judged,
            pairs=pairwise and pairwise.value,
            out=out,
        )
    elif folder is None:
        raise UserError("name models by --model or --pred, or a FOLDER with benchmarks: see --help")
    else:
        _use(folder, apply)


def _use(folder: str, apply: bool) -> None:
    """Read the benchmarks of a folder, and show or set the keys of params.yaml that use them."""
    from longwriter.evaluation import answers
    from longwriter.io import files
    from longwriter.records import BenchmarkRow

    paths = sorted(Path(folder).glob("*.jsonl"))
    if not paths:
        raise UserError(f"{inert.line(folder)} has no *.jsonl: name the folder that holds your benchmarks")
    for path in paths:
        prompts = answers.benchmark_prompts(files.read_jsonl(path, BenchmarkRow), str(path))
        lengths = [prompt.required_words for prompt in prompts if prompt.required_words is not None]
        span = f"{min(lengths):,} to {max(lengths):,} words" if lengths else "no lengths"
        without = (
            f", {len(prompts) - len(lengths):,} without length" if 0 < len(lengths) < len(prompts) else ""
        )
        typer.echo(inert.line(f"{path.name}: {amount(len(prompts), 'prompt')}, {span}{without}"))
    changes = {"generate": {"folder": folder, "benchmarks": [path.stem for path in paths]}}
    profile.offer(changes, folder, apply, "python -m flows")
