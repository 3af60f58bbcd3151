"""Sections of the models that answer: which model, where it is served, and how it is sampled."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from longwriter.params.common import Count, Number, Positive, Seconds, Section


class LLMParams(Section):
    """A model behind an OpenAI-compatible endpoint; the section `llm` is the one that plans and writes."""

    engine: Literal["llama.cpp", "vllm", "external"]
    """`llama.cpp` serves the GGUF in the folder `model`, `vllm` the safetensors; `external` = a server at
    `base_url`."""
    model: str
    """Folder of the model; for `external`, the name of the model."""
    base_url: str | None
    """`https://host/v1` of an external endpoint; null = OpenAI. Must be null for local engines."""
    replay_as: str | None = None
    """Stored answers belong to an endpoint: scheme, host and port. With the URL of another endpoint here, this
    one uses that one's answers, such as after a server moved; null = only its own."""
    api_key_env: str
    """Name of the environment variable that holds the API key, not the key itself."""
    extra_body: dict[str, Any]
    """Fields that are added unchanged to every request."""
    context_tokens: Count
    """Context of one request in tokens; a local server reserves it."""
    max_concurrency: Count
    """Largest number of concurrent requests; a local server gets as many slots."""
    requests_per_minute: Count | None
    tokens_per_minute: Count | None
    """The provider's rate limits, shared by all processes of this checkout that use the endpoint; null =
    none."""
    max_cost_usd: Positive | None
    """Budget of a stage in USD, counting cached answers; null = unlimited. At the limit the stage stops; paid
    answers are kept, so that it resumes when the limit is raised."""
    timeout_s: Seconds
    """Seconds after which a request counts as failed and is retried."""
    max_retries: Annotated[int, Field(ge=0)]
    """Retries of one request after status 408, 409, 429 or 5xx, a lost connection or a broken answer."""

    @model_validator(mode="after")
    def _only_external_has_a_url(self) -> LLMParams:
        if self.engine != "external" and self.base_url is not None:
            raise ValueError("base_url is for engine external; set it to null")
        return self


class Sampling(Section):
    """Sampling of an answer. A null field is not sent; the server must follow every other one."""

    temperature: Annotated[Number, Field(ge=0, le=2)] | None
    """Null = the model's own, for models that take no temperature (OpenAI's o-series)."""
    max_tokens: Count
    """Longest answer in tokens."""
    top_p: Annotated[Number, Field(gt=0, le=1)] | None
    repetition_penalty: Annotated[Number, Field(gt=0, le=3)] | None
    """Multiplicative penalty on tokens that occurred before; null if the provider has no such setting."""
    stop: list[str]
    """Texts at which an answer ends."""
    seed: int
    """Base seed; the seed of a request is derived from it and from the content of the request."""


class ServingParams(Section):
    """How the models of this pipeline are served for `sample` and `generate`: each in the same way."""

    engine: Literal["llama.cpp", "vllm"]
    """`llama.cpp` serves the weights converted to GGUF; `vllm`, which needs a GPU, the weights themselves."""
    precision: Literal["Q8_0", "F16", "BF16"]
    """Number type of the matrices in the GGUF; `vllm` uses the type of the weights."""
    context_tokens: Count
    """Context of one request in tokens."""
    max_concurrency: Count
    """Largest number of concurrent requests."""
    timeout_s: Seconds
    max_retries: Annotated[int, Field(ge=0)]


class JudgeParams(Section):
    """The model that judges quality (S_q); optional."""

    llm: LLMParams | None
    """Null = no judge; every quality is then `Unscored` with reason `no_judge`."""
    is_evidence: bool
    """False = the judge is too weak to trust; reports mark its numbers as "not evidence"."""
    prompt: str
    """Template; fields {instruction} {text}."""
    max_attempts: Count
    """Attempts to get a readable judgement before the text counts as unscored."""
    sampling: Sampling
