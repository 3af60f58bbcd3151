"""The models that `longwriter benchmark --model …` compares, and what it prints."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from longwriter.errors import UserError
from longwriter.text import inert

if TYPE_CHECKING:
    from longwriter.contest.contest import Contender
    from longwriter.params import LLMParams, Params

_PROMPT_ROOM = 8192  # tokens for a prompt, besides the longest answer; the endpoint checks its own context


def run(
    *,
    models: list[str],
    urls: list[str],
    api_key_env: str | None,
    benchmark: str | None,
    samples: int | None,
    max_tokens: int | None,
    preds: list[Path],
    is_judged: bool,
    pairs: str | None,
    out: Path | None,
) -> None:
    """Let models answer a benchmark, or read their answers; score them, write the report and print its table.

    Raises:
        UserError: a model, a benchmark or a file does not exist, or `urls` do not fit `models`.
    """
    from longwriter import params as parameters
    from longwriter.contest import contest
    from longwriter.evaluation import answers
    from longwriter.io import access, files, process
    from longwriter.records import BenchmarkRow

    if is_judged and not preds:
        raise UserError("--judged reads the judge.jsonl beside a pred.jsonl: name one by --pred")
    params = _changed(parameters.load(), samples, max_tokens)
    which = pairs or params.pairwise.pairs
    if which != "none" and not params.score.judges:
        raise UserError("--pairwise needs a judge: name one in score.judges of params.yaml")
    name, path = _benchmark(benchmark, params)
    contenders = _contenders(models, urls, api_key_env, preds, params)
    _note_same(contenders)
    prompts = answers.benchmark_prompts(files.read_jsonl(path, BenchmarkRow), str(path))
    folder = out or files.LOCAL / "benchmark" / name
    process.exit_on_sigterm()

    def note(text: str) -> None:
        typer.echo(inert.line(text), err=True)

    with access.kept_private(files.LOCAL):
        rows = asyncio.run(contest.run(contenders, prompts, params, folder, is_judged=is_judged, note=note))
        compared = asyncio.run(contest.compare_pairs(name, contenders, params, folder, which))
        contest.write_report(name, contenders, rows, params, folder, compared)
    text = (folder / "report.md").read_text(encoding="utf-8")
    typer.echo(inert.terminal(text.partition("\n## ")[0].rstrip()))
    typer.echo(f"\n{folder / 'report.md'} has all tables; answers: {folder}/MODEL/{contest.PRED}", err=True)


def _changed(params: Params, samples: int | None, max_tokens: int | None) -> Params:
    sampling = params.generate.sampling
    if max_tokens:
        sampling = sampling.model_copy(update={"max_tokens": max_tokens})
    changes = {"sampling": sampling, "samples": samples or params.generate.samples}
    return params.model_copy(update={"generate": params.generate.model_copy(update=changes)})


def _benchmark(name: str | None, params: Params) -> tuple[str, Path]:
    """Return the name and the file of a benchmark: a name of params.yaml, or a path of JSON Lines."""
    from longwriter.exclusions import benchmarks

    if name is not None and Path(name).suffix == ".jsonl":
        return Path(name).stem, Path(name)
    paths = benchmarks.paths(params)
    chosen = name or params.generate.benchmarks[0]
    if chosen not in paths:
        raise UserError(f"no benchmark {inert.line(chosen)}; there are {', '.join(paths)}, or name a *.jsonl")
    return chosen, paths[chosen]


def _contenders(
    models: list[str], urls: list[str], api_key_env: str | None, preds: list[Path], params: Params
) -> dict[str, Contender]:
    """Return {name of its output folder: model}, in the order of the command line."""
    from longwriter.contest.contest import Contender

    if urls and len(urls) not in (1, len(models)):
        raise UserError(
            f"{len(urls)} --base-url for {len(models)} --model: give one for all models, or one for each"
        )
    if urls and not models:
        raise UserError("--base-url needs --model, the name of the model at that endpoint")
    places = urls * len(models) if len(urls) == 1 else urls or [""] * len(models)
    listed: list[Contender] = []
    for model, url in zip(models, places, strict=True):
        if url:
            endpoint = _endpoint(model, url, api_key_env, params)
            host = urlsplit(url).netloc
            label = f"{model} at {host}" if models.count(model) > 1 else model
            listed.append(Contender(label, endpoint))
        else:
            listed.append(_local(model, params))
    for pred in preds:
        if not pred.is_file():
            raise UserError(f"--pred {pred}: no such file")
        listed.append(Contender(pred.parent.name or pred.stem, pred))
    contenders: dict[str, Contender] = {}
    for item in listed:
        name = re.sub(r"[^a-z0-9]+", "_", item.label.lower()).strip("_")[:60] or "model"
        while name in contenders:
            name += "_again"
        contenders[name] = item._replace(label=_label(item.label, contenders))
    return contenders


def _note_same(contenders: dict[str, Contender]) -> None:
    """Say which models are the same: a difference between them comes from sampling, not from the model."""
    by_origin: dict[str, list[str]] = {}
    for contender in contenders.values():
        by_origin.setdefault(contender.origin or repr(contender.source), []).append(contender.label)
    for labels in by_origin.values():
        if len(labels) > 1:
            typer.echo(inert.line(f"{' and '.join(labels)} are the same model"), err=True)


def _label(label: str, contenders: dict[str, Contender]) -> str:
    """Return a label that no other model has."""
    others = {contender.label for contender in contenders.values()}
    number = 2
    unique = label
    while unique in others:
        unique, number = f"{label} ({number})", number + 1
    return unique


def _endpoint(model: str, url: str, api_key_env: str | None, params: Params) -> LLMParams:
    """Return the settings of an endpoint; they are checked like those of params.yaml."""
    from longwriter.cli import profile

    llm = {
        **params.llm.model_dump(),
        "engine": "external",
        "model": model,
        "base_url": url,
        "replay_as": None,
        "extra_body": {},
        "context_tokens": params.generate.sampling.max_tokens + _PROMPT_ROOM,
        "max_concurrency": params.serving.max_concurrency,
        "timeout_s": params.serving.timeout_s,
    }
    if api_key_env is not None:
        llm["api_key_env"] = api_key_env
    return profile.checked({"llm": llm}).llm


def _local(model: str, params: Params) -> Contender:
    """Return a model of this checkout, by a name that `weights.folder` takes.

    Raises:
        UserError, BadRecord: as `weights.folder`.
    """
    from longwriter.chat import weights
    from longwriter.contest.contest import Contender
    from longwriter.io import files
    from longwriter.models import servers

    base, registered = files.DATA / "base_model" / "weights", params.register_.name
    source = servers.local(weights.folder(model, params), base, params.serving)
    version = weights.registered(model, params)
    if version is None:
        return Contender(model, source)
    alias = model.rpartition("@")[2].rpartition("/")[2]
    label = f"{registered} version {version.number}" + ("" if alias == version.number else f" ({alias})")
    return Contender(
        label, source, f"{registered}, version {version.number}: weights with DVC md5 {version.digest}"
    )
