"""The judge at work: texts in, judgements out, or the reason why a text has none.

Used wherever quality is asked for (score, preferences), so that both ask the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longwriter.errors import NoAnswer
from longwriter.evaluation import judgements as judging
from longwriter.io import files, progress
from longwriter.llm.client import LLM
from longwriter.models import servers as serving
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
        `params.max_attempts` of them, is Unscored with the last one's reason; a text that the judge
        refuses (such as one beyond its context) is `judge_refused`, one it fails at `judge_failed`.

    Raises:
        BadParams: the prompt template lacks a field.
        EndpointUnavailable: the judge does not answer; that is never a score.
        ModelUnusable: the judge's endpoint refuses the key or the model.
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
    answer_format = llm.answer_format("auto")
    schema = judging.judgement_schema() if answer_format == "json_schema" else None
    call_ids: list[str] = []
    unread = Unscored(reason="no_attempt", detail="")
    for attempt in range(params.max_attempts):
        try:
            answer = await llm.ask(
                prompt,
                params.sampling,
                schema=schema,
                json_object=answer_format == "json_object",
                attempt=attempt,
            )
        except NoAnswer as none:
            reason = none.reason.replace("request_", "judge_")
            return Unscored(reason=reason, detail=str(none), call_ids=call_ids)
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
