"""Compares any models on one benchmark, outside the pipeline: they answer, or a file has their answers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.comparison import comparison
from longwriter.comparison import standings as pairwise
from longwriter.contest import upstream_files
from longwriter.contest.upstream_files import JudgeRow, PredRow
from longwriter.evaluation import answers
from longwriter.evaluation.measures import summary, texts
from longwriter.evaluation.scores import score_of
from longwriter.io import files, progress
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import Question
from longwriter.models import servers
from longwriter.pairwise import pairs
from longwriter.pairwise.questions import asking
from longwriter.params import GenerateParams, LLMParams, Params
from longwriter.records import Generation, JudgeFitness, Judgement, PairwiseRow, Score, TextMeasures, Unscored
from longwriter.report import markdown as report
from longwriter.report import measure_plots, page, plots
from longwriter.statistics.intervals import Method

PRED, JUDGE, PAIRWISE = "pred.jsonl", "judge.jsonl", "pairwise.jsonl"


class Contender(NamedTuple):
    """A model of the table: an endpoint or a served folder that answers, or a `pred.jsonl` with its answers.

    `origin`: where its weights come from, for the report; empty if `source` says it.
    """

    label: str
    source: LLMParams | Path
    origin: str = ""


async def run(
    contenders: Mapping[str, Contender],
    prompts: Sequence[answers.Prompt],
    params: Params,
    folder: Path,
    *,
    is_judged: bool,
    note: Callable[[str], None],
) -> dict[str, tuple[list[Score], list[TextMeasures]]]:
    """Return the scores and measures of each model; write its `pred.jsonl` and `judge.jsonl` below `folder`.

    Args:
        contenders: Models by the name of their folder below `folder`.
        prompts: The benchmark, for models that answer.
        params: `generate` and `score`.
        folder: Where the files go.
        is_judged: Take the quality scores from the `judge.jsonl` beside each `pred.jsonl` that is read, and ask
            no judge about these answers.
        note: Called with each message about a file that a person should read.

    Raises:
        BadRecord: a file cannot be read, or has a row that `pred.jsonl` may not have.
        ModelUnusable, EndpointUnavailable, BudgetReached: as `servers.model`.
    """
    for name in contenders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    await _try_endpoints(contenders, prompts, params, folder)
    rows = {}
    for name, contender in contenders.items():
        target = folder / name
        if isinstance(contender.source, Path):
            generations = upstream_files.generations(files.read_jsonl(contender.source, PredRow))
        else:
            generations = await _answers(
                f"benchmark {contender.label}",
                contender.source,
                prompts,
                params.generate,
                target / "calls.jsonl.zst",
            )
            _write(target / PRED, [upstream_files.pred_row(row) for row in generations])
        if any(row.finish_reason == upstream_files.UNKNOWN for row in generations):
            note(f"{contender.label}: its file does not say how answers ended, so no answer counts as ended")
        if is_judged and isinstance(contender.source, Path):
            path = contender.source.with_name(JUDGE)
            qualities = upstream_files.qualities(generations, files.read_jsonl(path, JudgeRow), str(path))
        else:
            qualities = await _judge(contender.label, generations, params, target)
        rows[name] = (
            [
                score_of(row, quality, params.score.max_repeated_share)
                for row, quality in zip(generations, qualities, strict=True)
            ],
            [texts.measure(row) for row in generations],
        )
    note("all answers are there: compares them and writes the report")
    return rows


async def compare_pairs(
    benchmark: str, contenders: Mapping[str, Contender], params: Params, folder: Path, which: str
) -> list[PairwiseRow]:
    """Return which answers the judges prefer, two by two, and write them into `folder`.

    Args:
        benchmark: Name of the benchmark.
        contenders: The models; `run` has written their answers.
        params: `score` has the judges, `pairwise` the prompt.
        folder: Folder of the answers.
        which: `reference` = each model with the first, `all` = all pairs, `none` = nothing is compared.
    """
    first = next(iter(contenders))
    answers = {name: _read(folder / name / PRED, contender) for name, contender in contenders.items()}
    pair_rows = pairs.rows(benchmark, answers, pairs.matches(list(contenders), which, first))
    if not pair_rows:
        return []
    rows, _ = await asking.with_verdicts(
        params.score, params.pairwise.prompt, pair_rows, folder / "pairwise-calls.jsonl.zst", "pairwise"
    )
    files.write_jsonl(folder / PAIRWISE, rows)
    return rows


def write_report(
    benchmark: str,
    contenders: Mapping[str, Contender],
    rows: Mapping[str, tuple[list[Score], list[TextMeasures]]],
    params: Params,
    folder: Path,
    compared_pairs: Sequence[PairwiseRow] = (),
) -> comparison.Comparison:
    """Write report.md, its figures and report.html into `folder`, and return the comparison; each model is compared with the first."""
    method = Method(params.report.confidence, params.report.resamples, params.report.seed)
    first, *others = contenders
    compared = comparison.compare(
        benchmark,
        {name: scores for name, (scores, _) in rows.items()},
        method,
        labels={name: contender.label for name, contender in contenders.items()},
        pairs=[(other, first) for other in others],
    )
    measured = {name: summary.summary(scores, measures, method) for name, (scores, measures) in rows.items()}
    figures = plots.draw(compared, {}, folder / "figures", measure_plots.figures(compared, measured))
    text = report.markdown(
        compared,
        fitness=_fitness(compared.judge),
        max_unscored_share=params.register_.max_unscored_share,
        dpo={},
        figures=[path.relative_to(folder).as_posix() for path in figures],
        measured=measured,
        pairwise=pairwise.standings(compared_pairs, list(contenders), first, method),
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    answers = {name: _read(folder / name / PRED, contender) for name, contender in contenders.items()}
    html = page.page(
        benchmark,
        text,
        folder / "figures",
        subject=compared.labels[page.subject(compared)],
        examples=page.examples(compared, answers),
        facts=_facts(contenders, compared, params),
    )
    (folder / "report.html").write_text(html, encoding="utf-8")
    return compared


def _read(path: Path, contender: Contender) -> list[Generation]:
    source = contender.source if isinstance(contender.source, Path) else path
    return upstream_files.generations(files.read_jsonl(source, PredRow))


def _facts(
    contenders: Mapping[str, Contender], compared: comparison.Comparison, params: Params
) -> list[page.Fact]:
    """Return where the answers come from, the decoding of those that were requested here, and the judge."""
    decoding = params.generate.model_dump(include={"samples", "max_tokens_per_word", "sampling"})
    facts = [
        page.Fact("decoding", json.dumps(decoding, ensure_ascii=False)),
        page.Fact("judge", compared.judge or "none"),
    ]
    for contender in contenders.values():
        source = contender.source
        place = str(source) if isinstance(source, Path) else f"{source.model} {source.base_url or ''}".strip()
        facts.append(page.Fact(contender.label, contender.origin or place))
    return facts


def _fitness(judge: str | None) -> JudgeFitness:
    """Return the result of the stage fitness for a judge; no evidence if the stage did not test this judge."""
    path = files.DATA / "fitness" / "fitness.json"
    if not path.exists():
        reason = "the judge was not tested: run `dvc repro fitness`"
        return JudgeFitness(judge=None, is_evidence=False, reasons=[reason], lines=[])
    return files.read_record(path, JudgeFitness).of([judge] if judge else [])


async def _try_endpoints(
    contenders: Mapping[str, Contender], prompts: Sequence[answers.Prompt], params: Params, folder: Path
) -> None:
    """Let each endpoint answer the shortest prompt, and the judges score these answers, before the work begins.

    So a wrong name, key or setting of a later model or judge is found before the answers of the first are paid.
    These answers are stored: the work does not ask for them again.
    """
    prompt = min(prompts, key=lambda prompt: prompt.required_words or math.inf)
    once = params.generate.model_copy(update={"samples": 1})
    for name, contender in contenders.items():
        source = contender.source
        if isinstance(source, LLMParams) and source.engine == "external":
            calls = folder / name / "calls.jsonl.zst"
            generations = await _answers(f"first answer of {contender.label}", source, [prompt], once, calls)
            questions = [Question(row.prompt, row.text) for row in generations]
            judging = f"judge the first answer of {contender.label}"
            await judge_texts(
                params.score, questions, folder / name / "judge-calls.jsonl.zst", judging, "score"
            )


async def _answers(
    label: str,
    llm_params: LLMParams,
    prompts: Sequence[answers.Prompt],
    generate: GenerateParams,
    calls: Path,
) -> list[Generation]:
    """Return a model's answers: `generate.samples` of each prompt."""
    draws = [(prompt, number) for prompt in prompts for number in range(generate.samples)]
    async with servers.model(llm_params, generate.sampling, calls, "generate.sampling") as llm:

        async def answer(draw: tuple[answers.Prompt, int]) -> Generation:
            prompt, number = draw
            return await answers.ask(
                llm, prompt, generate.max_tokens_per_word, generate.sampling, attempt=number
            )

        return await progress.each(draws, answer, label, llm.note)


async def _judge(
    label: str, generations: Sequence[Generation], params: Params, folder: Path
) -> list[Judgement | Unscored]:
    """Return the quality of each answer, and write `judge.jsonl` if a judge was asked."""
    questions = [Question(row.prompt, row.text) for row in generations]
    calls = folder / "judge-calls.jsonl.zst"
    qualities, _ = await judge_texts(params.score, questions, calls, f"judge {label}", "score")
    if params.score.panel():
        _write(folder / JUDGE, list(map(upstream_files.judge_row, generations, qualities)))
    return qualities


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSON Lines; the old file stays until the new one is complete."""
    part = path.with_name(f"{path.name}.part")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(path)
