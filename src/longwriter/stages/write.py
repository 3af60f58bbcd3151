"""AgentWrite, second half: write each plan paragraph by paragraph, or each text in one answer.

`serial` shows every paragraph the text so far; `parallel` asks for all paragraphs of a plan at once,
then asks again for those that repeat an earlier one; `direct` sends the instruction alone, once.
An answer is asked for again until it passes every check, `write.max_attempts` times at most.

Reads   data/plan/plans.jsonl, the prompt template, the model of `write.llm` or `llm`
Writes  data/write/: drafts.jsonl, rejected.jsonl, calls.jsonl.zst, summary.json, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.2; +Parallel is its ablation
Run     dvc repro write
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from longwriter.agentwrite import drafts as drafting
from longwriter.errors import NoAnswer
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers as serving
from longwriter.params import Params, Sampling, WriteParams
from longwriter.records import Draft, Plan, Rejection
from longwriter.stages import runner
from longwriter.text.counting import Said, count_words
from longwriter.text.prompts import Refused


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Write every plan, or say why not."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    p, endpoint = params.write, params.write.llm or params.llm
    plans = files.indexed(files.DATA / "plan" / "plans.jsonl", Plan, lambda plan: max(1, len(plan.steps)))
    template = files.template(p.prompt)
    sampling = p.direct_sampling if p.mode == "direct" else p.sampling
    reasked, reasons, words = Counter[str](), Counter[str](), Counter[str]()
    with files.spool(Draft, Rejection) as done:
        async with serving.model(endpoint, sampling, folder / "calls.jsonl.zst") as llm:

            async def write(plan: Plan, tick: progress.Tick) -> Draft | Rejection:
                return await write_one(llm, p, template, plan, reasked, tick)

            await progress.each_to(
                plans, write, done.put, "write", llm.note,
                concurrency=endpoint.max_concurrency, weights=plans.weights, unit="paragraphs",
            )  # fmt: skip
            usage = llm.usage()
        with files.jsonl(folder / "drafts.jsonl") as keep, files.jsonl(folder / "rejected.jsonl") as reject:
            for row in done:
                if isinstance(row, Draft):
                    keep(row)
                    length = sum(map(count_words, row.paragraphs))
                    words += Counter({"texts": 1, "sum": length})
                    words["max"] = max(words["max"], length)
                elif isinstance(row, Rejection):
                    reject(row)
                    reasons[row.reason] += 1
    numbers = {
        "words_mean": round(words["sum"] / max(1, words["texts"]), 3),
        "words_max": float(words["max"]),
        **{f"reasked_{reason}": float(n) for reason, n in sorted(reasked.items())},
    }
    return runner.Summary(len(plans), words["texts"], dict(reasons), numbers, usage)


class _Job(NamedTuple):
    """What every call for one text needs."""

    llm: LLM
    params: WriteParams
    template: str
    plan: Plan
    reasked: Counter[str]
    tick: progress.Tick

    def limits(self) -> drafting.Limits:
        """Return what a paragraph must keep to."""
        p = self.params
        return drafting.Limits(p.min_paragraph_words, p.max_length_ratio, p.max_repeated_share)


class _Asked(NamedTuple):
    """The text of one answer, or the last reason why there is none; so many of its tries are used up."""

    text: str
    refused: Refused | None
    call_ids: list[str]
    tries: int


async def write_one(
    llm: LLM,
    p: WriteParams,
    template: str,
    plan: Plan,
    reasked: Counter[str],
    tick: progress.Tick = lambda _: None,
) -> Draft | Rejection:
    """Return the text of one plan, or why there is none.

    Args:
        llm: The writer.
        p: Section `write`; its `mode` says how.
        template: The prompt of one paragraph; `direct` has none.
        plan: The plan; `direct` takes its instruction alone.
        reasked: Counts, by reason, the answers after which the writer was asked again.
        tick: Told of each paragraph that is done.

    Raises:
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    job = _Job(llm, p, template, plan, reasked, tick)
    ways = {"serial": _serial, "parallel": _parallel, "direct": _direct}
    asked = await ways[p.mode](job)
    call_ids = [call_id for one in asked for call_id in one.call_ids]
    for number, one in enumerate(asked, 1):
        if one.refused is not None:
            where = "" if p.mode == "direct" else f"paragraph {number} of {len(plan.steps)}: "
            return Rejection(
                row_id=plan.instruction.instruction_id,
                stage="write",
                reason=one.refused.reason,
                detail=f"{where}{one.refused.detail}",
                call_ids=call_ids,
            )
    texts = [one.text for one in asked]
    paragraphs = drafting.paragraphs_of(texts[0]) if p.mode == "direct" else texts
    return Draft(plan=plan, paragraphs=paragraphs, call_ids=call_ids)


