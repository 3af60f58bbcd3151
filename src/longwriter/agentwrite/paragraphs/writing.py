"""Writes texts from their plans: calls the writer, and decides which answers become paragraphs.

Mode `serial` asks for one paragraph after the other; each prompt shows the text so far. `parallel` asks for
all paragraphs of a plan at once, then asks again for those that repeat an earlier one. `direct` sends only
the instruction, once. The prompts and the rules for paragraphs are in `drafts`, which makes no calls.
Source: LongWriter (arXiv:2408.07055), section 3.2; +Parallel is its ablation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from longwriter.agentwrite.paragraphs import drafts
from longwriter.endpoints import reading
from longwriter.io import files, progress
from longwriter.llm.asking import Outcome, ask_until_usable
from longwriter.llm.client import LLM, Answer
from longwriter.models import servers
from longwriter.params import LLMParams, Sampling, WriteParams
from longwriter.records import Draft, Plan, Rejection
from longwriter.text.basics.counting import EarlierText
from longwriter.text.basics.prompts import Refused, break_marks


async def write_all(
    writer: LLMParams,
    params: WriteParams,
    plans: files.Indexed[Plan],
    keep: Callable[[int, Draft | Rejection], None],
    calls: Path,
    reasked: Counter[str],
) -> dict[str, float]:
    """Write the text of every plan; return the usage of the calls, as `LLM.usage` does.

    Args:
        writer: The model that writes.
        params: Section `write`.
        plans: The plans, weighted by their number of steps.
        keep: Called with the position of a plan and its text or rejection, as soon as that is known.
        calls: Call log to write.
        reasked: Counts, by reason, the answers after which the writer was asked again.
    """
    template = files.template(params.prompt)
    is_direct = params.mode == "direct"
    sampling = params.direct_sampling if is_direct else params.sampling
    section = "write.direct_sampling" if is_direct else "write.sampling"
    async with servers.model(writer, sampling, calls, section) as llm:

        async def write(plan: Plan, tick: progress.Tick) -> Draft | Rejection:
            return await write_one(llm, params, template, plan, reasked, tick)

        await progress.each_to(
            plans,
            write,
            keep,
            "write",
            llm.note,
            concurrency=writer.max_concurrency,
            weights=plans.weights,
            unit="paragraphs",
        )
        return llm.usage()


class _Job(NamedTuple):
    """What every call for one text needs."""

    llm: LLM
    params: WriteParams
    template: str
    plan: Plan
    reasked: Counter[str]
    tick: progress.Tick

    def limits(self) -> drafts.Limits:
        """Return the limits of a paragraph."""
        params = self.params
        return drafts.Limits(params.min_paragraph_words, params.max_length_ratio, params.max_repeated_share)


async def write_one(
    llm: LLM,
    params: WriteParams,
    template: str,
    plan: Plan,
    reasked: Counter[str],
    tick: progress.Tick = lambda _: None,
) -> Draft | Rejection:
    """Return the text of one plan, or why there is none.

    Args:
        llm: The writer.
        params: Section `write`; its `mode` says how the text is written.
        template: The prompt of one paragraph; unused in mode `direct`.
        plan: The plan; mode `direct` uses only its instruction.
        reasked: Counts, by reason, the answers after which the writer was asked again.
        tick: Called with 1 after each paragraph.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    modes = {"serial": _serial, "parallel": _parallel, "direct": _direct}
    outcomes = await modes[params.mode](_Job(llm, params, template, plan, reasked, tick))
    call_ids = [call_id for outcome in outcomes for call_id in outcome.call_ids]
    texts: list[str] = []
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome.result, Refused):
            where = "" if params.mode == "direct" else f"paragraph {number} of {len(plan.steps)}: "
            return Rejection(
                row_id=plan.instruction.instruction_id,
                stage="write",
                reason=outcome.result.reason,
                detail=f"{where}{outcome.result.detail}",
                call_ids=call_ids,
            )
        texts.append(outcome.result)
    paragraphs = drafts.paragraphs_of(texts[0]) if params.mode == "direct" else texts
    return Draft(plan=plan, paragraphs=paragraphs, call_ids=call_ids)


