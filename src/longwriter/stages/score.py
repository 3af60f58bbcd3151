"""Score one model's answers to one benchmark: length, ending, loops, and quality if there is a judge.

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

from longwriter.evaluation.judge.judge import Question, judge_texts
from longwriter.evaluation.scores import score_numbers, score_of
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Generation
from longwriter.stages import runner


def work(model: str, benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Score every answer; if its quality cannot be judged, it gets a reason instead of a number."""
    item = f"{model}-{benchmark}"
    generations = files.read_jsonl(files.DATA / "generate" / item / "generations.jsonl", Generation)
    texts = [Question(generation.prompt, generation.text) for generation in generations]
    calls = folder / "calls.jsonl.zst"
    qualities, usage = asyncio.run(judge_texts(params.score, texts, calls, f"score {item}", "score"))
    scores = [
        score_of(generation, quality, params.score.max_repeated_share)
        for generation, quality in zip(generations, qualities, strict=True)
    ]
    files.write_jsonl(folder / "scores.jsonl", scores)
    return runner.Summary(len(generations), len(scores), {}, score_numbers(scores), usage)


if __name__ == "__main__":
    _, model_name, benchmark_name = sys.argv
    runner.main("score", partial(work, model_name, benchmark_name), item=f"{model_name}-{benchmark_name}")
