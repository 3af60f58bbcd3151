"""Typed mirror of params.yaml: every parameter with its unit and its bounds, and no default values.

A stage reads its own section and the shared ones. `load` always checks the whole file and the files that it
names, so a typing mistake in `report` stops the run before `write` works for an hour. The sections are in `data`,
`agentwrite`, `training`, `benchmark`, `tracing` and `retention`; the sections of language models are in `models`.
The room `settings` has the kinds of their values, reads the file, and writes the messages.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from longwriter.params.agentwrite import PlanParams, WriteParams
from longwriter.params.benchmark import (
    BenchmarksParams,
    CompareParams,
    FitnessParams,
    GenerateParams,
    PairwiseParams,
    RegisterParams,
    ReportParams,
    ScoreParams,
    ShortPromptsParams,
)
from longwriter.params.data import BaseModelParams, DatasetParams, InstructionsParams, ValidateParams
from longwriter.params.models import (
    JudgeParams,
    JudgingParams,
    LLMParams,
    Sampling,
    ServingParams,
    VllmParams,
)
from longwriter.params.retention import RetentionParams
from longwriter.params.tracing import TracingParams
from longwriter.params.training import (
    DpoParams,
    PackParams,
    PreferencesParams,
    QualityJudgeParams,
    SampleParams,
    SftParams,
    TrainingParams,
)
from longwriter.settings import named_files, problems, yaml_file
from longwriter.settings.section import Conflict, Section
from longwriter.settings.yaml_file import Document

FILE = Path("params.yaml")

__all__ = [
    "DatasetParams",
    "DpoParams",
    "GenerateParams",
    "InstructionsParams",
    "JudgeParams",
    "JudgingParams",
    "LLMParams",
    "PairwiseParams",
    "Params",
    "PlanParams",
    "QualityJudgeParams",
    "Sampling",
    "ServingParams",
    "SftParams",
    "TrainingParams",
    "ValidateParams",
    "VllmParams",
    "WriteParams",
    "check",
    "complete",
    "load",
    "read",
]


class Params(Section):
    """The whole of params.yaml."""

    base_model: BaseModelParams
    benchmarks: BenchmarksParams
    instructions: InstructionsParams
    llm: LLMParams
    plan: PlanParams
    write: WriteParams
    dataset: DatasetParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    training: TrainingParams
    pack: PackParams
    sft: SftParams
    serving: ServingParams
    sample: SampleParams
    preferences: PreferencesParams
    dpo: DpoParams
    compare: CompareParams
    fitness: FitnessParams
    generate: GenerateParams
    short_prompts: ShortPromptsParams
    score: ScoreParams
    pairwise: PairwiseParams
    report: ReportParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    tracing: TracingParams
    retention: RetentionParams

    moved: ClassVar = {
        "judge": "instructions.judge, plan.judge and preferences.judge: each stage has a judge of its own"
    }

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the values that do not fit the values of other sections."""
        models = ", ".join(self.compare.models)
        if self.register_.model not in self.compare.models:
            yield Conflict(("register", "model"), f"a model of compare.models: {models}")
        elif all(after != self.register_.model for after, _ in self.compare.pairs):
            yield Conflict(
                ("register", "model"), "the first model of a pair in compare.pairs, for its parent"
            )
        for key in ("alias", "champion_alias", "former_alias"):
            if getattr(self.register_, key) in self.compare.models:
                yield Conflict(("register", key), "an alias that is no model of compare.models")
        reference = self.pairwise.reference
        if reference is not None and reference not in self.compare.models:
            yield Conflict(("pairwise", "reference"), f"null, or a model of compare.models: {models}")
        if self.pairwise.pairs != "none" and not self.score.judges:
            yield Conflict(("pairwise", "pairs"), "none while score.judges is empty; set a judge there")
        if self.write.mode == "direct" and self.plan.judge.llm is not None:
            yield Conflict(
                ("plan", "judge", "llm"),
                "null while write.mode is direct, because no plan is made and nothing asks this judge",
            )
        yield from self._lengths()
        if self.training.ranks != "auto" and self.training.hostfile is None:
            batches = (
                ("sft", "batch_packs", self.sft.batch_packs),
                ("dpo", "batch_pairs", self.dpo.batch_pairs),
            )
            for section, key, batch in batches:
                if batch % self.training.ranks:
                    yield Conflict(
                        (section, key), f"a multiple of {self.training.ranks}, the value of training.ranks"
                    )
        writers = (("llm",), self.llm), (("plan", "llm"), self.plan.llm), (("write", "llm"), self.write.llm)
        for name, llm in writers:
            is_trained = llm is not None and posixpath.normpath(llm.model).startswith(
                ("data/sft/", "data/dpo/")
            )
            if llm is not None and llm.engine != "external" and is_trained:
                yield Conflict((*name, "model"), "another folder: this model is trained on what `llm` writes")

    def _lengths(self) -> Iterator[Conflict]:
        """Yield bounds that no text can meet, or with which no answer fits into the context of a local server."""
        if self.dataset.min_words > self.validate_.max_words:
            yield Conflict(
                ("dataset", "min_words"),
                f"at most {self.validate_.max_words:,}, the value of validate.max_words",
            )
        if self.validate_.min_words > self.dataset.max_words:
            yield Conflict(
                ("validate", "min_words"),
                f"at most {self.dataset.max_words:,}, the value of dataset.max_words",
            )
        words = self.plan.max_step_words
        if self.write.mode != "direct" and self.write.min_paragraph_words > words:
            yield Conflict(
                ("write", "min_paragraph_words"), f"at most {words:,}, the value of plan.max_step_words"
            )
        planner = ("plan.llm", self.plan.llm) if self.plan.llm else ("llm", self.llm)
        writer = ("write.llm", self.write.llm) if self.write.llm else ("llm", self.llm)
        decoding = "direct_sampling" if self.write.mode == "direct" else "sampling"
        serving = ("serving", self.serving)
        answers = (
            (("plan", "sampling"), self.plan.sampling, planner),
            (("write", decoding), getattr(self.write, decoding), writer),
            (("sample", "sampling"), self.sample.sampling, serving),
            (("generate", "sampling"), self.generate.sampling, serving),
            (("short_prompts", "sampling"), self.short_prompts.sampling, serving),
        )
        for key, sampling, (name, server) in answers:
            if server.engine != "external" and sampling.max_tokens >= server.context_tokens:
                yield Conflict(
                    (*key, "max_tokens"),
                    f"below {server.context_tokens:,}, the value of {name}.context_tokens; the prompt needs a part of it",
                )


