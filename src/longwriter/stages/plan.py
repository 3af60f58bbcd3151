"""AgentWrite, first half: make a plan of paragraphs for each instruction.

Reads   data/instructions/instructions.jsonl, the prompt template, the model of `llm`
Writes  data/plan/: plans.jsonl, rejected.jsonl, calls.jsonl.zst, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.1
Run     dvc repro plan
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from longwriter import runner
from longwriter.core import agentwrite
from longwriter.edges import files, progress, serving
from longwriter.edges.llm import LLM
from longwriter.params import Params, PlanParams
from longwriter.records import Instruction, Plan, Rejection


def work(params: Params, folder: Path) -> runner.Summary:
    """Plan every instruction, or say why not."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    rows = files.read_jsonl(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    template = files.template(params.plan.prompt)
    async with serving.model(params.llm, params.plan.sampling, folder / "calls.jsonl.zst") as llm:
        as_json = llm.use_schema(params.plan.answer_format)

        async def plan(row: Instruction) -> Plan | Rejection:
            return await _plan(llm, params.plan, template, row, as_json)

        results = await progress.each(rows, plan, "plan", llm.note)
        usage = llm.usage()
    plans = [row for row in results if isinstance(row, Plan)]
    rejected = [row for row in results if isinstance(row, Rejection)]
    files.write_jsonl(folder / "plans.jsonl", plans)
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    steps = sum(len(row.steps) for row in plans)
    numbers = {"steps_mean": round(steps / max(1, len(plans)), 3)}
    reasons = Counter(row.reason for row in rejected)
    return runner.Summary(len(rows), len(plans), dict(reasons), numbers, usage)


async def _plan(llm: LLM, p: PlanParams, template: str, row: Instruction, as_json: bool) -> Plan | Rejection:
    limits = agentwrite.Bounds(p.min_steps, p.max_steps, p.min_step_words, p.max_step_words)
    bounds = agentwrite.step_bounds(limits, row.required_words)
    prompt = agentwrite.plan_prompt(template, row, bounds)
    schema = agentwrite.plan_schema(bounds, p.max_point_chars) if as_json else None
    call_ids: list[str] = []
    refused = agentwrite.Refused("no_attempt", "")
    for attempt in range(p.max_attempts):
        answer = await llm.ask(prompt, p.sampling, schema=schema, attempt=attempt)
        call_ids.append(answer.call_id)
        steps = agentwrite.parse_plan(answer.text, bounds, as_json)
        if not isinstance(steps, agentwrite.Refused):
            return Plan(instruction=row, steps=steps, call_ids=call_ids)
        refused = steps
    return Rejection(
        row_id=row.instruction_id,
        stage="plan",
        reason=refused.reason,
        detail=refused.detail,
        call_ids=call_ids,
    )


if __name__ == "__main__":
    runner.main("plan", work)
