"""Compare the models of compare.models on one benchmark: a Markdown report, numbers and figures.

Reads   data/score/MODEL-BENCHMARK/scores.jsonl and measures.jsonl, data/sft/curve.csv, data/dpo/curve.csv and metrics.json
Writes  data/report/BENCHMARK/: report.md, figures/, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: S_l, S_q and the buckets of LongBench-Write
Run     dvc repro report@BENCHMARK
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation.measures import summary
from longwriter.evaluation.measures.summary import Measured
from longwriter.evaluation.report import comparison, measure_plots, plots
from longwriter.evaluation.report import markdown as report
from longwriter.evaluation.report.statistics import Method
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Score, TextMeasures
from longwriter.stages import runner

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
    curves = {
        stage: comparison.curve((files.DATA / stage / "curve.csv").read_text(encoding="utf-8"))
        for stage in _CURVES
    }
    measured = {model: _measured(model, benchmark, scores, method) for model, scores in rows.items()}
    more = measure_plots.figures(compared, measured)
    figures = plots.draw(compared, curves, folder / "figures", more)
    text = report.markdown(
        compared,
        judge_is_evidence=params.judge.is_evidence,
        judged_pairs=_judged_pairs(params),
        max_unscored_share=params.register_.max_unscored_share,
        dpo=files.read_json(files.DATA / "dpo" / "metrics.json"),
        figures=[path.relative_to(folder).as_posix() for path in figures],
        measured=measured,
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    count = sum(len(scores) for scores in rows.values())
    published = files.DATA / "report" / benchmark
    artifacts = [published / "report.md", published / "figures"]
    numbers = comparison.numbers(compared)
    for model, item in measured.items():
        numbers |= summary.numbers(model, item)
    return runner.Summary(count, count, numbers=numbers, artifacts=artifacts)


def _measured(model: str, benchmark: str, scores: list[Score], method: Method) -> Measured:
    """Return the measures of one model's answers."""
    path = files.DATA / "score" / f"{model}-{benchmark}" / "measures.jsonl"
    return summary.summary(scores, files.read_jsonl(path, TextMeasures), method)


def _judged_pairs(params: Params) -> bool:
    """Return whether a judge of the benchmark also chose the preference pairs."""
    if not params.preferences.quality_weight:
        return False
    judges, others = (
        {(judge.engine, judge.model, judge.base_url) for judge in section.panel()}
        for section in (params.judge, params.score)
    )
    return not judges.isdisjoint(others)


if __name__ == "__main__":
    _, benchmark_name = sys.argv
    runner.main("report", partial(work, benchmark_name), item=benchmark_name)
