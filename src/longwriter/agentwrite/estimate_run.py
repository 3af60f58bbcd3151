"""What plan, write and judge will take under the current params: what this checkout knows, put to `core/estimate`.

Rows, plans and re-asks are read where a stage that ran with these very params has written them, speeds from
the replay cache, prices from infra/prices.yaml. What is not known is assumed, and each assumption is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from longwriter.agentwrite import estimate
from longwriter.agentwrite.estimate import Request, Text
from longwriter.agentwrite.plans.plan import Bounds
from longwriter.instructions import candidates
from longwriter.io import files
from longwriter.llm import prices, replay
from longwriter.params import LLMParams, Params
from longwriter.records import BenchmarkRow, Instruction, Plan
from longwriter.text.counting import language_of
from longwriter.tracking import versioning

Chains = Iterable[Sequence[Request]]


def estimate_run(params: Params, tokens_per_second: float) -> dict[str, Any]:
    """Return {"stages": one row a stage and model, "total": their sum, "assumptions": sentences}.

    A cost is None where infra/prices.yaml has no price of the model.

    Args:
        params: What would run.
        tokens_per_second: Speed of one request of a model that the replay cache has not timed.

    Raises:
        BadRecord: the instruction source, a plan or a template cannot be read.
    """
    told: list[str] = []
    to_plan, to_write = _texts(params, told)
    rows = []
    for stage, llm, chains, requests in _work(params, to_plan, to_write):
        reasked = _reasked(stage, requests, told)
        rows.append(_row(stage, llm, chains, reasked, tokens_per_second, told))
    told += [
        f"tokens: {estimate.TOKENS_PER_WORD} an English word, {estimate.TOKENS_PER_HAN:g} a Han character, "
        f"{estimate.PLAN_LINE_TOKENS} a plan's line beside its main point, {estimate.CHAT_TOKENS} round a message",
        "every planned text is written; a text has the words that its plan asks for",
        "the prompt cache serves whatever opened the request before; providers forget it after minutes",
    ]
    summed = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens", "hours")
    total: dict[str, Any] = {key: sum(row[key] for row in rows) for key in summed}
    for key in ("cost_usd", "cost_usd_cached"):
        costs = [row[key] for row in rows]
        total[key] = None if None in costs else sum(costs)
    return {"stages": rows, "total": total, "assumptions": list(dict.fromkeys(told))}


def _texts(params: Params, told: list[str]) -> tuple[list[Text], list[Text]]:
    """Return the texts to plan and the texts to write; say where they are from."""
    p, q = params.instructions, params.plan
    bounds = Bounds(q.min_steps, q.max_steps, q.min_step_words, q.max_step_words)
    chosen, plans = files.DATA / "instructions" / "instructions.jsonl", files.DATA / "plan" / "plans.jsonl"
    there = versioning.is_current("instructions", chosen)
    rows = files.read_jsonl(chosen, Instruction) if there else candidates.select_instructions(params)
    if p.unstated == "judge" and not there:
        told.append("the judge keeps every prompt that states no length; asking it is not counted")
    told.append(f"{len(rows):,} instructions: {chosen if there else f'chosen from {p.source} now'}")
    texts = [estimate.expected_text(row, bounds) for row in rows]
    direct = params.write.mode == "direct"
    if there and not direct and versioning.is_current("plan", plans):
        planned = files.read_jsonl(plans, Plan)
        told.append(f"steps of {len(planned):,} texts: {plans}")
        return texts, [estimate.expected_text(row.instruction, bounds, row.steps) for row in planned]
    unstated = sum(row.required_words is None for row in rows)
    told.append(
        f"steps: of middle length between plan.min_step_words and max_step_words, main points of "
        f"{estimate.POINT_WORDS} words; {unstated:,} instructions state no length: "
        f"{len(estimate.expected_words(bounds, None))} steps each"
    )
    if direct:
        told.append("write.mode direct asks for no plan; its text has the words of these steps")
    return ([] if direct else texts), texts


def _work(
    params: Params, to_plan: Sequence[Text], to_write: Sequence[Text]
) -> Iterable[tuple[str, LLMParams, Chains, int]]:
    """Yield (stage, who answers, requests, their number) for each stage that asks a model."""
    p, w = params.plan, params.write
    template = estimate.parts(files.template(p.prompt))
    by_schema = p.answer_format in ("auto", "json_schema") and "format" not in dict(template)
    form = 0.0 if by_schema else float(estimate.FORMAT_TOKENS)
    planning = [[estimate.plan_request(template, text, form, p.sampling.max_tokens)] for text in to_plan]
    yield "plan", p.llm or params.llm, planning, len(planning)
    template = estimate.parts(files.template(w.prompt))
    cap = (w.direct_sampling if w.mode == "direct" else w.sampling).max_tokens
    chains = [chain for text in to_write for chain in estimate.write_chains(w.mode, template, text, cap)]
    yield "write", w.llm or params.llm, chains, sum(map(len, chains))
    if params.judge.llm is not None:
        judged = [[request] for request in _judged(params, to_plan, to_write)]
        yield "judge", params.judge.llm, judged, len(judged)


def _judged(params: Params, to_plan: Sequence[Text], to_write: Sequence[Text]) -> Iterable[Request]:
    """Yield the judge's requests: of plans, of samples for preferences, of benchmark answers."""
    cap = float(min(estimate.JUDGEMENT_TOKENS, params.judge.sampling.max_tokens))
    if params.plan.coverage_judge:
        asked = estimate.parts(files.template(params.plan.coverage_prompt))
        for text in to_plan:
            fields = {"instruction": text.instruction, "plan": text.plan}
            yield estimate.question(asked, fields, min(cap, estimate.COVERAGE_TOKENS))
    template = estimate.parts(files.template(params.judge.prompt))
    if params.preferences.quality_weight:
        for text in islice(to_write, params.sample.limit):
            fields = {"instruction": text.instruction, "text": sum(text.paragraphs)}
            yield from [estimate.question(template, fields, cap)] * params.sample.samples
    for name in params.generate.benchmarks:
        for row in files.read_jsonl(Path(params.generate.folder) / f"{name}.jsonl", BenchmarkRow):
            fields = {"instruction": estimate.tokens(row.prompt), "text": _length(row)}
            yield from [estimate.question(template, fields, cap)] * len(params.compare.models)


