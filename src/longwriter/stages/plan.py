"""AgentWrite, first half: make a plan of paragraphs for each instruction.

A plan is asked for again until one passes every check, `plan.max_attempts` times at most. Where the
texts are written in one answer (`write.mode: direct`) nobody is asked, and each plan has no steps.

Reads   data/instructions/instructions.jsonl, the prompt templates, the model of `plan.llm` or `llm`,
        and that of `judge.llm` where it judges coverage
Writes  data/plan/: plans.jsonl, rejected.jsonl, calls.jsonl.zst, verdict.json, summary.json,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.1
Run     dvc repro plan; a stopped gate leaves with exit code 3
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from longwriter.agentwrite import coverage
from longwriter.agentwrite import plans as planning
from longwriter.errors import NoAnswer
from longwriter.gates import verdicts
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers as serving
from longwriter.params import JudgeParams, Params, PlanParams
from longwriter.records import Instruction, Plan, PlanStep, Rejection
from longwriter.stages import runner
from longwriter.text.prompts import Refused
from longwriter.tracking import versioning

FOLDER = files.DATA / "plan"
_FORMATS = Path(__file__).parents[1] / "prompts" / "format"


class Templates(NamedTuple):
    """The texts that prompts are made of: the planner's, the wording of each format, the judge's."""

    plan: str
    formats: dict[str, str]
    coverage: str


def templates(p: PlanParams) -> Templates:
    """Return the prompt templates that the parameters name.

    Raises:
        BadRecord: one is missing or empty.
    """
    formats = {name: files.template(str(_FORMATS / f"{name}.txt")) for name in ("lines", "json")}
    return Templates(files.template(p.prompt), formats, files.template(p.coverage_prompt))


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Plan every instruction, or say why not; pass the gate, or stop."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    rows = files.indexed(files.DATA / "instructions" / "instructions.jsonl", Instruction)
    reasked, reasons = Counter[str](), Counter[str]()
    kept = steps = 0
    with files.spool(Plan, Rejection) as done:
        if params.write.mode == "direct":
            usage = _pass_on(rows, done, folder / "calls.jsonl.zst")
        else:
            usage = await _plan_all(params, rows, done, folder / "calls.jsonl.zst", reasked)
        with files.jsonl(folder / "plans.jsonl") as keep, files.jsonl(folder / "rejected.jsonl") as reject:
            for row in done:
                if isinstance(row, Plan):
                    keep(row)
                    kept, steps = kept + 1, steps + len(row.steps)
                elif isinstance(row, Rejection):
                    reject(row)
                    reasons[row.reason] += 1
    numbers = {"steps_mean": round(steps / max(1, kept), 3)}
    numbers |= {f"reasked_{reason}": float(n) for reason, n in sorted(reasked.items())}
    gate, artifacts = _pass_gate(params, len(rows), folder)
    return runner.Summary(len(rows), kept, dict(reasons), {**numbers, **gate}, usage, artifacts)


def _pass_gate(params: Params, asked: int, folder: Path) -> tuple[dict[str, float], list[Path]]:
    """Write the verdict, or stop; return the gate's numbers, and its files to show."""
    from longwriter.gates import gx  # imported here, so that the client's process does without it
    from longwriter.gates import plans as plan_gate

    docs = verdicts.DOCS / "plan"
    plans = files.read_jsonl(folder / "plans.jsonl", Plan)
    findings = gx.run(plan_gate.gate(plans, asked, params.plan, params.write.mode == "direct"), docs)
    data = {str(FOLDER / "plans.jsonl"): versioning.digest(folder / "plans.jsonl")}
    numbers = verdicts.settle("plan", findings, data, len(plans), folder / "verdict.json")
    return numbers, [docs, FOLDER / "verdict.json"]


def _pass_on(
    rows: files.Indexed[Instruction], done: files.Spool[Plan | Rejection], calls: Path
) -> dict[str, float]:
    """Give each instruction a plan without steps; the call log is empty."""
    with files.zstd_lines(calls):
        for position, row in enumerate(rows):
            done.put(position, Plan(instruction=row, steps=[], call_ids=[]))
    return {}


