"""Estimates calls, tokens, cost and hours of plan, write and all judges under the current parameters.

Instructions, plans and the share of repeated requests are read from outputs that were made with the current
parameters; speeds from the replay cache; prices from infra/prices.yaml. Unknown values are assumed, and the
report lists every assumption. The arithmetic is in `estimate`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from tabulate import tabulate

from longwriter.agentwrite.plans.plan import Bounds
from longwriter.amounts import amount
from longwriter.calls import prices, replay
from longwriter.estimate import estimate
from longwriter.estimate.estimate import Request, Text
from longwriter.exclusions import benchmarks
from longwriter.fitness.attacks import ATTACKS
from longwriter.fitness.copies import KINDS
from longwriter.instructions import candidates
from longwriter.io import files
from longwriter.models import servers
from longwriter.pairwise import pairs
from longwriter.params import LLMParams, Params
from longwriter.records import BenchmarkRow, Instruction, Plan
from longwriter.text.basics.counting import language_of
from longwriter.tracking import versioning

_INSTRUCTIONS = files.DATA / "instructions" / "instructions.jsonl"
_PLANS = files.DATA / "plan" / "plans.jsonl"

_ENDPOINT_TOKENS_PER_SECOND = 50.0
_CPU_TOKENS_PER_SECOND = {"openvino": 400.0, "llama.cpp": 125.0}  # of a 135M model on two cores (infra/bench)

Chains = Iterable[Sequence[Request]]


def estimate_run(params: Params, tokens_per_second: float | None = None) -> dict[str, Any]:
    """Return {"stages": one row per stage and model, "total": their sum, "assumptions": sentences}.

    A cost is None if infra/prices.yaml has no price of the model.

    Args:
        params: Parameters of the run.
        tokens_per_second: Speed of one request to a model for which the replay cache has no timings; None = 50 for
            an endpoint. For an embedded engine it is the speed of all requests together: 400 (OpenVINO), 125
            (llama.cpp).

    Raises:
        BadRecord: the instruction source, a plan or a template cannot be read.
    """
    params, unreachable = benchmarks.reachable(params)
    assumptions = [f"{name}: its file cannot be fetched now, so it is left out" for name in unreachable]
    texts = _texts(params, assumptions)
    rows = []
    for stage, llm, chains, requests in _stages(params, texts):
        reask_rate = _reask_rate(stage, requests, assumptions)
        speed = _speed(llm, tokens_per_second, assumptions)
        rows.append(_row(stage, llm, chains, reask_rate, speed, assumptions))
    assumptions += [
        f"tokens: {estimate.TOKENS_PER_WORD} per English word, "
        f"{estimate.TOKENS_PER_HAN:g} per Han character, "
        f"{estimate.PLAN_LINE_TOKENS} per line of a plan besides its main point, "
        f"{estimate.CHAT_TOKENS} around a message",
        "every planned text is written, and has as many words as its plan asks for",
        "the prompt cache serves everything that a request has in common with the start of the previous one; "
        "providers keep it for minutes only",
    ]
    sums = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "hours")
    total: dict[str, Any] = {key: sum(row[key] for row in rows) for key in sums}
    for key in ("cost_usd", "cost_usd_cached"):
        costs = [row[key] for row in rows]
        total[key] = None if None in costs else sum(costs)
    return {"stages": rows, "total": total, "assumptions": list(dict.fromkeys(assumptions))}


class _Texts(NamedTuple):
    """Texts by what they need: their instruction is shown to a judge, they are planned, they are written."""

    to_judge: list[Text]
    to_plan: list[Text]
    to_write: list[Text]


def _texts(params: Params, assumptions: list[str]) -> _Texts:
    """Return the texts of the run; add their source to the assumptions."""
    plan = params.plan
    bounds = Bounds(plan.min_steps, plan.max_steps, plan.min_step_words, plan.max_step_words)
    is_direct = params.write.mode == "direct"
    is_selected = versioning.is_current("instructions", _INSTRUCTIONS)
    if is_selected:
        rows = files.read_jsonl(_INSTRUCTIONS, Instruction)
    else:
        rows = candidates.select_instructions(params)
    source = _INSTRUCTIONS if is_selected else f"chosen from {params.instructions.source} now"
    assumptions.append(f"{amount(len(rows), 'instruction')}: {source}")
    gate = params.instructions.gate
    if len(rows) < gate.min_rows and "enough_rows" not in gate.warn:
        assumptions.append(
            f"instructions.gate.min_rows is {gate.min_rows:,}: with fewer instructions the pipeline stops at this "
            "gate; `longwriter init FILE` uses your own, with bounds that fit them"
        )
    texts = [estimate.expected_text(row, bounds) for row in rows]
    to_judge = []
    if params.instructions.unstated == "judge":
        to_judge = [text for text, row in zip(texts, rows, strict=True) if row.required_words is None]
        assumptions.append(
            f"instructions.judge: asked about the {amount(len(to_judge), 'instruction')} without a length, as if it "
            "accepted all of them; for each one that it refuses, it is asked about another one"
        )
    if is_selected and not is_direct and versioning.is_current("plan", _PLANS):
        plans = files.read_jsonl(_PLANS, Plan)
        assumptions.append(f"steps of {amount(len(plans), 'text')}: {_PLANS}")
        planned = [estimate.expected_text(row.instruction, bounds, row.steps) for row in plans]
        return _Texts(to_judge, texts, planned)
    unstated = sum(row.required_words is None for row in rows)
    assumptions.append(
        f"steps: of the middle length between plan.min_step_words and max_step_words, main points of "
        f"{estimate.POINT_WORDS} words; {unstated:,} instructions state no length: "
        f"{amount(len(estimate.expected_words(bounds, None)), 'step')} each"
    )
    if is_direct:
        assumptions.append("write.mode is direct: no plan is made; a text has the words of these steps")
    return _Texts(to_judge, [] if is_direct else texts, texts)


def _stages(params: Params, texts: _Texts) -> Iterable[tuple[str, LLMParams, Chains, int]]:
    """Yield (stage, its model, its requests, their number) for plan, write, and each judge of params.yaml."""
    plan, write = params.plan, params.write
    to_plan, to_write = texts.to_plan, texts.to_write
    length_judge = params.instructions.judge.llm
    if length_judge is not None:
        length_chains = [[request] for request in _length_requests(params, texts.to_judge)]
        yield "instructions.judge", length_judge, length_chains, len(length_chains)
    template = estimate.parts(files.template(plan.prompt))
    is_in_schema = plan.answer_format in ("auto", "json_schema") and "format" not in dict(template)
    format_tokens = 0.0 if is_in_schema else float(estimate.FORMAT_TOKENS)
    plan_chains = [
        [estimate.plan_request(template, text, format_tokens, plan.sampling.max_tokens)] for text in to_plan
    ]
    yield "plan", plan.llm or params.llm, plan_chains, len(plan_chains)
    template = estimate.parts(files.template(write.prompt))
    sampling = write.direct_sampling if write.mode == "direct" else write.sampling
    write_chains = [
        chain
        for text in to_write
        for chain in estimate.write_chains(write.mode, template, text, sampling.max_tokens)
    ]
    yield "write", write.llm or params.llm, write_chains, sum(map(len, write_chains))
    if plan.judge.llm is not None:
        coverage_chains = [[request] for request in _coverage_requests(params, to_plan)]
        yield "plan.judge", plan.judge.llm, coverage_chains, len(coverage_chains)
    pairs_judge = params.preferences.judge.llm
    if pairs_judge is not None and params.preferences.quality_weight:
        sample_chains = [[request] for request in _sample_requests(params, to_write)]
        yield "preferences.judge", pairs_judge, sample_chains, len(sample_chains)
    for position, judge in enumerate(params.score.judges, 1):
        score_chains = [[request] for request in _score_requests(params)]
        fitness_chains = [[request] for request in _fitness_requests(params, to_write)]
        number = "" if position == 1 else f" {position}"
        yield f"fitness{number}", judge, fitness_chains, len(fitness_chains)
        yield f"score{number}", judge, score_chains, len(score_chains)
        if pairwise_chains := [[request] for request in _pairwise_requests(params)]:
            yield f"pairwise{number}", judge, pairwise_chains, len(pairwise_chains)


def _length_requests(params: Params, to_judge: Sequence[Text]) -> Iterable[Request]:
    """Yield the requests to the judge of prompts without a length."""
    judge = params.instructions.judge
    max_tokens = float(min(estimate.INTENT_TOKENS, judge.sampling.max_tokens))
    template = estimate.parts(files.template(judge.prompt))
    for text in to_judge:
        yield estimate.question(template, {"instruction": text.instruction}, max_tokens)


def _coverage_requests(params: Params, to_plan: Sequence[Text]) -> Iterable[Request]:
    """Yield the requests to the judge of plans."""
    judge = params.plan.judge
    max_tokens = float(min(estimate.COVERAGE_TOKENS, judge.sampling.max_tokens))
    template = estimate.parts(files.template(judge.prompt))
    for text in to_plan:
        fields = {"instruction": text.instruction, "plan": text.plan}
        yield estimate.question(template, fields, max_tokens)


def _sample_requests(params: Params, to_write: Sequence[Text]) -> Iterable[Request]:
    """Yield the requests to the judge of samples, for the preference pairs."""
    judge = params.preferences.judge
    max_tokens = float(min(estimate.JUDGEMENT_TOKENS, judge.sampling.max_tokens))
    template = estimate.parts(files.template(judge.prompt))
    for text in islice(to_write, params.sample.limit):
        fields = {"instruction": text.instruction, "text": sum(text.paragraphs)}
        number = params.sample.samples * (1 if params.sample.steps is None else 2)
        yield from [estimate.question(template, fields, max_tokens)] * number


def _fitness_requests(params: Params, to_write: Sequence[Text]) -> Iterable[Request]:
    """Yield the requests that test a judge of the benchmark: texts, degraded copies and attacks."""
    max_tokens = float(min(estimate.JUDGEMENT_TOKENS, params.score.sampling.max_tokens))
    template = estimate.parts(files.template(params.score.prompt))
    number = 2 * params.fitness.repeats + 4 + math.ceil(len(ATTACKS) / params.fitness.texts)
    pair_template = estimate.parts(files.template(params.pairwise.prompt))
    for text in islice(to_write, params.fitness.texts):
        length = sum(text.paragraphs)
        fields = {"instruction": text.instruction, "text": length}
        yield from [estimate.question(template, fields, max_tokens)] * number
        if params.pairwise.pairs != "none":
            fields = {"instruction": text.instruction, "first": length, "second": length}
            yield from [estimate.question(pair_template, fields, max_tokens)] * (2 * len(KINDS))


def _score_requests(params: Params) -> Iterable[Request]:
    """Yield the requests to a judge of the benchmark, about the answers of all models."""
    max_tokens = float(min(estimate.JUDGEMENT_TOKENS, params.score.sampling.max_tokens))
    template = estimate.parts(files.template(params.score.prompt))
    paths = benchmarks.paths(params)
    answers = len(params.compare.models) * params.generate.samples
    for name in params.generate.benchmarks:
        for row in files.read_jsonl(paths[name], BenchmarkRow):
            fields = {"instruction": estimate.tokens(row.prompt), "text": _answer_tokens(row, params)}
            yield from [estimate.question(template, fields, max_tokens)] * answers


def _pairwise_requests(params: Params) -> Iterable[Request]:
    """Yield the requests to a judge that compares the answers two by two, in both orders."""
    max_tokens = float(min(estimate.JUDGEMENT_TOKENS, params.score.sampling.max_tokens))
    models = list(params.compare.models)
    matches = pairs.matches(models, params.pairwise.pairs, params.pairwise.reference or models[0])
    if not matches:
        return
    template = estimate.parts(files.template(params.pairwise.prompt))
    paths = benchmarks.paths(params)
    for name in params.generate.benchmarks:
        for row in files.read_jsonl(paths[name], BenchmarkRow):
            answer = _answer_tokens(row, params)
            fields = {"instruction": estimate.tokens(row.prompt), "first": answer, "second": answer}
            number = 2 * len(matches) * params.generate.samples
            yield from [estimate.question(template, fields, max_tokens)] * number


def _answer_tokens(row: BenchmarkRow, params: Params) -> float:
    """Return the tokens of an answer of the requested length; if a row states none, of the longest answer."""
    if row.length is None:
        return float(params.generate.sampling.max_tokens)
    factor = estimate.TOKENS_PER_HAN if language_of(row.prompt) == "zh" else estimate.TOKENS_PER_WORD
    return row.length * factor


def _reask_rate(stage: str, requests: int, assumptions: list[str]) -> float:
    """Return the number of re-asks per request, measured if possible; add its source to the assumptions."""
    file = files.DATA / stage / "metrics.json"
    if stage not in ("plan", "write") or not versioning.is_current(stage, file):
        assumptions.append(f"{stage}: {estimate.REASK_RATE} re-asks per request, assumed")
        return estimate.REASK_RATE
    metrics = files.read_json(file, dict[str, float])
    reasks = sum(value for key, value in metrics.items() if key.startswith("reasked_"))
    rate = float(reasks / max(1, requests))
    assumptions.append(f"{stage}: {rate:.3f} re-asks per request, as in {file}")
    return rate


def _speed(llm: LLMParams, default: float | None, assumptions: list[str]) -> float:
    """Return the tokens per second of one request, measured if possible; add its source to `assumptions`."""
    name = llm.model
    if llm.engine != "external":
        start = servers.stored_as(llm)
        local_models = [row for row in replay.sizes(files.REPLAY) if row.model.startswith(start)]
        name = max(local_models, key=lambda row: row.newest).model if local_models else name
        if llm.engine in _CPU_TOKENS_PER_SECOND and default is None:
            default = _CPU_TOKENS_PER_SECOND[llm.engine] / llm.max_concurrency
    timings = replay.speeds(files.REPLAY, name)
    if timings.latency_s:
        speed = timings.completion_tokens / timings.latency_s
        source = f"measured over {timings.n:,} stored answers"
    else:
        speed = default or _ENDPOINT_TOKENS_PER_SECOND
        source = 'assumed, no answer is stored: `longwriter write "…" --words 500` measures it'
    assumptions.append(
        f"{name}: {speed:,.1f} tokens a second per request, {source}; {amount(llm.max_concurrency, 'request')} at once"
    )
    return speed


def _row(
    stage: str,
    llm: LLMParams,
    chains: Chains,
    reask_rate: float,
    tokens_per_second: float,
    assumptions: list[str],
) -> dict[str, Any]:
    """Return a stage's estimate; prices that are missing and limits that it exceeds are added to `assumptions`."""
    is_external = llm.engine == "external"
    endpoint = estimate.Endpoint(
        llm.max_concurrency,
        llm.requests_per_minute,
        llm.tokens_per_minute,
        tokens_per_second,
        cached_from=estimate.CACHED_FROM if is_external else 1,
        cached_step=estimate.CACHED_STEP if is_external else 1,
    )
    total = estimate.total(chains, endpoint, reask_rate)
    price = prices.price(llm.model) if is_external else prices.FREE
    cost = cost_cached = None
    if price is None:
        assumptions.append(f"{llm.model} has no price in {prices.PRICES}: add it there")
    else:
        cost = prices.cost(price, total.prompt_tokens, 0.0, total.completion_tokens)
        cost_cached = prices.cost(price, total.prompt_tokens, total.cached_tokens, total.completion_tokens)
        if price.cached_input is None:
            assumptions.append(f"{llm.model} has no discount for cached tokens in {prices.PRICES}")
    if cost is not None and llm.max_cost_usd is not None and cost > llm.max_cost_usd:
        assumptions.append(
            f"{stage} stops at max_cost_usd {llm.max_cost_usd:,.2f}, unless cached tokens cost enough less"
        )
    if total.longest_request > llm.context_tokens:
        assumptions.append(
            f"{stage}: the longest request has {total.longest_request:,.0f} tokens with its answer, "
            f"context_tokens is {llm.context_tokens:,}"
        )
    return {
        "stage": stage,
        "model": llm.model,
        "calls": round(total.calls),
        "prompt_tokens": round(total.prompt_tokens),
        "cached_tokens": round(total.cached_tokens),
        "completion_tokens": round(total.completion_tokens),
        "cost_usd": cost,
        "cost_usd_cached": cost_cached,
        "hours": total.hours,
        "hours_set_by": total.bound,
    }


def table(report: dict[str, Any]) -> str:
    """Return a report of `estimate_run` as text: a table of the stages with a total, and the assumptions."""
    head = ("stage", "calls", "tokens in", "cacheable", "tokens out", "USD", "USD cached", "hours", "set by")
    lines = []
    for row in (*report["stages"], {"stage": "total", **report["total"], "hours_set_by": ""}):
        counts = [f"{row[key]:,}" for key in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")]
        costs = [
            "unknown" if row[key] is None else f"{row[key]:,.2f}" for key in ("cost_usd", "cost_usd_cached")
        ]
        hours = f"{row['hours']:,.2f}" if row["hours"] >= 1 else f"{row['hours']:.3f}"
        lines.append((row["stage"], *counts, *costs, hours, row["hours_set_by"]))
    align = ("left", *("right",) * (len(head) - 2), "left")
    rows = tabulate(lines, head, tablefmt="plain", disable_numparse=True, colalign=align)
    return "\n".join([rows, "", *(f"- {assumption}" for assumption in report["assumptions"])])
