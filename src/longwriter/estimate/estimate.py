"""Estimates requests, tokens and hours of AgentWrite from the lengths of its texts.

Pure. A request is three numbers: the tokens of its prompt, the tokens that its prompt shares with the start of the
previous prompt, and the tokens of its answer. A provider's prompt cache can serve the shared tokens. A chain is a
list of requests; each of them waits for the previous one. The factors below convert words to tokens; they hold only
on average.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.agentwrite.plans.plan import Bounds, step_bounds
from longwriter.records import Instruction, PlanStep
from longwriter.text.basics.counting import count_han, count_words

TOKENS_PER_WORD = 1.33
"""English. Source: OpenAI's help page on tokens, "1 token is about 3/4 of a word"."""
TOKENS_PER_HAN = 1.0
"""Source: the Chinese example of "Hello GPT-4o" (OpenAI, 2024): 24 characters, 24 tokens."""
CHAT_TOKENS = 7
"""Tokens around the one message of a request. Source: OpenAI's cookbook on counting tokens: 3 + 1 + 3."""
PLAN_LINE_TOKENS = 18
"""One step of a plan without its main point, measured with SmolLM2's tokenizer (16 as JSON)."""
POINT_WORDS = 20
"""Words of a main point. A run with a 135M model had 15.6 on average, in at most 120 characters."""
FORMAT_TOKENS = 60
"""Description of the answer format in a planner's prompt: a sentence and two sample lines."""
JUDGEMENT_TOKENS = 250
"""Six scores and an analysis of at most five sentences, as the judge's prompt asks."""
COVERAGE_TOKENS = 40
"""An answer that names what a plan leaves out, as the coverage prompt asks."""
INTENT_TOKENS = 40
"""A reason of one sentence and yes or no, as the prompt about a length asks."""
REASK_RATE = 0.1
"""Repeated requests per request, if no run has measured it; one run made 60 plans in 70 calls."""
CACHED_FROM = 1024
"""Shortest prefix, in tokens, that a prompt cache serves. Source: OpenAI's guide to prompt caching."""
CACHED_STEP = 128
"""The cache serves a longer prefix in multiples of this number of tokens. Source: the same guide."""

_FIELD = re.compile(r"\{(\w+)\}")
_CODE_TOKENS = 1.0  # a number in a prompt: step, steps, word_count, and the bounds of a plan

Parts = Sequence[tuple[str, float]]
"""A prompt template in pieces; each is ("", tokens of fixed text) or (name of a field, 0)."""


class Text(NamedTuple):
    """A text to write, in tokens: its instruction, and the main point and length of each paragraph."""

    instruction: float
    points: tuple[float, ...]
    paragraphs: tuple[float, ...]

    @property
    def plan(self) -> float:
        """Tokens of its plan."""
        return sum(self.points) + PLAN_LINE_TOKENS * len(self.points)


class Request(NamedTuple):
    """Tokens of one request: its prompt, the part shared with the previous request's start, its answer."""

    prompt: float
    prefix: float
    completion: float


class Endpoint(NamedTuple):
    """Speed of an endpoint: limits as in `LLMParams`, tokens per second of one request, its prompt cache."""

    max_concurrency: int
    requests_per_minute: int | None
    tokens_per_minute: int | None
    tokens_per_second: float
    cached_from: int
    cached_step: int


class Estimate(NamedTuple):
    """Calls, tokens and hours of a stage.

    `bound` names the limit that decides the hours. `longest_request` is in tokens, with its answer.
    """

    calls: float
    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float
    hours: float
    bound: str
    longest_request: float


def tokens(text: str) -> float:
    """Return the approximate number of tokens of a text."""
    han = count_han(text)
    return TOKENS_PER_HAN * han + TOKENS_PER_WORD * (count_words(text) - han)


def parts(template: str) -> Parts:
    """Return a prompt template in pieces."""
    pieces = _FIELD.split(template)  # fixed text and field names alternate
    return [(piece, 0.0) if i % 2 else ("", tokens(piece)) for i, piece in enumerate(pieces)]


def expected_words(bounds: Bounds, required_words: int | None) -> list[float]:
    """Return the words of each paragraph of the expected plan.

    The length of a paragraph is about the middle of what `bounds` allow. If the instruction states no length,
    the number of paragraphs is the geometric mean of the smallest and the largest number allowed.
    """
    middle = (bounds.min_words + bounds.max_words) / 2
    if required_words is None:
        return [middle] * round(math.sqrt(bounds.min_steps * bounds.max_steps))
    narrowed = step_bounds(bounds, required_words)
    steps = min(max(round(required_words / middle), narrowed.min_steps), narrowed.max_steps)
    return [min(max(required_words / steps, bounds.min_words), bounds.max_words)] * steps


