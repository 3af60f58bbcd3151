"""Score and measure one model's answers to one benchmark: length, ending, loops, repetition, quality by a judge.

Reads   data/generate/MODEL-BENCHMARK/generations.jsonl, the judge's prompt template
Writes  data/score/MODEL-BENCHMARK/: scores.jsonl, measures.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: S_l and S_q
Run     dvc repro score@MODEL-BENCHMARK
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation.measures import texts as texts_measures
from longwriter.evaluation.scores import score_numbers, score_of
from longwriter.execution import runner
from longwriter.io import files
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import Question
from longwriter.params import Params
from longwriter.records import Generation, Judgement


def work(model: str, benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Score every answer; if its quality cannot be judged, it gets a reason instead of a number."""
    item = f"{model}-{benchmark}"
    generations = files.read_jsonl(files.DATA / "generate" / item / "generations.jsonl", Generation)
    texts = [Question(generation.prompt, generation.text) for generation in generations]
    parts = [
        (place, generation.prompt, chunk)
        for place, generation in enumerate(generations)
        for chunk in (texts_measures.chunks(generation.text, params.score.judged_chunks))
        if params.score.judges
    ]
    calls = folder / "calls.jsonl.zst"
    questions = [*texts, *(Question(prompt, chunk) for _, prompt, chunk in parts)]
    qualities, usage = asyncio.run(judge_texts(params.score, questions, calls, f"score {item}", "score"))
    chunk_qualities: list[list[float | None]] = [[] for _ in texts]
    for (place, *_), quality in zip(parts, qualities[len(texts) :], strict=True):
        chunk_qualities[place].append(quality.quality_score if isinstance(quality, Judgement) else None)
    scores = [
        score_of(generation, quality, params.score.max_repeated_share)
        for generation, quality in zip(generations, qualities[: len(texts)], strict=True)
    ]
    measures = map(texts_measures.measure, generations, chunk_qualities)
    files.write_jsonl(folder / "measures.jsonl", measures)
    files.write_jsonl(folder / "scores.jsonl", scores)
    return runner.Summary(len(generations), len(scores), {}, score_numbers(scores), usage)


if __name__ == "__main__":
    _, model_name, benchmark_name = sys.argv
    runner.main("score", partial(work, model_name, benchmark_name), item=f"{model_name}-{benchmark_name}")
