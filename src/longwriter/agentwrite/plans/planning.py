"""Makes plans: calls the planner and the judge of coverage, and decides which answers become plans.

The prompts and the rules for plans are in `plan` and `coverage`, which make no calls.
Source: LongWriter (arXiv:2408.07055), section 3.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from longwriter.agentwrite.plans import coverage
from longwriter.agentwrite.plans import plan as plans
from longwriter.endpoints import reading
from longwriter.io import files, progress
from longwriter.llm.asking import Unanswered, ask_until_usable
from longwriter.llm.client import LLM, Answer
from longwriter.models import servers
from longwriter.params import JudgeParams, LLMParams, PlanParams
from longwriter.records import Instruction, Plan, PlanStep, Rejection
from longwriter.text.basics.prompts import Refused, plan_lines

_FORMATS = Path(__file__).parents[2] / "prompts" / "format"


class Templates(NamedTuple):
    """Prompt templates: the planner's, the description of each answer format, the judge's."""

    plan: str
    formats: dict[str, str]
    coverage: str


def read_templates(params: PlanParams) -> Templates:
    """Return the prompt templates that the section `plan` names.

    Raises:
        BadRecord: a template is missing or empty.
    """
    formats = {name: files.template(str(_FORMATS / f"{name}.txt")) for name in ("lines", "json")}
    return Templates(files.template(params.prompt), formats, files.template(params.judge.prompt))


class CoverageJudge(NamedTuple):
    """The model that judges whether a plan covers its instruction."""

    llm: LLM
    template: str
    params: JudgeParams


async def plan_all(
    planner: LLMParams,
    params: PlanParams,
    rows: files.Indexed[Instruction],
    keep: Callable[[int, Plan | Rejection], None],
    calls: Path,
    reasked: Counter[str],
) -> dict[str, float]:
    """Plan every instruction; return the usage of the calls, as `LLM.usage` does.

    Args:
        planner: The model that plans.
        params: Section `plan`; `params.judge` judges the coverage, if it has a model.
        rows: The instructions.
        keep: Called with the position of an instruction and its plan or rejection, as soon as that is known.
        calls: Call log to write; the judge's calls come after the planner's.
        reasked: Counts, by reason, the answers after which the planner was asked again.
    """
    templates = read_templates(params)
    judge_calls = calls.with_name("judge_calls.jsonl.zst")
    async with (
        servers.model(planner, params.sampling, calls, "plan.sampling") as llm,
        _coverage_judge(params.judge, templates, judge_calls) as judge,
    ):
        clients = [llm] if judge is None else [llm, judge.llm]

        async def plan(row: Instruction, _: progress.Tick) -> Plan | Rejection:
            return await plan_one(llm, judge, params, templates, row, reasked)

        def note() -> str:
            return "; ".join(client.note() for client in clients)

        await progress.each_to(rows, plan, keep, "plan", note, concurrency=planner.max_concurrency)
        usage = _sum([client.usage() for client in clients])
    if judge is not None:
        files.join_call_logs([calls, judge_calls], calls)
    return usage


async def plan_one(
    llm: LLM,
    judge: CoverageJudge | None,
    params: PlanParams,
    templates: Templates,
    row: Instruction,
    reasked: Counter[str],
) -> Plan | Rejection:
    """Return the plan of one instruction, or why there is none.

    Args:
        llm: The planner.
        judge: Asked about each plan that passes the checks; None = coverage is not judged.
        params: Section `plan`.
        templates: Prompt templates.
        row: The instruction.
        reasked: Counts, by reason, the answers after which the planner was asked again.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    limits = plans.Bounds(params.min_steps, params.max_steps, params.min_step_words, params.max_step_words)
    bounds = plans.step_bounds(limits, row.required_words)
    answer_format = llm.answer_format(params.answer_format)
    call_ids: list[str] = []

    async def read(answer: Answer) -> list[PlanStep] | Refused:
        size = len(answer.text)
        steps = await reading.run_by_size(
            size, plans.parse_plan, answer.text, answer_format, answer.finish_reason
        )
        if isinstance(steps, Refused):
            return steps
        check = partial(
            plans.check_plan, max_length_error=params.max_length_error, min_coverage=params.min_coverage
        )
        if refused := await reading.run_by_size(size, check, steps, row, bounds):
            return refused
        if judge is None:
            return steps
        return await _check_coverage(judge, row, steps, call_ids) or steps

    outcome = await ask_until_usable(
        llm,
        plans.plan_prompt(templates.plan, templates.formats, answer_format, row, bounds),
        params.sampling,
        read,
        max_attempts=params.max_attempts,
        schema=plans.plan_schema(bounds, params.max_point_chars),
        answer_format=answer_format,
        call_ids=call_ids,
        reasked=reasked,
    )
    if isinstance(outcome.result, Refused):
        reason, detail = outcome.result
        return Rejection(
            row_id=row.instruction_id, stage="plan", reason=reason, detail=detail, call_ids=call_ids
        )
    return Plan(instruction=row, steps=outcome.result, call_ids=call_ids)


class _Opinion(NamedTuple):
    """A readable answer of the judge: why the plan does not pass, or None if it passes."""

    refused: Refused | None


async def _check_coverage(
    judge: CoverageJudge, row: Instruction, steps: list[PlanStep], call_ids: list[str]
) -> Refused | None:
    """Return why a plan does not pass the judge, or None; append the judge's calls to `call_ids`."""

    async def read(answer: Answer) -> _Opinion | Refused:
        refused = coverage.parse_coverage(answer.text)
        if refused is not None and refused.reason == "coverage_unreadable":
            return refused
        return _Opinion(refused)

    outcome = await ask_until_usable(
        judge.llm,
        coverage.coverage_prompt(judge.template, row.prompt, plan_lines(steps)),
        judge.params.sampling,
        read,
        max_attempts=judge.params.max_attempts,
        schema=coverage.coverage_schema(),
        call_ids=call_ids,
    )
    result = outcome.result
    if isinstance(result, Refused):
        return result if isinstance(result, Unanswered) else Refused("coverage_unreadable", result.detail)
    return result.refused


@asynccontextmanager
async def _coverage_judge(
    params: JudgeParams, templates: Templates, calls: Path
) -> AsyncIterator[CoverageJudge | None]:
    """Yield the judge, or None if coverage is not judged."""
    if params.llm is None:
        yield None
        return
    async with servers.model(params.llm, params.sampling, calls, "plan.judge.sampling") as llm:
        yield CoverageJudge(llm, templates.coverage, params)


def _sum(usages: list[dict[str, float]]) -> dict[str, float]:
    """Return the sums of several clients' usage; a number that one of them lacks, such as a cost, is left out."""
    names = set(usages[0]).intersection(*usages)
    return {name: sum(usage[name] for usage in usages) for name in usages[0] if name in names}
