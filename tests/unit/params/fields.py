"""Every field of params.yaml, and params.yaml as text with the value of one field replaced."""

import json
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from longwriter import params
from longwriter.settings.allowed import members
from longwriter.settings.section import keys

BODY = {"min_p": 0.1}
LORA = {
    "rank": 16, "alpha": 32.0, "dropout": 0.05, "rank_stabilised": True, "targets": "all-linear",
    "full_layers": [], "quantised": False,
}  # fmt: skip
VLLM = {"tensor_parallel": 1, "data_parallel": 8, "memory_share": 0.9, "prefix_caching": True}
_ITEMS = {"compare.models": "sft", "benchmarks.files": "own"}


class Field(NamedTuple):
    """A field: its dotted key, its annotation with metadata for each member of a union, and its section."""

    key: str
    members: list[tuple[Any, tuple[Any, ...]]]
    section: type[BaseModel]
    name: str


def replace(values: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set the value of a dotted key, and return all values."""
    *sections, key = path.split(".")
    section = values
    for name in sections:
        section = section[name]
    section[key] = value
    return values


def committed() -> dict[str, Any]:
    """Return the committed values, with a section wherever one may be null, and a benchmark."""
    values = params.read()
    for section in ("llm", "serving"):
        values[section]["vllm"] = dict(VLLM)
    judges = (values[section]["judge"] for section in ("instructions", "plan", "preferences"))
    for section in (values["plan"], values["write"], *judges):
        section["llm"] = {**values["llm"], "extra_body": dict(BODY)}
    values["instructions"]["unstated"], values["preferences"]["quality_weight"] = "judge", 0.5
    for section in ("sft", "dpo"):
        values[section]["lora"] = dict(LORA)
    values["benchmarks"]["files"] = {"own": {"source": "https://host.example/own.jsonl", "sha256": "0" * 64}}
    values["base_model"]["rope_scaling"] = {"rope_type": "yarn", "factor": 4.0, "rope_theta": None}
    return values


def fields(section: type[BaseModel] = params.Params, prefix: str = "") -> list[Field]:
    """Return every field of the sections below a section; of a mapping of sections those of one item."""
    result = []
    for name, field in keys(section).items():
        key = f"{prefix}{name}"
        parts = members(field.annotation, tuple(field.metadata))
        result.append(Field(key, parts, section, name))
        for part, _ in parts:
            inner, below = (
                (get_args(part)[1], f"{_ITEMS.get(key, key)}.") if get_origin(part) is dict else (part, "")
            )
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                result += fields(inner, f"{key}.{below}")
    return result


def text_with(**written: str) -> tuple[str, dict[str, int]]:
    """Return params.yaml with these values, as written, and the line of each key."""
    lines = [
        (name, f"{line.partition(':')[0]}: {written[name]}" if name in written else line)
        for name, line in _LINES
        if not any(name.startswith(f"{key}.") for key in written)
    ]
    places = {name: place for place, (name, _) in enumerate(lines, 1)}
    return "\n".join(line for _, line in lines) + "\n", places


def _lines(values: dict[str, Any], prefix: str = "", indent: str = "") -> list[tuple[str, str]]:
    """Return the dotted key and the text of each line; lists stand on one line."""
    result = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            result.append((f"{prefix}{name}", f"{indent}{name}:"))
            result += _lines(value, f"{prefix}{name}.", f"{indent}  ")
        else:
            result.append((f"{prefix}{name}", f"{indent}{name}: {json.dumps(value)}"))
    return result


_LINES = _lines(committed())
