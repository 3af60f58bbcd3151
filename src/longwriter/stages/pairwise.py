"""Ask the judges which of two models' answers is better, for each pair of answers and in both orders.

Reads   data/generate/MODEL-BENCHMARK/generations.jsonl of the models of compare.models, the prompt template
Writes  data/pairwise/: pairwise.jsonl (empty while pairwise.pairs is none), calls.jsonl.zst, metrics.json
Source  Zheng et al., arXiv:2306.05685, section 3.4
Run     dvc repro pairwise
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import chain
from pathlib import Path

from longwriter.execution import runner
from longwriter.io import files
from longwriter.pairwise import pairs
from longwriter.pairwise.questions import asking
from longwriter.params import Params
from longwriter.records import Generation, PairwiseRow, Unscored


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Let the judges compare the answers on every benchmark."""
    calls = folder / "calls.jsonl.zst"
    own = params.pairwise
    models = list(params.compare.models)
    matches = pairs.matches(models, own.pairs, own.reference or models[0])
    if not matches:
        with files.zstd_lines(calls):
            files.write_jsonl(folder / "pairwise.jsonl", [])
        return runner.Summary(1, 1, {}, numbers([]))  # 1 row, because a stage that keeps no row fails
    answer_pairs = list(
        chain.from_iterable(
            pairs.rows(benchmark, _answers(models, benchmark), matches)
            for benchmark in params.generate.benchmarks
        )
    )
    rows, usage = asyncio.run(asking.with_verdicts(params.score, own.prompt, answer_pairs, calls, "pairwise"))
    files.write_jsonl(folder / "pairwise.jsonl", rows)
    return runner.Summary(len(answer_pairs), len(rows), {}, numbers(rows), usage)


def numbers(rows: list[PairwiseRow]) -> dict[str, float]:
    """Return how many pairs were compared, how they ended, and why others have no result."""
    results = Counter(
        f"unscored_{row.verdict.reason}" if isinstance(row.verdict, Unscored) else row.verdict.winner
        for row in rows
    )
    ties = results.pop("tie", 0)
    wins = results.pop("first", 0) + results.pop("second", 0)
    return {
        "compared": float(len(rows)),
        "wins": float(wins),
        "ties": float(ties),
        **{reason: float(count) for reason, count in sorted(results.items())},
    }


def _answers(models: list[str], benchmark: str) -> dict[str, list[Generation]]:
    return {
        model: files.read_jsonl(
            files.DATA / "generate" / f"{model}-{benchmark}" / "generations.jsonl", Generation
        )
        for model in models
    }


if __name__ == "__main__":
    runner.main("pairwise", work)
