"""Score one model's answers to one benchmark: length, ending, loops, and quality where there is a judge.

Reads   data/generate/MODEL-BENCHMARK/generations.jsonl, the judge's prompt template
Writes  data/score/MODEL-BENCHMARK/: scores.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: S_l and S_q
Run     dvc repro score@MODEL-BENCHMARK
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation import judge as judging
from longwriter.evaluation import scores as scoring
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Generation
from longwriter.stages import runner


def work(model: str, benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Score every answer; a quality that cannot be judged is a reason, never a number."""
    item = f"{model}-{benchmark}"
    rows = files.read_jsonl(files.DATA / "generate" / item / "generations.jsonl", Generation)
    texts = [(row.prompt, row.text) for row in rows]
    calls = folder / "calls.jsonl.zst"
    qualities, usage = asyncio.run(judging.judged(params.judge, texts, calls, f"score {item}"))
    scores = [
        scoring.score_of(row, quality, params.score.max_repeated_share)
        for row, quality in zip(rows, qualities, strict=True)
    ]
    files.write_jsonl(folder / "scores.jsonl", scores)
    return runner.Summary(len(rows), len(scores), {}, scoring.score_numbers(scores), usage)


if __name__ == "__main__":
    _, which, asked = sys.argv
    runner.main("score", partial(work, which, asked), item=f"{which}-{asked}")
