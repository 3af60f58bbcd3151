"""Compare the models of compare.models on one benchmark: a Markdown report, numbers and figures.

Reads   data/score/MODEL-BENCHMARK/scores.jsonl and measures.jsonl, data/short_prompts/MODEL/answers.jsonl,
        data/fitness/fitness.json, data/pairwise/pairwise.jsonl, data/generate (answers that the page shows),
        data/sft/curve.csv, data/dpo/curve.csv and metrics.json
Writes  data/report/BENCHMARK/: report.md, figures/, metrics.json
        .lw/data_docs/report@BENCHMARK/index.html: the same as one page, with answers, runs and digests
Source  LongWriter (arXiv:2408.07055), section 2: S_l, S_q and the buckets of LongBench-Write
Run     dvc repro report@BENCHMARK
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from longwriter.comparison import comparison, repeats
from longwriter.comparison import standings as pairwise
from longwriter.evaluation.measures import summary
from longwriter.evaluation.measures.summary import Measured
from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Generation, JudgeFitness, PairwiseRow, Score, ShortAnswer, TextMeasures
from longwriter.report import markdown as report
from longwriter.report import measure_plots, page, plots, short_section
from longwriter.statistics.intervals import Method
from longwriter.tracking import git, provenance
from longwriter.tracking import runs as tracking

_CURVES = ("sft", "dpo")  # stages whose training curve is shown


def work(benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Write report, figures and numbers of all models."""
    models = params.compare.models
    rows = {
        model: files.read_jsonl(files.DATA / "score" / f"{model}-{benchmark}" / "scores.jsonl", Score)
        for model in models
    }
    method = Method(params.report.confidence, params.report.resamples, params.report.seed)
    compared = comparison.compare(
        benchmark,
        rows,
        method,
        labels={name: model.label for name, model in models.items()},
        pairs=[(after, before) for after, before in params.compare.pairs],
    )
    texts = {stage: files.read_text(files.DATA / stage / "curve.csv") for stage in _CURVES}
    curves = {stage: comparison.curve(text) for stage, text in texts.items()}
    measured = {model: _measured(model, benchmark, scores, method) for model, scores in rows.items()}
    short = {
        model: files.read_jsonl(files.DATA / "short_prompts" / model / "answers.jsonl", ShortAnswer)
        for model in models
    }
    more = measure_plots.figures(compared, measured)
    figures = plots.draw(compared, curves, folder / "figures", more)
    fitness = files.read_record(files.DATA / "fitness" / "fitness.json", JudgeFitness)
    groups = ((group[0], repeats.repeat(group, rows)) for group in params.compare.repeats)
    trainings = {model: repeat for model, repeat in groups if repeat}
    compared_pairs = _pairwise(benchmark, params, method)
    text = report.markdown(
        compared,
        fitness=fitness.of([compared.judge] if compared.judge else []),
        judged_pairs=_judged_pairs(params),
        max_unscored_share=params.register_.max_unscored_share,
        dpo=files.read_json(files.DATA / "dpo" / "metrics.json", dict[str, float]),
        figures=[path.relative_to(folder).as_posix() for path in figures],
        measured=measured,
        pairwise=compared_pairs,
        short=short,
        repeats=list(trainings.values()),
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    count = sum(len(scores) for scores in rows.values())
    published = files.DATA / "report" / benchmark
    docs = _write_page(benchmark, params, compared, folder, run)
    artifacts = [published / "report.md", published / "figures", docs]
    numbers = comparison.numbers(compared) | short_section.numbers(short, method) | _spreads(trainings)
    for model, item in measured.items():
        numbers |= summary.numbers(model, item)
    if compared_pairs is not None:
        numbers |= {f"pairwise_{name}": value for name, value in pairwise.numbers(compared_pairs).items()}
    return runner.Summary(count, count, numbers=numbers, artifacts=artifacts)


def _spreads(trainings: dict[str, repeats.Repeat]) -> dict[str, float]:
    """Return the spread between trainings of one recipe, and between decodings, for each recipe."""
    numbers = {}
    for model, repeat in trainings.items():
        numbers[f"{model}_spread_of_trainings"] = repeat.between
        if repeat.decoding is not None:
            numbers[f"{model}_spread_of_decodings"] = repeat.decoding
    return numbers


def _pairwise(benchmark: str, params: Params, method: Method) -> pairwise.Standings | None:
    """Return the results of the judges' comparisons on one benchmark; None if no pair was compared."""
    rows = files.read_jsonl(files.DATA / "pairwise" / "pairwise.jsonl", PairwiseRow)
    models = list(params.compare.models)
    own = [row for row in rows if row.benchmark == benchmark]
    return pairwise.standings(own, models, params.pairwise.reference or models[0], method)


def _measured(model: str, benchmark: str, scores: list[Score], method: Method) -> Measured:
    """Return the measures of one model's answers."""
    path = files.DATA / "score" / f"{model}-{benchmark}" / "measures.jsonl"
    return summary.summary(scores, files.read_jsonl(path, TextMeasures), method)


def _write_page(
    benchmark: str, params: Params, compared: comparison.Comparison, folder: Path, run: runner.StageRun
) -> Path:
    """Write the report as an HTML page and return its folder; no stage reads it, because it names runs."""
    answers = {}
    for model in compared.labels:
        path = files.DATA / "generate" / f"{model}-{benchmark}" / "generations.jsonl"
        answers[model] = files.read_jsonl(path, Generation)
    text = page.page(
        benchmark,
        (folder / "report.md").read_text(encoding="utf-8"),
        folder / "figures",
        subject=compared.labels[page.subject(compared)],
        examples=page.examples(compared, answers),
        facts=_facts(benchmark, params, compared, run),
    )
    docs = verdicts.DOCS / f"report@{benchmark}"
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "index.html").write_text(text, encoding="utf-8")
    return docs