async def _plan_all(
    params: Params,
    rows: files.Indexed[Instruction],
    done: files.Spool[Plan | Rejection],
    calls: Path,
    reasked: Counter[str],
) -> dict[str, float]:
    """Plan the rows into `done`; return what it took."""
    endpoint, texts = params.plan.llm or params.llm, templates(params.plan)
    judge_calls = calls.with_name("judge_calls.jsonl.zst")
    async with (
        serving.model(endpoint, params.plan.sampling, calls) as llm,
        _coverage_judge(params, judge_calls) as judge,
    ):
        asked = [llm] if judge is None else [llm, judge]

        async def plan(row: Instruction, tick: progress.Tick) -> Plan | Rejection:
            return await plan_one(llm, judge, params, texts, row, reasked)

        def note() -> str:
            return "; ".join(client.note() for client in asked)

        await progress.each_to(rows, plan, done.put, "plan", note, concurrency=endpoint.max_concurrency)
        usage = _together([client.usage() for client in asked])
    if judge is not None:
        _join([calls, judge_calls], calls)
    return usage


async def plan_one(
    llm: LLM,
    judge: LLM | None,
    params: Params,
    texts: Templates,
    row: Instruction,
    reasked: Counter[str],
) -> Plan | Rejection:
    """Return the plan of one instruction, or why there is none.

    Args:
        llm: The planner.
        judge: Asked whether a plan covers its instruction; None = nobody is.
        params: Sections `plan` and `judge`.
        texts: Prompt templates.
        row: The instruction.
        reasked: Counts, by reason, the answers after which the planner was asked again.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    p = params.plan
    limits = planning.Bounds(p.min_steps, p.max_steps, p.min_step_words, p.max_step_words)
    bounds = planning.step_bounds(limits, row.required_words)
    form = llm.answer_format(p.answer_format)
    prompt = planning.plan_prompt(texts.plan, texts.formats, form, row, bounds)
    schema = planning.plan_schema(bounds, p.max_point_chars) if form == "json_schema" else None
    json_object = form == "json_object"
    call_ids: list[str] = []
    refused: Refused | None = None
    try:
        for attempt in range(p.max_attempts):
            if refused:
                reasked[refused.reason] += 1
            answer = await llm.ask(
                prompt, p.sampling, schema=schema, json_object=json_object, attempt=attempt
            )
            call_ids.append(answer.call_id)
            steps = planning.parse_plan(answer.text, form, answer.finish_reason)
            if isinstance(steps, Refused):
                refused = steps
                continue
            refused = planning.check_plan(
                steps, row, bounds, max_length_error=p.max_length_error, min_coverage=p.min_coverage
            )
            if refused is None and judge is not None:
                refused = await _judge(judge, params.judge, texts.coverage, row, steps, call_ids)
            if refused is None:
                return Plan(instruction=row, steps=steps, call_ids=call_ids)
    except NoAnswer as error:
        refused = Refused(error.reason, str(error))
    reason, detail = refused or Refused("no_attempt", "")
    return Rejection(row_id=row.instruction_id, stage="plan", reason=reason, detail=detail, call_ids=call_ids)


async def _judge(
    judge: LLM, p: JudgeParams, template: str, row: Instruction, steps: list[PlanStep], call_ids: list[str]
) -> Refused | None:
    """Return why the judge does not let a plan pass; `call_ids` gets its calls."""
    prompt = coverage.coverage_prompt(template, row.prompt, planning.plan_lines(steps))
    form = judge.answer_format("auto")
    schema = coverage.coverage_schema() if form == "json_schema" else None
    refused: Refused | None = None
    for attempt in range(p.max_attempts):
        answer = await judge.ask(
            prompt, p.sampling, schema=schema, json_object=form == "json_object", attempt=attempt
        )
        call_ids.append(answer.call_id)
        refused = coverage.parse_coverage(answer.text)
        if refused is None or refused.reason != "coverage_unreadable":
            break
    return refused


@asynccontextmanager
async def _coverage_judge(params: Params, calls: Path) -> AsyncIterator[LLM | None]:
    """Yield a client of the judge, where it judges coverage."""
    if not params.plan.coverage_judge or params.judge.llm is None:
        yield None
        return
    async with serving.model(params.judge.llm, params.judge.sampling, calls) as llm:
        yield llm


def _together(usages: list[dict[str, float]]) -> dict[str, float]:
    """Return the sums of what every client tells: a cost, where one model's is not known, is not known."""
    known = set(usages[0]).intersection(*usages)
    return {name: sum(usage[name] for usage in usages) for name in usages[0] if name in known}


def _join(parts: list[Path], target: Path) -> None:
    """Make `target` the call log that holds the lines of all parts."""
    whole = target.with_suffix(".joined")
    with files.zstd_lines(whole) as out:
        for part in parts:
            out.writelines(files.read_zstd_lines(part))
            part.unlink()
    whole.replace(target)


if __name__ == "__main__":
    runner.main("plan", work)
