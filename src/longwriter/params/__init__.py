"""Typed mirror of params.yaml: every parameter with its unit and its bounds, and no default values.

A stage reads its own section and the shared ones. `load` always checks the whole file, so that a typing
error in `report` is found before `write` runs for an hour. The sections are in `data`, `agentwrite`,
`training` and `benchmark`; those of the models that answer are in `models`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from longwriter.errors import BadParams
from longwriter.params.agentwrite import PlanParams, WriteParams
from longwriter.params.benchmark import (
    CompareParams,
    GenerateParams,
    RegisterParams,
    ReportParams,
    ScoreParams,
)
from longwriter.params.common import Section, keys
from longwriter.params.data import BaseModelParams, DatasetParams, InstructionsParams, ValidateParams
from longwriter.params.models import JudgeParams, LLMParams, Sampling, ServingParams
from longwriter.params.training import (
    DpoParams,
    PackParams,
    PreferencesParams,
    SampleParams,
    SftParams,
    TrainingParams,
)

__all__ = [
    "DatasetParams",
    "DpoParams",
    "InstructionsParams",
    "JudgeParams",
    "LLMParams",
    "Params",
    "PlanParams",
    "Sampling",
    "ServingParams",
    "SftParams",
    "TrainingParams",
    "ValidateParams",
    "WriteParams",
    "check",
    "load",
]


class Params(Section):
    """The whole of params.yaml."""

    base_model: BaseModelParams
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
    judge: JudgeParams
    preferences: PreferencesParams
    dpo: DpoParams
    compare: CompareParams
    generate: GenerateParams
    score: ScoreParams
    report: ReportParams
    register_: Annotated[RegisterParams, Field(alias="register")]

    @model_validator(mode="after")
    def _unstated_lengths_have_a_judge(self) -> Params:
        if self.instructions.unstated == "judge" and self.judge.llm is None:
            raise ValueError("instructions.unstated judge needs a judge: set judge.llm")
        return self

    @model_validator(mode="after")
    def _registered_model_is_compared(self) -> Params:
        if self.register_.model not in self.compare.models:
            raise ValueError(
                f"register.model: no model {self.register_.model!r} in compare.models; "
                f"there are {', '.join(self.compare.models)}"
            )
        return self

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Params:
        for low, high, name in (
            (self.plan.min_steps, self.plan.max_steps, "plan.min_steps > plan.max_steps"),
            (self.plan.min_step_words, self.plan.max_step_words, "plan.min_step_words > plan.max_step_words"),
            (self.validate_.min_words, self.validate_.max_words, "validate.min_words > validate.max_words"),
        ):
            if low > high:
                raise ValueError(f"{name} ({low} > {high})")
        if self.preferences.quality_weight and self.judge.llm is None:
            raise ValueError("preferences.quality_weight > 0 needs a judge: set judge.llm")
        if self.plan.coverage_judge and self.judge.llm is None:
            raise ValueError("plan.coverage_judge needs a judge: set judge.llm")
        return self


def check(values: Any, source: str) -> Params:
    """Return `values` as Params.

    Raises:
        BadParams: a value is not allowed; names `source`, and for each bad key its value and what is allowed.
    """
    if not isinstance(values, dict):
        raise BadParams(f"{source}: a mapping of sections is needed, found {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
            if item["type"] == "extra_forbidden":
                lines.append(f"{key}: no such key; allowed here: {', '.join(_siblings(item['loc']))}")
                continue
            value = item.get("input")
            actual = "" if isinstance(value, dict) else f" (found {value!r})"
            lines.append(f"{key}: {item['msg']}{actual}")
        raise BadParams(f"{source}: " + "; ".join(lines)) from None


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed in place of the key at `location`."""
    section: type[Section] = Params
    for key in location[:-1]:
        annotation = keys(section).get(str(key))
        if annotation is None:  # a name in a mapping of sections, or an index in a list
            continue
        kinds = (annotation, *get_args(annotation))
        section = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section))
    return list(keys(section))


class _Loader(yaml.SafeLoader):
    """Reads YAML; a key that is twice in a mapping is an error, as it is to DVC, and not overwritten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise yaml.constructor.ConstructorError(
                "while reading a mapping",
                node.start_mark,
                f"found the key {repeated[0]!r} twice",
                node.start_mark,
            )
        return super().construct_mapping(node, deep)


def load(path: Path = Path("params.yaml")) -> Params:
    """Return the checked parameters of `path`.

    Raises:
        BadParams: the file is missing, is not valid YAML, or has a value that is not allowed.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise BadParams(f"{path} is missing: run from the top of the checkout") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is not valid YAML: {error}") from None
    return check(values, str(path))