def _facts(
    benchmark: str, params: Params, compared: comparison.Comparison, run: runner.StageRun
) -> list[page.Fact]:
    """Return the runs, digests and settings on which the numbers rest."""
    state = git.state_tags()
    dirty = " with changes that are not committed" if state["git.dirty"] == "true" else ""
    decoding = params.generate.model_dump(include={"samples", "max_tokens_per_word", "sampling"})
    facts = [
        page.Fact("run of this report", run.run_id, tracking.run_url(run.run_id)),
        page.Fact("git commit", state["git.commit"] + dirty),
        page.Fact("decoding", json.dumps(decoding, ensure_ascii=False)),
        page.Fact("engine", f"{params.serving.engine}, {params.serving.precision}"),
        page.Fact("judge", compared.judge or "none"),
    ]
    for model in compared.labels:
        for stage in ("generate", "score"):
            name = f"{stage}@{model}-{benchmark}"
            if not (provenance.LINEAGE / f"{name}.json").exists():
                continue
            lineage = provenance.read(name)
            facts.append(page.Fact(f"run {name}", lineage.run_id, tracking.run_url(lineage.run_id)))
            facts += [
                page.Fact(f"DVC md5 of {item}", md5)
                for item, md5 in lineage.inputs.items()
                if "data/" in item
            ]
    return [*{fact.name: fact for fact in facts}.values()]


def _judged_pairs(params: Params) -> bool:
    """Return whether a judge of the benchmark also chose the preference pairs."""
    if not params.preferences.quality_weight:
        return False
    judges, others = (
        {(judge.engine, judge.model, judge.base_url) for judge in section.panel()}
        for section in (params.preferences.judge, params.score)
    )
    return not judges.isdisjoint(others)


if __name__ == "__main__":
    _, benchmark_name = sys.argv
    runner.main("report", partial(work, benchmark_name), item=benchmark_name)
