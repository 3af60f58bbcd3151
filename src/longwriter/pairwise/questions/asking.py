"""Asks judges which of two texts is better; a pair without a result gets the reason instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from longwriter.io import files, progress
from longwriter.judge import asking, context, panel
from longwriter.judge.judgements import judge_name
from longwriter.llm.client import LLM
from longwriter.models import servers
from longwriter.pairwise.questions import question
from longwriter.pairwise.questions.question import Choice, Pair, Winner
from longwriter.params import JudgingParams, LLMParams
from longwriter.records import PairwiseRow, Preference, Unscored
from longwriter.text.basics.prompts import Refused

_EMPTY = Unscored(reason="empty", detail="one of the two texts is empty")
_NO_NAME = ""  # instead of a judge, for two equal texts: no judge is asked about them


async def compare(
    params: JudgingParams, prompt: str, pairs: Sequence[Pair], calls: Path, label: str
) -> tuple[list[Preference | Unscored], dict[str, float]]:
    """Return which text of each pair is better, or why it is not known, and the usage of the calls.

    Args:
        params: The judges, their sampling and their attempts (`score`).
        prompt: Path of the template.
        pairs: The texts.
        calls: The call log to write; without a judge it is empty.
        label: Name of the progress bar.

    Returns:
        (one value per pair, in order; the sum of what `LLM.usage` returns). Equal texts are a tie and cost no call.
        A pair is Unscored if a text is empty, or if a judge gives no readable answer in one of the two orders. It
        is Unscored with `beyond_context` if the two texts do not fit into a judge's context, because parts of texts
        cannot be compared.

    Raises:
        BadParams: the prompt template lacks a field.
        EndpointUnavailable, ModelUnusable, BudgetReached: as `servers.model`.
    """
    judges = params.panel()
    answers, usage = await panel.ask_all(
        judges, calls, lambda judge, log: _ask(params, judge, prompt, pairs, log, label)
    )
    if not judges:
        return [panel.NO_JUDGE for _ in pairs], usage
    return [_panel_result(members) for members in answers], usage


async def with_verdicts(
    params: JudgingParams, prompt: str, pairs: Sequence[tuple[PairwiseRow, Pair]], calls: Path, label: str
) -> tuple[list[PairwiseRow], dict[str, float]]:
    """Return the rows of `pairs.rows` with their verdicts, and the usage of the calls; see `compare`."""
    verdicts, usage = await compare(params, prompt, [pair for _, pair in pairs], calls, label)
    rows = [
        row.model_copy(update={"verdict": verdict}) for (row, _), verdict in zip(pairs, verdicts, strict=True)
    ]
    return rows, usage


class _Opinion(NamedTuple):
    """One judge's answers to a pair in both orders, in terms of the pair."""

    orders: tuple[Winner, Winner]
    judge: str
    call_ids: list[str]


def _panel_result(members: Sequence[_Opinion | Unscored]) -> Preference | Unscored:
    """Return the result of all judges; Unscored if one of them has none."""
    call_ids = [call_id for member in members for call_id in member.call_ids]
    opinions: list[_Opinion] = []
    for member in members:
        if isinstance(member, Unscored):
            return member.model_copy(update={"call_ids": call_ids})
        opinions.append(member)
    judge = " + ".join(opinion.judge for opinion in opinions if opinion.judge)
    return question.preference([opinion.orders for opinion in opinions], judge, call_ids)


async def _ask(
    params: JudgingParams, judge: LLMParams, prompt: str, pairs: Sequence[Pair], calls: Path, label: str
) -> tuple[list[_Opinion | Unscored], dict[str, float]]:
    """Return one judge's opinion of each pair, and the usage of its calls."""
    template = files.template(prompt)
    fields: dict[str, object] = {
        "schema": question.schema(), "sampling": params.sampling.model_dump(), "extra_body": judge.extra_body,
    }  # fmt: skip
    async with servers.model(judge, params.sampling, calls, "score.sampling") as llm:
        member = _PairJudge(llm, params, template, fields)

        async def each(pair: Pair) -> _Opinion | Unscored:
            return _without_judge(params, judge, template, pair) or await member.opinion(pair)

        results = await progress.each(pairs, each, label, llm.note)
        return results, llm.usage()


def _without_judge(
    params: JudgingParams, judge: LLMParams, template: str, pair: Pair
) -> _Opinion | Unscored | None:
    """Return the result of a pair about which the judge is not asked; None if the judge has to be asked."""
    if not pair.first.strip() or not pair.second.strip():
        return _EMPTY
    if pair.first == pair.second:
        return _Opinion(("tie", "tie"), _NO_NAME, [])
    empty = question.prompt(template, Pair(pair.instruction, "", ""))
    free = context.free_tokens(empty, judge.context_tokens, params.sampling.max_tokens)
    tokens = context.tokens(pair.first) + context.tokens(pair.second)
    if tokens <= free:
        return None
    detail = f"the two texts have about {tokens:,} tokens, {judge.model} has room for {max(0, free):,}"
    return Unscored(reason="beyond_context", detail=detail)


class _PairJudge(NamedTuple):
    """One judge of a panel."""

    llm: LLM
    params: JudgingParams
    template: str
    fields: dict[str, object]

    async def opinion(self, pair: Pair) -> _Opinion | Unscored:
        """Return the judge's answers in both orders, or why one of them cannot be used."""
        choices: list[Winner] = []
        names: list[str] = []
        call_ids: list[str] = []
        for shown in (pair, pair.swapped()):
            choice = await self._choice(question.prompt(self.template, shown), names, call_ids)
            if isinstance(choice, Refused):
                reason = choice.reason.replace("request_", "judge_")  # if the request has no answer
                return Unscored(reason=reason, detail=choice.detail, call_ids=call_ids)
            choices.append(choice.better)
        if names[0] != names[1]:
            detail = f"{names[0]} answered in one order, {names[1]} in the other"
            return Unscored(reason="judge_changed", detail=detail, call_ids=call_ids)
        return _Opinion((choices[0], question.swapped(choices[1])), names[0], call_ids)

    async def _choice(self, prompt: str, names: list[str], call_ids: list[str]) -> Choice | Refused:
        """Return the judge's answer to one order; append its identity to `names` and its calls to `call_ids`."""
        outcome, served = await asking.ask(
            self.llm, prompt, self.params.sampling, question.parse,
            max_attempts=self.params.max_attempts, schema=question.schema(),
        )  # fmt: skip
        call_ids += outcome.call_ids
        names.append(judge_name(*self.llm.identity(), self.template, self.fields, served))
        return outcome.result
