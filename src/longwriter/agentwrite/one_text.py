"""Writes one text for one prompt by plan and paragraphs, as the stages `plan` and `write` do for many prompts.

The limits of params.yaml are made for a data set, and a text here may be longer. So it is planned by chapters
(`chapters`), and the tokens of a plan and the context of a local server grow with the requested length. There are
also more attempts, because one refused paragraph would lose the whole text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from longwriter.agentwrite import chapters
from longwriter.agentwrite.paragraphs import writing
from longwriter.errors import ModelUnusable, UserError
from longwriter.hashing import short_id
from longwriter.io import files, progress
from longwriter.lengths.stated import stated_length
from longwriter.models import servers
from longwriter.params import LLMParams, Params, PlanParams, Sampling
from longwriter.records import Draft, Instruction, Plan, Rejection
from longwriter.text.basics.counting import language_of

_MAX_WORDS = 1_000_000
_ATTEMPTS = 10
_TOKENS_PER_WORD = 2  # English 1.3, Chinese 1 to 2 a character; both are rounded up
_PROMPT_TOKENS = 1000  # prompt, description of the format, and markup


class Text(NamedTuple):
    """The paragraphs of a text, and the calls, tokens and cost of plan and paragraphs."""

    paragraphs: list[str]
    usage: dict[str, float]


class Progress(NamedTuple):
    """Functions that are called while a text is written: `step` gets what begins next, in words, and `plan` the plan."""

    step: Callable[[str], None]
    plan: Callable[[Plan], None]


def instruction(prompt: str, words: int | None) -> Instruction:
    """Return the instruction of a prompt.

    Args:
        prompt: What to write.
        words: Length asked for; None = the one that the prompt states.

    Raises:
        UserError: the prompt is empty or not UTF-8, or no length is known, or it is too large.
    """
    if not prompt.strip():
        raise UserError("the prompt is empty: say what to write")
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):  # bytes of the shell that are not UTF-8
        raise UserError("the prompt is not UTF-8: convert it first, for example with iconv")
    stated = stated_length(prompt)
    required = words or stated
    language = language_of(prompt)
    if required is None:
        raise UserError("the prompt states no length: add one, such as 'in 3000 words', or --words 3000")
    if required > _MAX_WORDS:
        raise UserError(f"{required:,} words are asked for; at most {_MAX_WORDS:,} are allowed")
    if stated != required:
        prompt += f"\n\n写{required}字。" if language == "zh" else f"\n\nWrite about {required} words."
    return Instruction(
        instruction_id=short_id(prompt), prompt=prompt, type="", language=language,
        required_words=required, origin="command line",
    )  # fmt: skip


def fit_limits(params: Params, required_words: int, seed: int, direct: bool = False) -> Params:
    """Return the parameters with limits that are large enough for a text of this length.

    Args:
        params: The parameters; only `llm`, `plan` and `write` change.
        required_words: Length of the text.
        seed: Base seed of every request; another seed gives another text.
        direct: Write the text in one answer, without a plan, whatever `write.mode` is.
    """
    plan, write = params.plan, params.write
    if direct:
        write = write.model_copy(update={"mode": "direct"})
    growth = max(1.0, chapters.most_chapters(plan, required_words) / plan.max_steps)
    plan_tokens = math.ceil(plan.sampling.max_tokens * growth)
    shown_words = required_words if write.mode == "serial" else 0
    answer_tokens = write.sampling.max_tokens
    if write.mode == "direct":
        answer_tokens = max(write.direct_sampling.max_tokens, required_words * _TOKENS_PER_WORD)
    tokens = _PROMPT_TOKENS + max(plan_tokens, shown_words * _TOKENS_PER_WORD + answer_tokens)

    def with_tokens(sampling: Sampling, max_tokens: int) -> Sampling:
        return sampling.model_copy(update={"max_tokens": max_tokens, "seed": seed})

    def with_context(llm: LLMParams | None) -> LLMParams | None:
        if llm is None or llm.engine == "external":
            return llm
        slots = min(llm.max_concurrency, 8)
        context = max(llm.context_tokens, tokens)
        return llm.model_copy(update={"context_tokens": context, "max_concurrency": slots})

    plan = plan.model_copy(
        update={
            "max_attempts": max(plan.max_attempts, _ATTEMPTS),
            "judge": plan.judge.model_copy(update={"llm": None}),
            "sampling": with_tokens(plan.sampling, plan_tokens),
            "llm": with_context(plan.llm),
        }
    )
    write = write.model_copy(
        update={
            "max_attempts": max(write.max_attempts, _ATTEMPTS),
            "sampling": with_tokens(write.sampling, write.sampling.max_tokens),
            "direct_sampling": with_tokens(write.direct_sampling, answer_tokens),
            "llm": with_context(write.llm),
        }
    )
    return params.model_copy(update={"llm": with_context(params.llm), "plan": plan, "write": write})


async def write_text(params: Params, row: Instruction, show: Progress, calls: Path) -> Text:
    """Return the text of an instruction.

    Args:
        params: Parameters that `fit_limits` returned.
        row: The instruction.
        show: Called while the text is written, besides progress bars with the tokens so far.
        calls: Folder for the two call logs.

    Raises:
        UserError: no usable plan, or no usable paragraph, after all attempts; the message says why the last
            attempt was refused.
        EndpointUnavailable, ModelUnusable, BudgetReached: as `LLM.ask` says.
    """
    plan, usage = Plan(instruction=row, steps=[], call_ids=[]), Counter[str]()
    reasked = Counter[str]()
    if params.write.mode != "direct":
        planner = _present(params.plan.llm or params.llm)
        show.step(_start(planner))
        async with servers.model(
            planner, params.plan.sampling, calls / "plan_calls.jsonl.zst", "plan.sampling"
        ) as llm:
            outcome = await chapters.plan_text(
                llm, params.plan, row, reasked, lambda: note(llm.note(), reasked)
            )
            usage.update(llm.usage())
        if isinstance(outcome, Rejection):
            raise UserError(no_plan(params.plan, row.required_words or 1, outcome, reasked))
        plan = outcome
        show.plan(plan)
    writer = _present(params.write.llm or params.llm)
    is_direct = params.write.mode == "direct"
    sampling = params.write.direct_sampling if is_direct else params.write.sampling
    section = "write.direct_sampling" if is_direct else "write.sampling"
    drafts: list[Draft | Rejection] = []
    reasked = Counter()
    show.step(_start(writer))
    async with servers.model(writer, sampling, calls / "write_calls.jsonl.zst", section) as llm:
        template = files.template(params.write.prompt)
        await progress.each_to(
            [plan],
            lambda plan, tick: writing.write_one(llm, params.write, template, plan, reasked, tick),
            lambda _, draft: drafts.append(draft),
            "write",
            lambda: note(llm.note(), reasked),
            concurrency=1,
            weights=[max(1, len(plan.steps))],
            unit="paragraphs",
        )
        usage.update(llm.usage())
    [draft] = drafts
    if isinstance(draft, Rejection):
        raise UserError(
            f"no usable {'text' if is_direct else 'paragraph'}: the last was refused as {_reason(draft)}. Try fewer "
            "--words, another --seed, another model (write.llm or llm in params.yaml), or raise write.max_attempts"
        )
    return Text(draft.paragraphs, dict(usage))


def note(usage: str, reasked: Counter[str]) -> str:
    """Return the text after a progress bar: why the model was asked again, and the usage of the calls."""
    reasons = ", ".join(f"{reason} {answers}" for reason, answers in reasked.items())
    return f"asked again: {reasons}; {usage}" if reasons else usage  # a narrow terminal cuts the end


def no_plan(plan: PlanParams, required_words: int, last: Rejection, reasked: Counter[str]) -> str:
    """Return the message for a text without a usable plan: why the plans were refused, and what to try.

    Args:
        plan: Parameters that `fit_limits` returned.
        required_words: Length of the text.
        last: The plan that was refused at last.
        reasked: Number of plans, by reason, that were refused before it.
    """
    before = ", ".join(f"{reason} {plans}" for reason, plans in reasked.most_common())
    limit = chapters.words_of_one_plan(plan)
    longer = (
        f", let one plan hold more than {limit:,} words, so that the text needs no chapters (plan.max_steps, "
        "plan.max_step_words)"
    )
    return (
        f"no usable plan: the last was refused as {_reason(last)}{f'; those before as {before}' if before else ''}. "
        "A small model often finds no different main points: try another --seed, fewer --words, --direct (one answer "
        "without a plan), or another model (plan.llm or llm in params.yaml)"
        f"{longer if required_words > limit else ''}, or raise plan.max_attempts"
    )


def _reason(refused: Rejection) -> str:
    return f"{refused.reason} ({refused.detail[:200]})"


def _start(llm: LLMParams) -> str:
    """Return what happens before the first request to a model."""
    if llm.engine == "external":
        return f"connects to {llm.model} at {llm.base_url or 'OpenAI'}"
    return f"starts a server of {llm.model}"


def _present(llm: LLMParams) -> LLMParams:
    """Return the parameters of a model.

    Raises:
        ModelUnusable: the model is local, and its folder is missing.
    """
    if llm.engine != "external" and not Path(llm.model).is_dir():
        raise ModelUnusable(
            f"llm.model: {llm.model} is missing: `dvc repro base_model` fetches the base model; or set llm.engine "
            "to external, with llm.base_url and llm.model of your endpoint"
        )
    return llm
