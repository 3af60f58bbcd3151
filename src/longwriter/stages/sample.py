"""Ask the SFT model several answers to each training instruction; preference pairs come of them.

Reads   data/dataset/train.jsonl, data/sft/weights, data/base_model/weights
Writes  data/sample/: generations.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 4: four samples an instruction
Run     dvc repro sample
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from longwriter.errors import ModelUnusable, NoAnswer
from longwriter.evaluation import answers as generation
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers as serving
from longwriter.params import Params
from longwriter.records import Example, Generation, Rejection
from longwriter.stages import runner

log = logging.getLogger(__name__)


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Answer each chosen instruction `sample.samples` times."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    p = params.sample
    examples = files.read_jsonl(files.DATA / "dataset" / "train.jsonl", Example)
    prompts, left_out = generation.sample_prompts(examples, p.limit)
    prompts.sort(key=lambda prompt: -prompt.required_words)  # so that no long answer is left alone at the end
    draws = [(prompt, k) for prompt in prompts for k in range(p.samples)]
    weights, base = files.DATA / "sft" / "weights", files.DATA / "base_model" / "weights"
    calls = folder / "calls.jsonl.zst"
    async with serving.trained(weights, base, params.serving, p.sampling, calls) as llm:

        async def answer(draw: tuple[generation.Prompt, int]) -> Generation | Rejection:
            return await sample_one(llm, params, *draw)

        drawn = await progress.each(draws, answer, "sample", llm.note)
        usage = llm.usage()
    rows, refused = generation.of_answered(drawn)
    if refused and not rows:
        words = next(row.detail for row in drawn if isinstance(row, Rejection))
        raise ModelUnusable(f"the engine refused every prompt: {words}. Check serving.context_tokens")
    files.write_jsonl(folder / "generations.jsonl", rows)
    numbers = generation.generation_numbers(rows)
    kept = len(prompts) - sum(refused.values())
    return runner.Summary(len(examples), kept, left_out | refused, numbers, usage)


async def sample_one(
    llm: LLM, params: Params, prompt: generation.Prompt, draw: int
) -> Generation | Rejection:
    """Return one answer to a prompt, or that the engine refuses it, such as one beyond its context.

    Raises:
        NoAnswer: the request failed every time, which can pass.
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    p = params.sample
    cap = generation.token_cap(prompt.required_words, p.max_tokens_per_word, p.sampling.max_tokens)
    sampling = p.sampling.model_copy(update={"max_tokens": cap})
    try:
        answer = await llm.ask(prompt.text, sampling, attempt=draw)
    except NoAnswer as refusal:
        if refusal.reason != "request_refused":
            raise
        log.warning("prompt %s is left out: %s", prompt.prompt_id, refusal)
        return Rejection(row_id=prompt.prompt_id, stage="sample", reason=refusal.reason, detail=str(refusal))
    return generation.generation_of(
        prompt,
        answer.text,
        finish_reason=answer.finish_reason,
        max_tokens=cap,
        call_ids=[answer.call_id],
    )


if __name__ == "__main__":
    runner.main("sample", work)
