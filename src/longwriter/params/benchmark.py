"""Sections of the benchmark: what is generated, how it is scored, reported and registered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from longwriter.params.common import Count, Number, Positive, Section, Share
from longwriter.params.models import Sampling


class GenerateParams(Section):
    """Answers of each model to each benchmark, under one decoding."""

    folder: str
    """Folder of the benchmarks, NAME.jsonl in LongBench-Write's format (prompt, type, length)."""
    benchmarks: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]], Field(min_length=1)]
    """Names of the benchmarks that are run."""
    max_tokens_per_word: Positive
    """Cap of an answer: this times the words asked for; what ends below it ended by itself."""
    sampling: Sampling
    """`max_tokens` is the hard cap (temperature 0.5 and 32,768 tokens in the paper)."""


class ScoreParams(Section):
    """How an answer is scored beside its length."""

    max_repeated_share: Share
    """Share of repeated 5-grams above which an answer counts as a loop."""


class ReportParams(Section):
    """Statistics of the comparison."""

    confidence: Annotated[Number, Field(gt=0, lt=1)]
    """Confidence level of every interval."""
    resamples: Count
    """Bootstrap resamples."""
    seed: int


class RegisterParams(Section):
    """Which model is handed on in MLflow's registry."""

    model: Literal["sft", "dpo"]
    """Stage whose model gets the alias."""
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """Name in the registry."""
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
