"""Ask one model every prompt of one benchmark; prompts, engine and decoding are the same for all models.

Reads   generate.folder/BENCHMARK.jsonl, data/MODEL/weights, data/base_model/weights
Writes  data/generate/MODEL-BENCHMARK/: generations.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 2: LongBench-Write and LongWrite-Ruler
Run     dvc repro generate@MODEL-BENCHMARK
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation import answers as generation
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers as serving
from longwriter.params import Params
from longwriter.records import BenchmarkRow, Generation
from longwriter.stages import runner


def work(model: str, benchmark: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Answer each prompt of `benchmark` once with the weights of the stage `model`."""
    return asyncio.run(_work(model, benchmark, params, folder))


async def _work(model: str, benchmark: str, params: Params, folder: Path) -> runner.Summary:
    source = Path(params.generate.folder) / f"{benchmark}.jsonl"
    prompts = generation.benchmark_prompts(files.read_jsonl(source, BenchmarkRow), str(source))
    weights, base = files.DATA / model / "weights", files.DATA / "base_model" / "weights"
    calls, sampling = folder / "calls.jsonl.zst", params.generate.sampling
    async with serving.trained(weights, base, params.serving, sampling, calls) as llm:

        async def answer(prompt: generation.Prompt) -> Generation:
            return await _answer(llm, params, prompt)

        rows = await progress.each(prompts, answer, f"generate {model}-{benchmark}", llm.note)
        usage = llm.usage()
    files.write_jsonl(folder / "generations.jsonl", rows)
    return runner.Summary(len(prompts), len(rows), {}, generation.generation_numbers(rows), usage)


async def _answer(llm: LLM, params: Params, prompt: generation.Prompt) -> Generation:
    p = params.generate
    cap = generation.token_cap(prompt.required_words, p.max_tokens_per_word, p.sampling.max_tokens)
    answer = await llm.ask(prompt.text, p.sampling.model_copy(update={"max_tokens": cap}))
    return generation.generation_of(
        prompt,
        answer.text,
        finish_reason=answer.finish_reason,
        max_tokens=cap,
        call_ids=[answer.call_id],
    )


if __name__ == "__main__":
    _, which, asked = sys.argv
    runner.main("generate", partial(work, which, asked), item=f"{which}-{asked}")
