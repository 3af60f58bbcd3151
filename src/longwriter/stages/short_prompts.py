"""Let one model answer short prompts, and check the answers, to show what it lost by learning to write long.

Reads   short_prompts.source, data/MODEL/weights, data/base_model/weights
Writes  data/short_prompts/MODEL/: answers.jsonl, calls.jsonl.zst, metrics.json
Run     dvc repro short_prompts@MODEL
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from longwriter.evaluation.short import short_prompts
from longwriter.execution import runner
from longwriter.io import files, progress
from longwriter.models import servers
from longwriter.params import Params
from longwriter.records import ShortAnswer, ShortPrompt
from longwriter.statistics.short_prompts import numbers


def work(model: str, params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Answer each short prompt once with the weights in data/MODEL/weights."""
    return asyncio.run(_work(model, params, folder))


async def _work(model: str, params: Params, folder: Path) -> runner.Summary:
    own = params.short_prompts
    calls = folder / "calls.jsonl.zst"
    if own.limit == 0:
        with files.zstd_lines(calls):
            files.write_jsonl(folder / "answers.jsonl", [])
        none = numbers([], params.report.confidence)
        return runner.Summary(1, 1, {}, none)  # 1 row, because a stage that keeps no row fails
    prompts = short_prompts.checked(files.read_jsonl(Path(own.source), ShortPrompt), own.source, own.limit)
    weights = files.DATA / model / "weights"
    base = files.DATA / "base_model" / "weights"
    async with servers.trained(weights, base, params.serving, own.sampling, calls) as llm:

        async def answer(row: ShortPrompt) -> ShortAnswer:
            return await short_prompts.ask(llm, row, own.sampling)

        rows = await progress.each(prompts, answer, f"short_prompts {model}", llm.note)
        usage = llm.usage()
    files.write_jsonl(folder / "answers.jsonl", rows)
    return runner.Summary(len(prompts), len(rows), {}, numbers(rows, params.report.confidence), usage)


if __name__ == "__main__":
    _, model_name = sys.argv
    runner.main("short_prompts", partial(work, model_name), item=model_name)
