"""Sections that say which model answers, where, and how its tokens are drawn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from longwriter.params.common import Count, Number, Positive, Seconds, Section


class LLMParams(Section):
    """The model that plans and writes, behind an OpenAI-compatible endpoint."""

    engine: Literal["llama.cpp", "vllm", "external"]
    """`llama.cpp` serves the GGUF of the folder `model`, `vllm` its safetensors; `external` asks `base_url`."""
    model: str
    """Model folder; model name for `external`."""
    base_url: str | None
    """`https://host/v1` of an external endpoint; null = OpenAI's own. Null for local engines."""
    api_key_env: str
    """Name of the environment variable that holds the key; never the key."""
    extra_body: dict[str, Any]
    """Fields added to every request as they are."""
    context_tokens: Count
    """Context of one request, in tokens, that a local server reserves."""
    max_concurrency: Count
    """Requests under way at once; a local server gets as many slots."""
    requests_per_minute: Count | None
    tokens_per_minute: Count | None
    """The provider's limits, shared by every process of this checkout that asks the endpoint; null = none."""
    max_cost_usd: Positive | None
    """The answers that a stage uses, stored ones included, may cost so much; null = any. At the limit it
    stops, keeps what was paid for, and goes on from there under a higher one."""
    timeout_s: Seconds
    """Seconds after which a request counts as lost and is sent again."""
    max_retries: Annotated[int, Field(ge=0)]
    """Further tries of one request after 408, 409, 429, 5xx, a lost connection or a broken answer."""

    @model_validator(mode="after")
    def _only_external_has_a_url(self) -> LLMParams:
        if self.engine != "external" and self.base_url is not None:
            raise ValueError("base_url is for engine external; set it to null")
        return self


class Sampling(Section):
    """How tokens are drawn. A null field is not sent; a set one must be honoured by the server."""

    temperature: Annotated[Number, Field(ge=0, le=2)]
    max_tokens: Count
    """Cap of one answer, in tokens."""
    top_p: Annotated[Number, Field(gt=0, le=1)] | None
    repetition_penalty: Annotated[Number, Field(gt=0, le=3)] | None
    """Multiplicative penalty of tokens already seen; null where the provider has none."""
    stop: list[str]
    """Strings that end an answer."""
    seed: int
    """Base seed; each request derives its own from it and from its content."""


class ServingParams(Section):
    """How the models of this pipeline are served when they answer: one engine, precision and format for all."""

    engine: Literal["llama.cpp", "vllm"]
    """`llama.cpp` serves a GGUF made of the weights; `vllm` (a GPU) the weights themselves."""
    precision: Literal["Q8_0", "F16", "BF16"]
    """Type of the matrices in the GGUF; `vllm` takes the weights' own."""
    context_tokens: Count
    """Context of one request, in tokens."""
    max_concurrency: Count
    """Requests under way at once."""
    timeout_s: Seconds
    max_retries: Annotated[int, Field(ge=0)]


class JudgeParams(Section):
    """The model that judges quality (S_q), where there is one."""

    llm: LLMParams | None
    """Null = no judge: every quality is `Unscored(no_judge)`."""
    is_evidence: bool
    """False = the judge is too weak to be believed: its numbers are shown as "not evidence"."""
    prompt: str
    """Template; fields {instruction} {text}."""
    max_attempts: Count
    """Tries to get a readable judgement before the text counts as unscored."""
    sampling: Sampling
