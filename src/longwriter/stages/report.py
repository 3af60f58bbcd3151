"""Compare the models on one benchmark, with n and intervals, as Markdown, numbers and figures.

Reads   data/score/MODEL-BENCHMARK/scores.jsonl of every model, data/{sft,dpo}/curve.csv, data/dpo/metrics.json
Writes  data/report/BENCHMARK/: report.md, figures/, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: S_l, S_q and the buckets of LongBench-Write
Run     dvc repro report@BENCHMARK
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation import comparison, plots, report
from longwriter.evaluation.statistics import Method
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Score
from longwriter.stages import runner


def work(benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Write what the scores of all models say together."""
    p = params.report
    scores = files.DATA / "score"
    rows = {
        model: files.read_jsonl(scores / f"{model}-{benchmark}" / "scores.jsonl", Score)
        for model in comparison.MODELS
    }
    compared = comparison.compare(benchmark, rows, Method(p.confidence, p.resamples, p.seed))
    curves = {
        stage: comparison.curve((files.DATA / stage / "curve.csv").read_text(encoding="utf-8"))
        for stage in ("sft", "dpo")
    }
    figures = plots.draw(compared, curves, folder / "figures")
    text = report.markdown(
        compared,
        judge_is_evidence=params.judge.is_evidence,
        dpo=files.read_json(files.DATA / "dpo" / "metrics.json"),
        figures=[path.relative_to(folder).as_posix() for path in figures],
    )
    (folder / "report.md").write_text(text, encoding="utf-8")
    n = sum(len(of_model) for of_model in rows.values())
    published = files.DATA / "report" / benchmark
    artifacts = [published / "report.md", published / "figures"]
    return runner.Summary(n, n, numbers=comparison.numbers(compared), artifacts=artifacts)


if __name__ == "__main__":
    _, asked = sys.argv
    runner.main("report", partial(work, asked), item=asked)
