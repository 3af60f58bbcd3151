"""Asks a judge for the quality of texts; a text without a judgement gets the reason instead.

The stages score and preferences both use it, so that they ask the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longwriter.evaluation.judge import judgements
from longwriter.evaluation.judge.judgements import Verdict
from longwriter.io import files, progress
from longwriter.llm.asking import ask_until_usable
from longwriter.llm.client import LLM, Answer
from longwriter.models import servers
from longwriter.params import JudgeParams
from longwriter.records import Judgement, Unscored
from longwriter.text.basics.prompts import Refused

_NO_JUDGE = Unscored(reason="no_judge", detail="judge.llm is null")
_EMPTY = Unscored(reason="empty", detail="there is no text to judge")


async def judge_texts(
    params: JudgeParams, texts: Sequence[tuple[str, str]], calls: Path, label: str
) -> tuple[list[Judgement | Unscored], dict[str, float]]:
    """Return the judgement of each text, or why it has none, and the usage of the calls.

    Args:
        params: Section `judge`; if its `llm` is null, no server starts and every text is `no_judge`.
        texts: Pairs of an instruction and a text.
        calls: The call log to write; without a judge it is empty.
        label: Name of the progress bar.

    Returns:
        (one value per text, in order; numbers as `LLM.usage` returns them). A text is Unscored with the
        last answer's reason if `params.max_attempts` answers were unreadable, with `judge_refused` if the
        endpoint refuses the request (for example, because it is longer than the context), or with
        `judge_failed` if every try of the request fails.

    Raises:
        BadParams: the prompt template lacks a field.
        EndpointUnavailable: the judge does not answer.
        ModelUnusable: the judge's endpoint refuses the key or the model.
    """
    if params.llm is None:
        with files.zstd_lines(calls):
            return [_NO_JUDGE for _ in texts], {}
    template = files.template(params.prompt)
    prompts = [
        judgements.judge_prompt(template, instruction, text) if text.strip() else None
        for instruction, text in texts
    ]
    async with servers.model(params.llm, params.sampling, calls, "judge.sampling") as llm:
        model, endpoint = llm.identity()
        fields = {"sampling": params.sampling.model_dump(), "extra_body": params.llm.extra_body}
        name = judgements.judge_name(model, endpoint, template, fields)

        async def judge(prompt: str | None) -> Judgement | Unscored:
            return _EMPTY if prompt is None else await _judge(llm, params, name, prompt)

        results = await progress.each(prompts, judge, label, llm.note)
        return results, llm.usage()


async def _judge(llm: LLM, params: JudgeParams, name: str, prompt: str) -> Judgement | Unscored:
    """Return the judgement that answers `prompt`, or why there is none; `name` is the judge's."""

    async def read(answer: Answer) -> Verdict | Refused:
        verdict = judgements.parse_judgement(answer.text)
        if isinstance(verdict, Verdict):
            return verdict
        return Refused("cut_off" if answer.finish_reason == "length" else verdict.reason, verdict.detail)

    outcome = await ask_until_usable(
        llm, prompt, params.sampling, read,
        max_attempts=params.max_attempts, schema=judgements.judgement_schema(),
    )  # fmt: skip
    verdict, call_ids = outcome.result, outcome.call_ids
    if isinstance(verdict, Refused):
        reason = verdict.reason.replace("request_", "judge_")  # if the request has no answer
        return Unscored(reason=reason, detail=verdict.detail, call_ids=call_ids)
    return Judgement(
        dimensions=verdict.dimensions,
        quality_score=judgements.quality_score(verdict.dimensions),
        analysis=verdict.analysis,
        judge=name,
        call_ids=call_ids,
    )
