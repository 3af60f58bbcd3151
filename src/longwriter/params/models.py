"""Sections of the models that answer: which model, where it is served, and how it is sampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from longwriter.params.extra_body import sendable
from longwriter.settings.named_files import template
from longwriter.settings.numbers import (
    Attempts,
    Concurrency,
    Dollars,
    InnerShare,
    Penalty,
    PerMinute,
    PositiveShare,
    Ranks,
    Retries,
    Seconds,
    Seed,
    Temperature,
    Tokens,
)
from longwriter.settings.section import Conflict, Section
from longwriter.settings.texts import BaseUrl, EnvName, Line, StopText, Template


class VllmParams(Section):
    """How a local vLLM server uses its GPUs; decides speed and memory. It needs tensor_parallel x data_parallel GPUs."""

    tensor_parallel: Ranks
    """GPUs that share the weights of one copy of the model."""
    data_parallel: Ranks
    """Copies of the model, which share the requests; `max_concurrency` is that of each copy."""
    memory_share: InnerShare
    """Share of each GPU's memory that vLLM takes (0.9 without this section)."""
    prefix_caching: bool
    """Whether the states of equal beginnings of prompts are computed once."""


GgufPrecision = Literal["Q8_0", "F16", "BF16"]


class LLMParams(Section):
    """A model behind an OpenAI-compatible endpoint; the section `llm` names the model that plans and writes."""

    engine: Literal["openvino", "llama.cpp", "vllm", "external"]
    """`openvino` and `llama.cpp` serve the GGUF in the folder `model`, `openvino` faster and only on a CPU; `vllm`
    serves its safetensors on a GPU; `external` = a server at `base_url`."""
    model: Line
    """Folder of the model; for `external`, the name of the model."""
    precision: GgufPrecision | None = None
    """Number type of the matrices that `openvino` and `llama.cpp` serve: the safetensors of the folder are converted to it;
    null, or a folder without safetensors = its GGUF as it is. Other engines do not use it."""
    base_url: BaseUrl | None
    """`https://host/v1` of an external endpoint; null = OpenAI. Must be null for local engines."""
    replay_as: BaseUrl | None = None
    """URL of another endpoint (scheme, host, port), for example after a server moved. Its stored answers are used
    in place of this endpoint's own, and new answers are stored under it too. null = this endpoint's own answers.
    """
    api_key_env: EnvName
    """Name of the environment variable that holds the API key, in capitals, not the key itself; '' = no key."""
    extra_body: Annotated[dict[str, Any], AfterValidator(sendable)]
    """Fields that are added unchanged to every request; fields that the program sets itself, and secrets, are
    not allowed."""
    context_tokens: Tokens
    """Context of one request in tokens; a local server reserves it."""
    max_concurrency: Concurrency
    """Largest number of concurrent requests; a local server gets as many slots."""
    requests_per_minute: PerMinute | None
    """The provider's limit, shared by all processes of this checkout that use the endpoint; null = none."""
    tokens_per_minute: PerMinute | None
    """The same limit for tokens, of prompts and answers together; null = none."""
    max_cost_usd: Dollars | None
    """Budget of a stage in USD; stored answers that are used again count too; null = unlimited. At the limit the
    stage stops; paid answers are kept, so the stage continues when the limit is raised."""
    timeout_s: Seconds
    """Seconds after which a request counts as failed and is retried."""
    max_retries: Retries
    """Retries of one request after status 408, 409, 429 or 5xx, a lost connection or a broken answer."""
    vllm: VllmParams | None = None
    """GPUs of the engine `vllm`; null = one GPU, with vLLM's own settings."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a URL of a local engine, and a number type that the engine cannot read."""
        if self.engine != "external" and self.base_url is not None:
            yield Conflict(
                ("base_url",), f"null for the engine {self.engine}; a URL is for the engine external"
            )
        yield from _precision_conflicts(self.engine, self.precision)


class Sampling(Section):
    """Sampling of an answer. A null field is not sent; the server must follow every other field."""

    temperature: Temperature | None
    """0 = always the most likely token; null = the model's own, for models that take no temperature (OpenAI's
    o-series)."""
    max_tokens: Tokens
    """Longest answer in tokens."""
    top_p: PositiveShare | None
    """Tokens are drawn from the smallest set of most likely tokens whose probabilities sum to this value."""
    repetition_penalty: Penalty | None
    """Multiplicative penalty on tokens that occurred before; null if the provider has no such setting."""
    stop: Annotated[list[StopText], Field(max_length=32)]
    """Texts at which an answer ends."""
    seed: Seed
    """Base seed; the seed of a request is derived from it and from the content of the request."""


class ServingParams(Section):
    """How the models of this pipeline are served for `sample` and `generate`; it is the same for all models."""

    engine: Literal["openvino", "llama.cpp", "vllm"]
    """`openvino` and `llama.cpp` serve the weights converted to GGUF, `openvino` faster and only on a CPU; `vllm` serves
    the weights themselves and needs a GPU."""
    precision: GgufPrecision
    """Number type of the matrices in the GGUF; `vllm` uses the type of the weights."""
    context_tokens: Tokens
    """Context of one request in tokens."""
    max_concurrency: Concurrency
    """Largest number of concurrent requests."""
    timeout_s: Seconds
    """Seconds after which a request counts as failed and is retried."""
    max_retries: Retries
    """Retries of one request, as in `llm`."""
    vllm: VllmParams | None = None
    """GPUs of the engine `vllm`, as in `llm`."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a number type that the engine cannot read."""
        yield from _precision_conflicts(self.engine, self.precision)


def _precision_conflicts(engine: str, precision: str | None) -> Iterator[Conflict]:
    if engine == "openvino" and precision == "BF16":
        yield Conflict(("precision",), "Q8_0 or F16 for the engine openvino")


class JudgingParams(Section):
    """How texts are judged for quality (S_q)."""

    prompt: Annotated[Template, template("instruction", "text")]
    """Template; fields {instruction} {text}."""
    max_attempts: Attempts
    """Largest number of attempts to get a readable judgement; after the last one the text is `Unscored`."""
    long_texts: Literal["refuse", "chunks"]
    """What to do with a text that does not fit into `context_tokens`: `refuse` leaves it `Unscored` with the reason
    `beyond_context`, `chunks` judges it in parts and takes the mean."""
    sampling: Sampling
    """Sampling of the judgements."""

    def panel(self) -> list[LLMParams]:
        """Return the judges; a text gets the mean of their scores."""
        return []


class JudgeParams(Section):
    """The judge of one stage, so that another judge makes only this stage and those after it run again."""

    llm: LLMParams | None
    """Model that judges, with the fields of `llm`; null = no judge."""
    max_attempts: Attempts
    """Largest number of attempts to get a readable answer."""
    sampling: Sampling
    """Sampling of the judge's answers."""
