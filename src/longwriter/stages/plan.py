"""AgentWrite, first half: make a plan of paragraphs for each instruction.

The model is asked for a plan until one passes every check, at most `plan.max_attempts` times. If texts are
written in one answer (`write.mode: direct`), no model is called, and the plans have no steps.

Reads   data/instructions/instructions.jsonl, the prompt templates, the model of `plan.llm` or `llm`,
        and the model of `plan.judge.llm`, if it is set
Writes  data/plan/: plans.jsonl, rejected.jsonl, calls.jsonl.zst, verdict.json, summary.json,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.1
Run     dvc repro plan; exits with 3 if the gate stops
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from longwriter.agentwrite.plans import planning
from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.io import files
from longwriter.params import Params
from longwriter.records import Instruction, Plan, Rejection
from longwriter.tracking import versioning

FOLDER = files.DATA / "plan"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Write a plan or a rejection for each instruction; then pass the gate, or stop."""
    rows = files.indexed(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    calls = folder / "calls.jsonl.zst"
    reasked = Counter[str]()
    with files.spool(Plan, Rejection) as results:
        if params.write.mode == "direct":
            usage: dict[str, float] = {}
            _plan_without_steps(rows, results, calls)
        else:
            planner = params.plan.llm or params.llm
            usage = asyncio.run(planning.plan_all(planner, params.plan, rows, results.put, calls, reasked))
        plans, steps, reasons = _write_rows(results, folder)
    numbers = {"steps_mean": round(steps / max(1, plans), 3)}
    numbers |= {f"reasked_{reason}": float(n) for reason, n in sorted(reasked.items())}
    gate, artifacts = _pass_gate(params, len(rows), folder)
    return runner.Summary(len(rows), plans, dict(reasons), {**numbers, **gate}, usage, artifacts)


def _plan_without_steps(
    rows: files.Indexed[Instruction], results: files.Spool[Plan | Rejection], calls: Path
) -> None:
    """Write a plan without steps for each instruction, and an empty call log."""
    with files.zstd_lines(calls):
        for position, row in enumerate(rows):
            results.put(position, Plan(instruction=row, steps=[], call_ids=[]))


def _write_rows(results: files.Spool[Plan | Rejection], folder: Path) -> tuple[int, int, Counter[str]]:
    """Write plans and rejections in the order of their instructions; return (plans, their steps, reasons)."""
    plans = 0
    steps = 0
    reasons = Counter[str]()
    with files.jsonl(folder / "plans.jsonl") as keep, files.jsonl(folder / "rejected.jsonl") as reject:
        for row in results:
            if isinstance(row, Plan):
                keep(row)
                plans += 1
                steps += len(row.steps)
            elif isinstance(row, Rejection):
                reject(row)
                reasons[row.reason] += 1
    return plans, steps, reasons


def _pass_gate(params: Params, instructions: int, folder: Path) -> tuple[dict[str, float], list[Path]]:
    """Write the verdict, or stop; return the gate's numbers and its artifacts."""
    from longwriter.gates import plans as plan_gate
    from longwriter.gates.suite import gx  # imported here, because planning does not need it

    docs = verdicts.DOCS / "plan"
    plans = files.read_jsonl(folder / "plans.jsonl", Plan)
    findings = gx.run(plan_gate.gate(plans, instructions, params.plan, params.write.mode == "direct"), docs)
    data = {str(FOLDER / "plans.jsonl"): versioning.digest(folder / "plans.jsonl")}
    numbers = verdicts.settle("plan", findings, data, len(plans), folder / "verdict.json")
    return numbers, [docs, FOLDER / "verdict.json"]


if __name__ == "__main__":
    runner.main("plan", work)