def expected_text(instruction: Instruction, bounds: Bounds, steps: Sequence[PlanStep] | None = None) -> Text:
    """Return the expected lengths of a text, in tokens; without `steps`, the expected plan is used."""
    factor = TOKENS_PER_HAN if instruction.language == "zh" else TOKENS_PER_WORD
    if not steps:
        words = expected_words(bounds, instruction.required_words)
        points = (POINT_WORDS * TOKENS_PER_WORD,) * len(words)
    else:
        words = [float(step.word_count) for step in steps]
        points = tuple(tokens(step.main_point) for step in steps)
    return Text(tokens(instruction.prompt), points, tuple(factor * count for count in words))


def plan_request(template: Parts, text: Text, answer_format: float, max_tokens: int) -> Request:
    """Return the planner's request for one text.

    Args:
        template: The planner's prompt.
        text: The text that is planned.
        answer_format: Tokens of the format's description, which follows a template without {format}.
        max_tokens: Longest answer.
    """
    fields = {"instruction": text.instruction, "format": answer_format}
    request = _request(template, fields, _FIRST, min(text.plan, max_tokens))
    description = 0.0 if "format" in dict(template) else answer_format
    return request._replace(prompt=request.prompt + description)


def write_chains(mode: str, template: Parts, text: Text, max_tokens: int) -> list[list[Request]]:
    """Return the writer's requests for one text, as chains.

    Args:
        mode: `serial` (each prompt holds the text so far), `parallel`, or `direct` (one request).
        template: The writer's prompt; unused by `direct`, whose prompt is the instruction.
        text: The text that is written.
        max_tokens: Longest answer.
    """
    if mode == "direct":
        return [[Request(CHAT_TOKENS + text.instruction, 0.0, min(sum(text.paragraphs), max_tokens))]]
    is_serial = mode == "serial"
    requests: list[Request] = []
    before = so_far = 0.0
    for point, paragraph in zip(text.points, text.paragraphs, strict=True):
        fields = {"instruction": text.instruction, "plan": text.plan, "main_point": point, "text": so_far}
        changed = {
            "step": 0.0,
            "main_point": 0.0,
            "word_count": 0.0,
            **({"text": before} if is_serial else {}),
        }
        answer = min(paragraph, max_tokens)
        requests.append(_request(template, fields, changed if requests else _FIRST, answer))
        if is_serial:
            before, so_far = so_far, so_far + answer
    return [requests] if is_serial else [[request] for request in requests]


def question(template: Parts, fields: Mapping[str, float], completion: float) -> Request:
    """Return a judge's request; `fields` are the tokens of the values that fill the template."""
    return _request(template, fields, dict.fromkeys(fields, 0.0), completion)


# Fields in which the first requests of two texts differ.
_FIRST = {"instruction": 0.0, "min_steps": 0.0, "max_steps": 0.0}


def _request(
    template: Parts, fields: Mapping[str, float], changed: Mapping[str, float], completion: float
) -> Request:
    """Return a request.

    Args:
        template: Its prompt.
        fields: Tokens of each field that is not a number.
        changed: Fields that differ from the previous request, each with the number of its first tokens that are
            the same in both.
        completion: Tokens of the answer.
    """
    prompt, prefix = float(CHAT_TOKENS), None
    for name, fixed in template:
        if prefix is None and name in changed:
            prefix = prompt + changed[name]
        prompt += fields.get(name, _CODE_TOKENS) if name else fixed
    return Request(prompt, prompt if prefix is None else prefix, completion)


def total(chains: Iterable[Sequence[Request]], endpoint: Endpoint, reask_rate: float) -> Estimate:
    """Return the calls, tokens and hours of all chains together.

    The hours are the largest of four times: for all answers at the speed of `max_concurrency` requests, for the
    longest chain, and for each of the two limits per minute.

    Args:
        chains: The requests; chains run concurrently.
        endpoint: The endpoint that answers.
        reask_rate: Repeated requests per request; each sends the same prompt again.
    """
    calls = prompt = cached = completion = chain = longest = 0.0
    for requests in chains:
        calls += len(requests)
        prompt += sum(request.prompt for request in requests)
        cached += sum(
            _cached_tokens(request.prefix, endpoint) + reask_rate * _cached_tokens(request.prompt, endpoint)
            for request in requests
        )
        answers = sum(request.completion for request in requests)
        completion += answers
        chain = max(chain, answers)
        longest = max([longest, *(request.prompt + request.completion for request in requests)])
    calls *= 1 + reask_rate
    prompt *= 1 + reask_rate
    completion *= 1 + reask_rate
    chain *= 1 + reask_rate
    seconds = {
        "max_concurrency": completion / endpoint.tokens_per_second / endpoint.max_concurrency,
        "longest chain": chain / endpoint.tokens_per_second,
        "requests_per_minute": 60 * calls / (endpoint.requests_per_minute or math.inf),
        "tokens_per_minute": 60 * (prompt + completion) / (endpoint.tokens_per_minute or math.inf),
    }
    bound = max(seconds, key=lambda name: seconds[name])
    return Estimate(calls, prompt, cached, completion, seconds[bound] / 3600, bound, longest)


def _cached_tokens(prefix: float, endpoint: Endpoint) -> float:
    """Return the tokens of a prefix that the prompt cache serves."""
    return 0.0 if prefix < endpoint.cached_from else prefix - prefix % endpoint.cached_step
