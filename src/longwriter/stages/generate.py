"""Let one model answer every prompt of one benchmark; prompts, engine and decoding are the same for all models.

Reads   data/benchmarks/files/BENCHMARK.jsonl, data/MODEL/weights, data/base_model/weights
Writes  data/generate/MODEL-BENCHMARK/: generations.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: LongBench-Write and LongWrite-Ruler
Run     dvc repro generate@MODEL-BENCHMARK
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation import answers
from longwriter.execution import runner
from longwriter.io import files, progress
from longwriter.models import servers
from longwriter.params import Params
from longwriter.records import BenchmarkRow, Generation


def work(model: str, benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Answer each prompt of `benchmark` `generate.samples` times with the weights in data/MODEL/weights."""
    return asyncio.run(_work(model, benchmark, params, folder))


async def _work(model: str, benchmark: str, params: Params, folder: Path) -> runner.Summary:
    generate = params.generate
    source = files.DATA / "benchmarks" / "files" / f"{benchmark}.jsonl"
    prompts = answers.benchmark_prompts(files.read_jsonl(source, BenchmarkRow), str(source))
    draws = [(prompt, number) for prompt in prompts for number in range(generate.samples)]
    weights = files.DATA / model / "weights"
    base = files.DATA / "base_model" / "weights"
    calls = folder / "calls.jsonl.zst"
    async with servers.trained(weights, base, params.serving, generate.sampling, calls) as llm:

        async def answer(draw: tuple[answers.Prompt, int]) -> Generation:
            prompt, number = draw
            cap = generate.max_tokens_per_word
            return await answers.ask(llm, prompt, cap, generate.sampling, attempt=number)

        rows = await progress.each(draws, answer, f"generate {model}-{benchmark}", llm.note)
        usage = llm.usage()
    files.write_jsonl(folder / "generations.jsonl", rows)
    return runner.Summary(len(draws), len(rows), {}, answers.generation_numbers(rows), usage)


if __name__ == "__main__":
    _, model_name, benchmark_name = sys.argv
    runner.main("generate", partial(work, model_name, benchmark_name), item=f"{model_name}-{benchmark_name}")
