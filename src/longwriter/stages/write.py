"""AgentWrite, second half: write each plan paragraph by paragraph, in order.

Reads   data/plan/plans.jsonl, the prompt template, the model of `llm`
Writes  data/write/: drafts.jsonl, rejected.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.2
Run     dvc repro write
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from longwriter import runner
from longwriter.core import agentwrite
from longwriter.core.text import count_words
from longwriter.edges import files, progress, serving
from longwriter.edges.llm import LLM
from longwriter.params import Params, WriteParams
from longwriter.records import Draft, Plan, Rejection


def work(params: Params, folder: Path) -> runner.Summary:
    """Write every plan, or say why not."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    plans = files.read_jsonl(files.DATA / "plan" / "plans.jsonl", Plan)
    template = files.template(params.write.prompt)
    async with serving.model(params.llm, params.write.sampling, folder / "calls.jsonl.zst") as llm:

        async def write(plan: Plan) -> Draft | Rejection:
            return await _write(llm, params.write, template, plan)

        results = await progress.each(plans, write, "write", llm.note)
        usage = llm.usage()
    drafts = [row for row in results if isinstance(row, Draft)]
    rejected = [row for row in results if isinstance(row, Rejection)]
    files.write_jsonl(folder / "drafts.jsonl", drafts)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    words = [sum(map(count_words, draft.paragraphs)) for draft in drafts]
    numbers = {
        "words_mean": round(sum(words) / max(1, len(words)), 3),
        "words_max": float(max(words, default=0)),
    }
    reasons = Counter(row.reason for row in rejected)
    return runner.Summary(len(plans), len(drafts), dict(reasons), numbers, usage)


async def _write(llm: LLM, p: WriteParams, template: str, plan: Plan) -> Draft | Rejection:
    paragraphs: list[str] = []
    call_ids: list[str] = []
    for _ in plan.steps:
        prompt = agentwrite.write_prompt(template, plan.instruction, plan.steps, paragraphs)
        paragraph, refused = "", None
        for attempt in range(p.max_attempts):
            answer = await llm.ask(prompt, p.sampling, attempt=attempt)
            call_ids.append(answer.call_id)
            paragraph = agentwrite.clean_paragraph(
                answer.text,
                keep_first=p.keep == "first_paragraph",
                cut_off=answer.finish_reason == "length",
            )
            refused = agentwrite.check_paragraph(
                paragraph, paragraphs, p.min_paragraph_words, p.max_repeated_share
            )
            if refused is None:
                break
        if refused is not None:
            return Rejection(
                row_id=plan.instruction.instruction_id,
                stage="write",
                reason=refused.reason,
                detail=f"paragraph {len(paragraphs) + 1} of {len(plan.steps)}: {refused.detail}",
                call_ids=call_ids,
            )
        paragraphs.append(paragraph)
    return Draft(plan=plan, paragraphs=paragraphs, call_ids=call_ids)


if __name__ == "__main__":
    runner.main("write", work)