def _length(row: BenchmarkRow) -> float:
    """Return the tokens of an answer as long as a benchmark's row asks for."""
    factor = estimate.TOKENS_PER_HAN if language_of(row.prompt) == "zh" else estimate.TOKENS_PER_WORD
    return row.length * factor


def _reasked(stage: str, requests: int, told: list[str]) -> float:
    """Return the re-asks for each request; say where the rate is from."""
    file = files.DATA / stage / "metrics.json"
    if stage not in ("plan", "write") or not versioning.is_current(stage, file):
        told.append(f"{stage}: {estimate.REASKED} re-asks for each request, assumed")
        return estimate.REASKED
    numbers = files.read_json(file)
    rate = sum(value for key, value in numbers.items() if key.startswith("reasked_")) / max(1, requests)
    told.append(f"{stage}: {rate:.3f} re-asks for each request, as in {file}")
    return float(rate)


def _speed(llm: LLMParams, otherwise: float, told: list[str]) -> float:
    """Return the tokens a second of one request; say where the speed is from."""
    name = llm.model
    if llm.engine != "external":  # whose answers are stored under folder@hash of the weights
        of_folder = [row for row in replay.sizes(files.REPLAY) if row.model.startswith(f"{Path(name).name}@")]
        name = max(of_folder, key=lambda row: row.newest).model if of_folder else name
    seen = replay.speeds(files.REPLAY, name)
    speed = seen.completion_tokens / seen.latency_s if seen.latency_s else otherwise
    where = f"measured over {seen.n:,} stored answers" if seen.latency_s else "assumed"
    line = (
        f"{name}: {speed:,.1f} tokens a second and request, {where}; {llm.max_concurrency} requests at once"
    )
    if line not in told:
        told.append(line)
    return speed


def _row(
    stage: str, llm: LLMParams, chains: Chains, reasked: float, tokens_per_second: float, told: list[str]
) -> dict[str, Any]:
    """Return what a stage takes; tell what the params do not allow."""
    speed = _speed(llm, tokens_per_second, told)
    external = llm.engine == "external"
    grain = (estimate.CACHED_FROM, estimate.CACHED_STEP) if external else (1, 1)
    limits = (llm.max_concurrency, llm.requests_per_minute, llm.tokens_per_minute)
    found = estimate.total(chains, estimate.Endpoint(*limits, speed, *grain), reasked)
    at = prices.price(llm.model) if external else prices.FREE
    used = (found.prompt_tokens, found.cached_tokens, found.completion_tokens)
    cost = None if at is None else prices.cost(at, used[0], 0.0, used[2])
    if at is None:
        told.append(f"{llm.model} has no price in {prices.PRICES}: add it there")
    elif external and at.cached_input is None:
        told.append(f"{llm.model} has no discount for cached tokens ({prices.PRICES})")
    if cost is not None and llm.max_cost_usd is not None and cost > llm.max_cost_usd:
        told.append(f"{stage} stops at max_cost_usd {llm.max_cost_usd:,.2f} unless caching saves the rest")
    if found.longest_request > llm.context_tokens:
        told.append(
            f"{stage}: the longest request has {found.longest_request:,.0f} tokens with its answer, "
            f"context_tokens is {llm.context_tokens:,}"
        )
    return {
        "stage": stage,
        "model": llm.model,
        "calls": round(found.calls),
        **dict(zip(("prompt_tokens", "cached_tokens", "completion_tokens"), map(round, used), strict=True)),
        "cost_usd": cost,
        "cost_usd_cached": None if at is None else prices.cost(at, *used),
        "hours": found.hours,
        "hours_set_by": found.bound,
    }


def table(found: dict[str, Any]) -> str:
    """Return the rows, their total and the assumptions as text."""
    head = ("stage", "calls", "tokens in", "cacheable", "tokens out", "USD", "USD cached", "hours", "set by")
    lines = [_cells(head)]
    for row in (*found["stages"], {"stage": "total", **found["total"], "hours_set_by": ""}):
        numbers = [
            f"{row[key]:,}" for key in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")
        ]
        costs = ["unknown" if row[k] is None else f"{row[k]:,.2f}" for k in ("cost_usd", "cost_usd_cached")]
        hours = f"{row['hours']:,.2f}" if row["hours"] >= 1 else f"{row['hours']:.3f}"
        lines.append(_cells((row["stage"], *numbers, *costs, hours, row["hours_set_by"])))
    return "\n".join([*lines, "", *(f"- {line}" for line in found["assumptions"])])


def _cells(cells: Sequence[str]) -> str:
    return f"{cells[0]:<6}" + "".join(f"{cell:>15}" for cell in cells[1:-1]) + f"  {cells[-1]}".rstrip()