async def _serial(job: _Job) -> list[Outcome[str]]:
    """Return the paragraphs; they are written one after the other, up to the first refused paragraph."""
    outcomes: list[Outcome[str]] = []
    paragraphs: list[str] = []
    earlier = EarlierText()
    for position in range(len(job.plan.steps)):
        outcome = await _step(job, position, paragraphs, earlier)
        outcomes.append(outcome)
        if isinstance(outcome.result, Refused):
            break
        paragraphs.append(outcome.result)
        earlier.add(outcome.result)
    return outcomes


async def _parallel(job: _Job) -> list[Outcome[str]]:
    """Return the paragraphs; all are requested at once, and those that repeat an earlier one are requested again.

    All steps end before any paragraph is checked, so that a rejection always names the same calls.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_step(job, i, [], None)) for i in range(len(job.plan.steps))]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    outcomes = [task.result() for task in tasks]
    paragraphs = [outcome.result for outcome in outcomes if isinstance(outcome.result, str)]
    if len(paragraphs) < len(outcomes):
        return outcomes
    earlier = EarlierText()
    for position, paragraph in enumerate(paragraphs):
        refused = position and drafts.check_repeats(paragraph, earlier, job.params.max_repeated_share)
        if not refused:
            earlier.add(paragraph)
            continue
        outcome = await _step(job, position, [], earlier, outcomes[position]._replace(result=refused))
        outcomes[position] = outcome
        if isinstance(outcome.result, Refused):
            break
        earlier.add(outcome.result)
    return outcomes


async def _direct(job: _Job) -> list[Outcome[str]]:
    """Return the whole text as one answer to the instruction."""
    instruction = job.plan.instruction

    async def check(text: str) -> Refused | None:
        return await reading.run_in_process(
            drafts.check_whole, text, job.limits(), instruction.language, instruction.prompt
        )

    prompt = break_marks(instruction.prompt)
    return [await _ask(job, prompt, job.params.direct_sampling, False, check)]


async def _step(
    job: _Job,
    position: int,
    visible_text: list[str],
    earlier_text: EarlierText | None,
    earlier_attempts: Outcome[str] | None = None,
) -> Outcome[str]:
    """Return the paragraph of one step.

    Args:
        job: The text.
        position: Position of the step, from 0.
        visible_text: Paragraphs that the prompt shows.
        earlier_text: What the paragraph must not repeat; None = only itself.
        earlier_attempts: Attempts at this paragraph so far; this call may use the remaining ones.
    """
    plan = job.plan
    step = plan.steps[position]

    async def check(text: str) -> Refused | None:
        limits, instruction = job.limits(), plan.instruction
        alone = partial(
            drafts.check_paragraph,
            word_count=step.word_count,
            before=EarlierText(),
            instruction=instruction.prompt,
        )
        refused = await reading.run_in_process(alone, text, limits, instruction.language)
        if refused or earlier_text is None:
            return refused
        return await reading.run_by_size(
            len(text), drafts.check_repeats, text, earlier_text, limits.max_repeated_share
        )

    prompt = drafts.write_prompt(job.template, plan, position, visible_text)
    keep_first = job.params.keep == "first_paragraph"
    outcome = await _ask(job, prompt, job.params.sampling, keep_first, check, earlier_attempts)
    if earlier_attempts is None and not isinstance(outcome.result, Refused):
        job.tick(1)
    return outcome


async def _ask(
    job: _Job,
    prompt: str,
    sampling: Sampling,
    keep_first: bool,
    check: Callable[[str], Awaitable[Refused | None]],
    earlier: Outcome[str] | None = None,
) -> Outcome[str]:
    """Return the first answer that passes `check`, cleaned; else the last refusal."""

    async def read(answer: Answer) -> str | Refused:
        text = await reading.run_by_size(
            len(answer.text), drafts.read_answer, answer.text, answer.finish_reason, keep_first
        )
        return text if isinstance(text, Refused) else await check(text) or text

    return await ask_until_usable(
        job.llm,
        prompt,
        sampling,
        read,
        max_attempts=job.params.max_attempts,
        reasked=job.reasked,
        earlier=earlier,
    )
