"""Sections of the benchmark: models, answers, scores, report, and registration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from longwriter.params.common import Count, Number, Positive, Section, Share
from longwriter.params.models import Sampling

Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
"""Part of file, stage and metric names; a hyphen separates a model from its benchmark there."""


class ComparedModel(Section):
    """One of the compared models.

    Its weights are the folder data/NAME/weights: the output of a stage NAME, or a folder or link that you put
    there.
    """

    label: Annotated[str, Field(pattern=r"^\w[\w .:()+/-]*$")]
    """Name in a sentence of the report, such as `SFT` or `the base model`; headings leave out `the`."""


class CompareParams(Section):
    """The models that answer each benchmark, and which of them are compared with each other."""

    models: Annotated[dict[Name, ComparedModel], Field(min_length=2)]
    """Models by name, in the order of tables and figures."""
    pairs: Annotated[list[Annotated[list[str], Field(min_length=2, max_length=2)]], Field(min_length=1)]
    """[after, before] names: is `after` better than `before`? For the first pair, the report also
    compares how often answers end by themselves."""

    @model_validator(mode="after")
    def _names_are_clear(self) -> CompareParams:
        for after, before in self.pairs:
            unknown = [name for name in (after, before) if name not in self.models]
            if unknown:
                raise ValueError(f"pairs: no model {unknown[0]!r}; there are {', '.join(self.models)}")
            if after == before:
                raise ValueError(f"pairs: {after} is compared with itself")
            if self.pairs.count([after, before]) > 1:
                raise ValueError(f"pairs: [{after}, {before}] is there twice")
        labels = [model.label for model in self.models.values()]
        for name, model in self.models.items():
            if labels.count(model.label) > 1:
                raise ValueError(f"models: two models have the label {model.label!r}; rename one")
            if f"{name}_model" in self.models:
                raise ValueError(f"models: {name} and {name}_model would share metric names; rename one")
        return self


class GenerateParams(Section):
    """Answers of each model to each benchmark, with the same decoding for all."""

    folder: str
    """Folder of the benchmarks, NAME.jsonl in LongBench-Write's format (prompt, type, length)."""
    benchmarks: Annotated[list[Name], Field(min_length=1)]
    """Names of the benchmarks that every model answers."""
    max_tokens_per_word: Positive
    """Largest number of tokens of an answer for each word that the prompt asks for; a shorter answer ended by
    itself."""
    sampling: Sampling
    """`max_tokens` limits every answer (temperature 0.5 and 32,768 tokens in the paper)."""


class ScoreParams(Section):
    """How an answer is scored, apart from its length."""

    max_repeated_share: Share
    """Share of repeated 5-grams above which an answer counts as a loop."""


class ReportParams(Section):
    """Statistics of the comparison."""

    confidence: Annotated[Number, Field(gt=0, lt=1)]
    """Confidence level of every interval."""
    resamples: Count
    """Bootstrap resamples, and permutations of the test."""
    seed: int
    """Seed of both."""


class RegisterParams(Section):
    """Which model is registered in MLflow's registry."""

    model: str
    """Name of the compared model that gets the alias; a stage of this pipeline trained it."""
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    """Name in the registry."""
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    """Alias that users of the registry ask for; it moves to the newest version."""
