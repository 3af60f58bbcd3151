"""What AgentWrite will take, reckoned without a call: requests, tokens and hours, from lengths alone.

A request is three numbers: tokens of its prompt, how many of them opened the request before it (what a
provider's prompt cache can serve), and tokens of its answer. Requests that wait for each other are a
chain. Words become tokens by the factors below, which no tokenizer keeps to exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.agentwrite.plans.plan import Bounds, step_bounds
from longwriter.records import Instruction, PlanStep
from longwriter.text.counting import count_han, count_words

TOKENS_PER_WORD = 1.33
"""English. Source: OpenAI's help page on tokens, "1 token is about 3/4 of a word"."""
TOKENS_PER_HAN = 1.0
"""A Chinese character. Source: the Chinese example of "Hello GPT-4o" (OpenAI, 2024): 24 characters, 24 tokens."""
CHAT_TOKENS = 7
"""Marks around the one message of a request. Source: OpenAI's cookbook on counting tokens: 3 + 1 + 3."""
PLAN_LINE_TOKENS = 18
"""A step of a plan without its main point; measured with SmolLM2's tokenizer (as JSON it is 16)."""
POINT_WORDS = 20
"""Words of a main point; the 157 of one run with a 135M model have 15.6 on average, below a cap of 120 characters."""
FORMAT_TOKENS = 60
"""Words in a planner's prompt that say in which form to answer: a sentence and two sample lines."""
JUDGEMENT_TOKENS = 250
"""Six marks and an analysis of at most five sentences, as the judge's prompt asks."""
COVERAGE_TOKENS = 40
"""What a plan leaves out, as the coverage prompt asks."""
REASKED = 0.1
"""Re-asks for each answer that is kept, where no run has shown it; 70 calls made 60 plans in one run."""
TOKENS_PER_SECOND = 50.0
"""Speed of one request, where none was measured."""
CACHED_FROM, CACHED_STEP = 1024, 128
"""Shortest prefix that a provider's prompt cache serves, and its grain. Source: OpenAI's guide to prompt caching."""

_FIELD = re.compile(r"\{(\w+)\}")
_CODE_TOKENS = 1.0  # a number in a prompt: step, steps, word_count, and the bounds of a plan

Parts = Sequence[tuple[str, float]]
"""A prompt template in pieces: ("", tokens of fixed text) or (name of a field, 0)."""


class Text(NamedTuple):
    """A text to be, in tokens: its instruction, and for each paragraph its main point and itself."""

    instruction: float
    points: tuple[float, ...]
    paragraphs: tuple[float, ...]

    @property
    def plan(self) -> float:
        """Tokens of its plan."""
        return sum(self.points) + PLAN_LINE_TOKENS * len(self.points)


class Request(NamedTuple):
    """Tokens of a prompt, of these the ones that opened the request before it, and of the answer."""

    prompt: float
    prefix: float
    completion: float


class Endpoint(NamedTuple):
    """How fast whoever answers is: limits as in the params, and the speed of one request."""

    max_concurrency: int
    requests_per_minute: int | None
    tokens_per_minute: int | None
    tokens_per_second: float
    cached_from: int
    cached_step: int


class Estimate(NamedTuple):
    """What a stage takes: calls and tokens, hours and what sets them, tokens of the longest request."""

    calls: float
    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float
    hours: float
    bound: str
    longest_request: float


def tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    han = count_han(text)
    return TOKENS_PER_HAN * han + TOKENS_PER_WORD * (count_words(text) - han)


def parts(template: str) -> Parts:
    """Return a prompt template in pieces."""
    found = _FIELD.split(template)
    return [(piece, 0.0) if i % 2 else ("", tokens(piece)) for i, piece in enumerate(found)]


def expected_words(bounds: Bounds, required_words: int | None) -> list[float]:
    """Return the words of each paragraph in the plan that is to be expected.

    As many paragraphs as give each the middle length that `bounds` allow; the geometric mean of the
    fewest and the most where the instruction states no length.
    """
    middle = (bounds.min_words + bounds.max_words) / 2
    if required_words is None:
        return [middle] * round(math.sqrt(bounds.min_steps * bounds.max_steps))
    narrowed = step_bounds(bounds, required_words)
    steps = min(max(round(required_words / middle), narrowed.min_steps), narrowed.max_steps)
    return [min(max(required_words / steps, bounds.min_words), bounds.max_words)] * steps


