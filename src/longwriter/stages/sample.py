"""Answer training instructions several times with the SFT model; the answers will become preference pairs.

With `sample.steps`, the model also continues one text of each instruction from its first weak step.

Reads   data/dataset/train.jsonl, data/sft/weights, data/base_model/weights
Writes  data/sample/: generations.jsonl, rejected.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 4: four samples an instruction; steps: LongDPO (arXiv:2502.02095)
Run     dvc repro sample
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from longwriter.errors import ModelUnusable, NoAnswer
from longwriter.evaluation import answers
from longwriter.execution import runner
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers
from longwriter.params import Params
from longwriter.preferences import steps
from longwriter.records import Example, Generation, Rejection
from longwriter.tokens import tokenizer

log = logging.getLogger(__name__)


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Answer each selected instruction `sample.samples` times."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    sample = params.sample
    examples = files.read_jsonl(files.DATA / "dataset" / "train.jsonl", Example)
    prompts, left_out = answers.sample_prompts(examples, sample.limit)
    prompts.sort(
        key=lambda prompt: -(prompt.required_words or 0)
    )  # so that no long answer runs alone at the end
    draws = [(prompt, number) for prompt in prompts for number in range(sample.samples)]
    weights = files.DATA / "sft" / "weights"
    base = files.DATA / "base_model" / "weights"
    calls = folder / "calls.jsonl.zst"
    async with servers.trained(weights, base, params.serving, sample.sampling, calls) as llm:

        async def answer(draw: tuple[answers.Prompt, int]) -> Generation | Rejection:
            return await sample_one(llm, params, *draw)

        results = await progress.each(draws, answer, "sample", llm.note)
        numbers = {}
        if sample.steps is not None:
            starts = _starts(params, prompts, results, examples)
            results += await _continuations(llm, params, prompts, starts)
            numbers = {"steps": float(len(starts))}
        usage = llm.usage()
    rows, rejected = answers.drop_refused_prompts(results)
    if rejected and not rows:
        raise ModelUnusable(
            f"the engine refused every prompt: {rejected[0].detail}. Check serving.context_tokens"
        )
    files.write_jsonl(folder / "generations.jsonl", rows)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    numbers |= answers.generation_numbers(rows)
    return runner.Summary(
        len(examples),
        len(prompts) - len(rejected),
        left_out | Counter(row.reason for row in rejected),
        numbers,
        usage,
        offered=len(prompts),
        min_kept_share=sample.min_kept_share,
    )


def _starts(
    params: Params,
    prompts: Sequence[answers.Prompt],
    results: Sequence[Generation | Rejection],
    examples: Sequence[Example],
) -> dict[str, answers.Start]:
    """Return the text that the model continues, for each prompt that has one, by the prompt's id."""
    assert params.sample.steps is not None
    answers_by_prompt: dict[str, list[Generation]] = defaultdict(list)
    for row in results:
        if isinstance(row, Generation):
            answers_by_prompt[row.prompt_id].append(row)
    texts = {
        row.instruction_id: steps.TrainingText(row.messages[-1].content, row.call_ids)
        for row in examples
        if row.instruction_id
    }
    coder = tokenizer.Coder(tokenizer.load(files.DATA / "sft" / "weights"))
    starts = {}
    for prompt in prompts:
        key = prompt.prompt_id
        beginning = steps.beginning(answers_by_prompt[key], texts[key], params.sample.steps)
        if beginning is not None:
            starts[key] = answers.Start(beginning.text, coder.line_ends(beginning.text), beginning.call_ids)
    log.info("%d of %d prompts have a text with a weak step", len(starts), len(prompts))
    return starts


async def _continuations(
    llm: LLM, params: Params, prompts: Sequence[answers.Prompt], starts: dict[str, answers.Start]
) -> list[Generation | Rejection]:
    """Return `sample.samples` continuations of each text."""
    draws = [
        (prompt, number)
        for prompt in prompts
        if prompt.prompt_id in starts
        for number in range(params.sample.samples)
    ]

    async def answer(draw: tuple[answers.Prompt, int]) -> Generation | Rejection:
        return await sample_one(llm, params, *draw, starts[draw[0].prompt_id])

    return await progress.each(draws, answer, "continue", llm.note)


async def sample_one(
    llm: LLM, params: Params, prompt: answers.Prompt, draw: int, start: answers.Start | None = None
) -> Generation | Rejection:
    """Return one answer to a prompt, or a rejection if the engine refuses the prompt, for example as too long.

    Raises:
        NoAnswer: the request failed every time; a later run may succeed.
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    sample = params.sample
    try:
        return await answers.ask(
            llm, prompt, sample.max_tokens_per_word, sample.sampling, attempt=draw, start=start
        )
    except NoAnswer as refusal:
        if refusal.reason != "request_refused":
            raise
        log.warning("prompt %s is left out: %s", prompt.prompt_id, refusal)
        return Rejection(row_id=prompt.prompt_id, stage="sample", reason=refusal.reason, detail=str(refusal))


if __name__ == "__main__":
    runner.main("sample", work)