def check(values: Any, source: str) -> Params:
    """Return `values` as Params.

    Raises:
        BadParams: a value is not allowed. The message has one line for each bad key: `source`, the key, what
            was found, what is allowed.
    """
    return problems.checked(Params, Document(source, values))


def read(path: Path = FILE) -> Any:
    """Return the values of `path` as DVC reads them, not checked against Params.

    Raises:
        BadParams: the file is missing or is not valid YAML.
    """
    document = yaml_file.read(path)
    problems.raise_problems(document)
    return document.values


def load(path: Path = FILE) -> Params:
    """Return the checked parameters of `path`.

    Raises:
        BadParams: the file is missing, is not valid YAML, or has values that are not allowed: one line each.
    """
    return complete(yaml_file.read(path))


def complete(document: Document) -> Params:
    """Return a document as Params; also check the files that it names.

    Raises:
        BadParams: as `load`.
    """
    params = problems.checked(Params, document)
    named_files.check(params, document)
    if params.write.mode == "serial" and "text" not in named_files.fields(params.write.prompt):
        document.add(
            ("write", "mode"),
            f"found serial, but {params.write.prompt} has no {{text}}, so each paragraph would be written without "
            "the text before it; allowed: parallel, or a write.prompt with {text}",
        )
    problems.raise_problems(document)
    return params
