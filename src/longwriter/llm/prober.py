"""Sends the probes of `probing` to an endpoint, and finds the caller's settings that it refuses.

Settings are tried in the form in which the work will send them. So one message names all refused settings before the
work starts; otherwise one row after the other would be rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from longwriter.errors import NoAnswer
from longwriter.llm import requests
from longwriter.llm.probing import Capabilities, Trust
from longwriter.llm.sending import Sender
from longwriter.params import Sampling

_REASONING_TOKENS = 4096  # added to each probe of a model whose reasoning uses up the tokens of the answer
_FAILED = re.compile(r"\b(?:sorry|cannot|can't|unable|errors?|failed|timed out)\b", re.IGNORECASE)
"""Words of refusals and errors. If a good answer to a probe has one of them, the only cost is another probe."""
_NEUTRAL = {"temperature": 1, "top_p": 1}  # values that change nothing: not sent if they are refused


class Trial(NamedTuple):
    """What an endpoint says to the settings of the work."""

    left_out: tuple[str, ...]
    """Fields that it refuses, and whose values change nothing: the work does not send them."""
    problems: list[str]
    """One sentence for each other setting that it refuses."""


class Prober:
    """Asks one model; it is the `probing.Ask` of a client."""

    def __init__(
        self, model: str, extra_body: dict[str, Any], sender: Sender, tick: Callable[[int], object]
    ) -> None:
        """Send each probe with `extra_body`, through `sender`; `tick(1)` is called after each."""
        self._model = model
        self._sender = sender
        self._tick = tick
        self._extra_tokens = 0
        self.extra_body = extra_body
        self.refusal = ""
        """What the endpoint said when it last refused a probe."""

    async def __call__(self, prompt: str, max_tokens: int | None, **fields: Any) -> str | None:
        """Return the text of an answer; None if it is refused, empty if the answer says nothing."""
        limits = {"max_tokens": max_tokens} if max_tokens is not None else {}
        limits |= {name: fields.pop(name) for name in ("max_completion_tokens",) if name in fields}
        while True:
            larger_limits = {name: limit + self._extra_tokens for name, limit in limits.items()}
            request = requests.probe(self._model, prompt, {**larger_limits, **fields}, self.extra_body)
            try:
                completion = await self._sender.send(request)
            except NoAnswer as refusal:
                self.refusal = str(refusal)
                return None
            finally:
                self._tick(1)
            text, finish_reason = completion.text, completion.finish_reason
            if text or self._extra_tokens or finish_reason != "length":
                is_failed = completion.refused or finish_reason == "content_filter" or _FAILED.search(text)
                return "" if is_failed else text
            self._extra_tokens = _REASONING_TOKENS

    async def refused(self, trust: Trust, **fields: Any) -> str:
        """Return why requests with these fields are refused each time; empty if one is answered."""
        others = {name: value for name, value in fields.items() if name != "max_tokens"}
        for number in range(trust.lead):
            prompt = f"Say the number {number + 1}."
            if await self(prompt, fields.get("max_tokens"), **others) is not None:
                return ""
        return self.refusal

    async def drop_refused_extra_body(self, trust: Trust) -> list[str]:
        """Leave out the fields of `extra_body` that are refused; return one sentence for each."""
        fields, self.extra_body = self.extra_body, {}
        for tokens_field in ("max_tokens", "max_completion_tokens"):
            if await self.refused(trust, **{tokens_field: 16}):
                continue
            problems = []
            for name, value in fields.items():
                why = await self.refused(trust, **{tokens_field: 16, name: value})
                if why:
                    problems.append(f"llm.extra_body.{name} (refused: {why}; remove it)")
                else:
                    self.extra_body = {**self.extra_body, name: value}
            return problems
        self.extra_body = fields
        return []

    async def try_settings(
        self,
        capabilities: Capabilities,
        sampling: Sampling,
        section: str,
        trust: Trust,
        known: Collection[str],
    ) -> Trial:
        """Send the settings of the work together, and one by one if they are refused together.

        Args:
            capabilities: What the endpoint honours.
            sampling: The settings of the work.
            section: Their key in params.yaml, for the sentences.
            trust: How many refusals are needed.
            known: Settings that cannot be used for another reason, and are not tried.
        """
        all_fields = requests.sampling_fields(sampling.model_dump(), capabilities)
        fields = {name: value for name, value in all_fields.items() if name not in known}
        refusal = await self.refused(trust, **fields)
        if not refusal:
            return Trial((), [])
        tokens_field = capabilities.tokens_field or "max_tokens"
        left_out: list[str] = []
        problems: list[str] = []
        for name, value in fields.items():
            why = await self.refused(trust, **{tokens_field: 16, name: value})
            if why and _NEUTRAL.get(name) == value:
                left_out.append(name)
            elif why:
                key = "max_tokens" if name == tokens_field else name
                problems.append(f"{section}.{key} {value} (refused: {why}; choose another value)")
        if left_out or problems:
            return Trial(tuple(left_out), problems)
        for name in reversed([name for name in fields if _NEUTRAL.get(name) == fields[name]]):
            others = {other: value for other, value in fields.items() if other != name}
            if not await self.refused(trust, **others):
                return Trial((name,), [])
        keys = ", ".join(f"{section}.{name}" for name in fields if name != tokens_field)
        return Trial((), [f"{keys} together (refused: {refusal}; set one of them to null)"])