async def _serial(job: _Job) -> list[_Asked]:
    """Return the paragraphs one after the other, up to the first that is refused."""
    done: list[_Asked] = []
    said = Said()
    for position in range(len(job.plan.steps)):
        done.append(await _step(job, position, [one.text for one in done], said))
        if done[-1].refused is not None:
            break
        said.add(done[-1].text)
    return done


async def _parallel(job: _Job) -> list[_Asked]:
    """Return the paragraphs, asked for at once; then, in order, what repeats an earlier one is asked again.

    All end before one is looked at, so that a rejection names the same calls each time.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_step(job, i, [], Said())) for i in range(len(job.plan.steps))]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    done = [task.result() for task in tasks]
    if any(one.refused for one in done):
        return done
    said = Said()
    for position, one in enumerate(done):
        refused = drafting.check_repeats(one.text, said, job.params.max_repeated_share)
        if refused is not None:
            done[position] = await _step(job, position, [], said, one._replace(refused=refused))
            if done[position].refused is not None:
                break
        said.add(done[position].text)
    return done


async def _direct(job: _Job) -> list[_Asked]:
    """Return the whole text as one answer to the instruction."""
    instruction = job.plan.instruction

    def check(text: str) -> Refused | None:
        return drafting.check_whole(text, job.limits(), instruction.language)

    return [await _ask(job, instruction.prompt, job.params.direct_sampling, False, check)]


async def _step(
    job: _Job, position: int, shown: list[str], before: Said, asked: _Asked | None = None
) -> _Asked:
    """Return the paragraph of a step: `shown` stands in its prompt, and it may not repeat `before`."""
    plan, keep_first = job.plan, job.params.keep == "first_paragraph"
    prompt = drafting.write_prompt(job.template, plan, position, shown)
    language, word_count = plan.instruction.language, plan.steps[position].word_count

    def check(text: str) -> Refused | None:
        return drafting.check_paragraph(text, job.limits(), language, word_count=word_count, before=before)

    done = await _ask(job, prompt, job.params.sampling, keep_first, check, asked)
    if asked is None and done.refused is None:
        job.tick(1)
    return done


async def _ask(
    job: _Job,
    prompt: str,
    sampling: Sampling,
    keep_first: bool,
    check: Callable[[str], Refused | None],
    asked: _Asked | None = None,
) -> _Asked:
    """Return the first answer that passes, with the tries left after `asked`; else the last refusal."""
    _, refused, earlier, first = asked or _Asked("", None, [], 0)
    call_ids = list(earlier)
    for attempt in range(first, job.params.max_attempts):
        if refused is not None:
            job.reasked[refused.reason] += 1
        try:
            answer = await job.llm.ask(prompt, sampling, attempt=attempt)
        except NoAnswer as error:
            return _Asked("", Refused(error.reason, str(error)), call_ids, attempt)
        call_ids.append(answer.call_id)
        text = drafting.read_answer(answer.text, answer.finish_reason, keep_first)
        refused = text if isinstance(text, Refused) else check(text)
        if refused is None and isinstance(text, str):
            return _Asked(text, None, call_ids, attempt + 1)
    return _Asked("", refused or Refused("no_attempt", ""), call_ids, job.params.max_attempts)


if __name__ == "__main__":
    runner.main("write", work)
