"""Asks judges for the quality of texts; a text without a judgement gets the reason instead.

The stages score, fitness and preferences all use it, so that they ask the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from longwriter.io import files, progress
from longwriter.judge import asking, context, judgements, merging, panel
from longwriter.judge.judgements import Question
from longwriter.llm.client import LLM
from longwriter.models import servers
from longwriter.params import JudgingParams, LLMParams
from longwriter.records import Judgement, Unscored
from longwriter.text.basics.prompts import Refused

_EMPTY = Unscored(reason="empty", detail="there is no text to judge")


async def judge_texts(
    params: JudgingParams, questions: Sequence[Question], calls: Path, label: str, section: str
) -> tuple[list[Judgement | Unscored], dict[str, float]]:
    """Return the judgement of each text, or why it has none, and the usage of the calls.

    Args:
        params: The judges; without one no server starts and every text is `no_judge`.
        questions: The texts.
        calls: The call log to write; without a judge it is empty.
        label: Name of the progress bar.
        section: Name of `params` in params.yaml, for errors.

    Returns:
        (one value per text, in order, with several judges their mean; the sum of their `LLM.usage`). A text without
        a judgement is Unscored with a reason: that of the last answer, if `params.max_attempts` answers were
        unreadable; `beyond_context`, if the text does not fit into the judge's context; `judge_refused`, if the
        endpoint refuses the request; `judge_failed`, if every try of the request fails.

    Raises:
        BadParams: the prompt template lacks a field.
        EndpointUnavailable: a judge does not answer.
        ModelUnusable: a judge's endpoint refuses the key or the model.
    """
    judges = params.panel()
    answers, usage = await panel.ask_all(
        judges, calls, lambda judge, log: _ask(params, judge, questions, log, label, section)
    )
    if not judges:
        return [panel.NO_JUDGE for _ in questions], usage
    return [merging.panel(members) for members in answers], usage


async def _ask(
    params: JudgingParams,
    judge: LLMParams,
    questions: Sequence[Question],
    calls: Path,
    label: str,
    section: str,
) -> tuple[list[Judgement | Unscored], dict[str, float]]:
    """Return one judge's judgement of each text, and the usage of its calls."""
    template = files.template(params.prompt)
    prompts = [_prompts(params, judge, template, question) for question in questions]
    async with servers.model(judge, params.sampling, calls, f"{section}.sampling") as llm:
        member = _TextJudge(llm, params, template, _fields(params, judge))

        async def each(place: int) -> Judgement | Unscored:
            parts = prompts[place]
            if isinstance(parts, Unscored):
                return parts
            results = [await member.judge(prompt, questions[place].repeat) for prompt, _ in parts]
            return merging.chunks(results, [weight for _, weight in parts])

        results = await progress.each(range(len(questions)), each, label, llm.note)
        return results, llm.usage()


def _prompts(
    params: JudgingParams, judge: LLMParams, template: str, question: Question
) -> list[tuple[str, int]] | Unscored:
    """Return a prompt with its weight for each chunk of a text (one, if the text fits), or why there is none."""
    if not question.text.strip():
        return _EMPTY
    empty = judgements.judge_prompt(template, question.instruction, "")
    most = context.free_tokens(empty, judge.context_tokens, params.sampling.max_tokens)
    chunks = context.chunks(question.text, most)
    if chunks is None or (len(chunks) > 1 and params.long_texts == "refuse"):
        needs = context.tokens(question.text)
        detail = f"the text has about {needs:,} tokens, {judge.model} has room for {max(0, most):,}"
        return Unscored(reason="beyond_context", detail=detail)
    texts = (
        chunks
        if len(chunks) == 1
        else [
            f"(Part {number} of {len(chunks)} of the text.)\n\n{chunk}"
            for number, chunk in enumerate(chunks, 1)
        ]
    )
    return [
        (judgements.judge_prompt(template, question.instruction, text), context.tokens(text))
        for text in texts
    ]


def _fields(params: JudgingParams, judge: LLMParams) -> dict[str, object]:
    """Return what decides a judge's answers besides model, endpoint, prompt and schema."""
    fields: dict[str, object] = {"sampling": params.sampling.model_dump(), "extra_body": judge.extra_body}
    return fields if params.long_texts == "refuse" else fields | {"long_texts": params.long_texts}


class _TextJudge(NamedTuple):
    """One judge of a panel."""

    llm: LLM
    params: JudgingParams
    template: str
    fields: dict[str, object]

    async def judge(self, prompt: str, repeat: int) -> Judgement | Unscored:
        """Return the judgement that answers `prompt`, or why there is none."""
        sampling = self.params.sampling
        outcome, served = await asking.ask(
            self.llm, prompt, sampling.model_copy(update={"seed": sampling.seed + repeat}),
            judgements.parse_judgement,
            max_attempts=self.params.max_attempts, schema=judgements.judgement_schema(),
        )  # fmt: skip
        verdict, call_ids = outcome.result, outcome.call_ids
        if isinstance(verdict, Refused):
            reason = verdict.reason.replace("request_", "judge_")  # if the request has no answer
            return Unscored(reason=reason, detail=verdict.detail, call_ids=call_ids)
        return Judgement(
            dimensions={**verdict.dimensions},
            quality_score=judgements.quality_score(verdict.dimensions),
            analysis=verdict.analysis,
            judge=judgements.judge_name(*self.llm.identity(), self.template, self.fields, served),
            call_ids=call_ids,
        )
