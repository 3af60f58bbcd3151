"""The judge at work: texts in, judgements out, or the reason why a text has none.

Used wherever quality is asked for (score, preferences), so that both ask the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longwriter.core import judging
from longwriter.edges import files, progress, serving
from longwriter.edges.llm import LLM
from longwriter.params import JudgeParams
from longwriter.records import Judgement, Unscored

_NO_JUDGE = Unscored(reason="no_judge", detail="judge.llm is null")
_EMPTY = Unscored(reason="empty", detail="there is no text to judge")


async def judged(
    params: JudgeParams, texts: Sequence[tuple[str, str]], calls: Path, label: str
) -> tuple[list[Judgement | Unscored], dict[str, float]]:
    """Return what the judge says of each text, in order, and what it took.

    Args:
        params: Which judge; where its `llm` is null, no server starts and every text is `no_judge`.
        texts: (instruction, text).
        calls: The call log to write; it is written in any case.
        label: Name of the progress bar.

    Returns:
        (one value a text, numbers of this execution). An unreadable answer, after
        `params.max_attempts` of them, is Unscored with the last one's reason.

    Raises:
        BadParams: the prompt template lacks a field.
        EndpointUnavailable: the judge does not answer; that is never a score.
        ModelUnusable: the judge refuses the request, such as a text beyond its context.
    """
    if params.llm is None:
        with files.zstd_lines(calls):
            return [_NO_JUDGE for _ in texts], {}
    template, name = files.template(params.prompt), params.llm.model
    prompts = [
        judging.judge_prompt(template, instruction, text) if text.strip() else None
        for instruction, text in texts
    ]
    async with serving.model(params.llm, params.sampling, calls) as llm:

        async def one(prompt: str | None) -> Judgement | Unscored:
            return _EMPTY if prompt is None else await _judge(llm, params, name, prompt)

        results = await progress.each(prompts, one, label, llm.note)
        return results, llm.usage()


async def _judge(llm: LLM, params: JudgeParams, name: str, prompt: str) -> Judgement | Unscored:
    schema = judging.judgement_schema() if llm.use_schema("auto") else None
    call_ids: list[str] = []
    unread = Unscored(reason="no_attempt", detail="")
    for attempt in range(params.max_attempts):
        answer = await llm.ask(prompt, params.sampling, schema=schema, attempt=attempt)
        call_ids.append(answer.call_id)
        verdict = judging.parse_judgement(answer.text)
        if isinstance(verdict, judging.Verdict):
            return Judgement(
                dimensions=verdict.dimensions,
                quality_score=judging.quality_score(verdict.dimensions),
                analysis=verdict.analysis,
                judge=name,
                call_ids=call_ids,
            )
        cut_off = {"reason": "cut_off"} if answer.finish_reason == "length" else {}
        unread = verdict.model_copy(update={**cut_off, "call_ids": call_ids})
    return unread