def expected_text(instruction: Instruction, bounds: Bounds, steps: Sequence[PlanStep] | None = None) -> Text:
    """Return the text that an instruction leads to, by its plan; without steps, by the plan to be expected."""
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
        text: What is planned.
        answer_format: Tokens that say in which form to answer; they follow a template without {format}.
        max_tokens: Cap of the answer.
    """
    fields = {"instruction": text.instruction, "format": answer_format}
    request = _request(template, fields, _FIRST, min(text.plan, max_tokens))
    follows = 0.0 if "format" in dict(template) else answer_format
    return request._replace(prompt=request.prompt + follows)


def write_chains(mode: str, template: Parts, text: Text, max_tokens: int) -> list[list[Request]]:
    """Return the writer's requests for one text, those that wait for each other in one chain.

    Args:
        mode: `serial` (each prompt holds the text so far), `parallel`, or `direct` (one request).
        template: The writer's prompt; unused by `direct`, whose prompt is the instruction.
        text: What is written.
        max_tokens: Cap of an answer.
    """
    if mode == "direct":
        return [[Request(CHAT_TOKENS + text.instruction, 0.0, min(sum(text.paragraphs), max_tokens))]]
    serial = mode == "serial"
    requests: list[Request] = []
    before = written = 0.0
    for point, paragraph in zip(text.points, text.paragraphs, strict=True):
        fields = {"instruction": text.instruction, "plan": text.plan, "main_point": point, "text": written}
        changed = {"step": 0.0, "main_point": 0.0, "word_count": 0.0, **({"text": before} if serial else {})}
        answer = min(paragraph, max_tokens)
        requests.append(_request(template, fields, changed if requests else _FIRST, answer))
        if serial:
            before, written = written, written + answer
    return [requests] if serial else [[request] for request in requests]


def question(template: Parts, fields: Mapping[str, float], completion: float) -> Request:
    """Return a judge's request; `fields` are the tokens of what the template is filled with."""
    return _request(template, fields, dict.fromkeys(fields, 0.0), completion)


_FIRST = {"instruction": 0.0, "min_steps": 0.0, "max_steps": 0.0}  # what another text's first request lacks


def _request(
    template: Parts, fields: Mapping[str, float], changed: Mapping[str, float], completion: float
) -> Request:
    """Return a request.

    Args:
        template: Its prompt.
        fields: Tokens of each field that is no number.
        changed: Fields that differ from the request before, each with the tokens that still open it.
        completion: Tokens of the answer.
    """
    prompt, prefix = float(CHAT_TOKENS), None
    for name, fixed in template:
        if prefix is None and name in changed:
            prefix = prompt + changed[name]
        prompt += fields.get(name, _CODE_TOKENS) if name else fixed
    return Request(prompt, prompt if prefix is None else prefix, completion)


def total(chains: Iterable[Sequence[Request]], endpoint: Endpoint, reasked: float) -> Estimate:
    """Return what all chains take together.

    Hours are the most of four: all answers at the speed of one request over `max_concurrency`, the longest
    chain, and the two limits a minute.

    Args:
        chains: Requests that wait for each other; chains wait for nobody.
        endpoint: Who answers.
        reasked: Re-asks for each request; a re-ask sends the same prompt.
    """
    calls = prompt = cached = completion = chain = longest = 0.0
    for requests in chains:
        calls += len(requests)
        prompt += sum(request.prompt for request in requests)
        cached += sum(_served(r.prefix, endpoint) + reasked * _served(r.prompt, endpoint) for r in requests)
        answers = sum(request.completion for request in requests)
        completion += answers
        chain = max(chain, answers)
        longest = max(longest, max((r.prompt + r.completion for r in requests), default=0.0))
    calls, prompt, completion, chain = (n * (1 + reasked) for n in (calls, prompt, completion, chain))
    seconds = {
        "max_concurrency": completion / endpoint.tokens_per_second / endpoint.max_concurrency,
        "longest chain": chain / endpoint.tokens_per_second,
        "requests_per_minute": 60 * calls / (endpoint.requests_per_minute or math.inf),
        "tokens_per_minute": 60 * (prompt + completion) / (endpoint.tokens_per_minute or math.inf),
    }
    bound = max(seconds, key=lambda name: seconds[name])
    return Estimate(calls, prompt, cached, completion, seconds[bound] / 3600, bound, longest)


def _served(prefix: float, endpoint: Endpoint) -> float:
    """Return how many tokens of a prefix the prompt cache serves."""
    return 0.0 if prefix < endpoint.cached_from else prefix - prefix % endpoint.cached_step
