"""Profiles: named sets of values for params.yaml, in infra/profiles/NAME.yaml.

A profile holds the keys that differ between profiles, under their sections; every profile holds
the same keys, so that applying one after another leaves nothing of the first behind.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from longwriter import params
from longwriter.errors import BadParams

FOLDER = Path("infra/profiles")
PARAMS = Path("params.yaml")


def _yaml() -> YAML:
    """Return a YAML reader that keeps comments, order and quotes."""
    codec = YAML()
    codec.preserve_quotes = True
    codec.indent(mapping=2, sequence=4, offset=2)
    codec.width = 110
    codec.representer.add_representer(
        type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return codec


def _read(path: Path) -> Any:
    try:
        return _yaml().load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is no YAML: {error}") from None


def names() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _merge(base: Any, over: Any, where: str) -> None:
    """Write the values of `over` into `base`; a key that `base` lacks is an error."""
    for key, value in over.items():
        if key not in base:
            raise BadParams(f"{where}{key} is no key of {PARAMS}; allowed here: {', '.join(base)}")
        if isinstance(value, dict) and value and isinstance(base[key], dict) and base[key]:
            _merge(base[key], value, f"{where}{key}.")
        else:
            base[key] = value


def applied(name: str) -> str:
    """Return the text of params.yaml under profile `name`, checked.

    Raises:
        BadParams: no such profile, or it does not fit.
    """
    if name not in names():
        raise BadParams(f"no profile {name!r} in {FOLDER}; there are {', '.join(names())}")
    path = FOLDER / f"{name}.yaml"
    values = _read(PARAMS)
    _merge(values, _read(path), f"{path}: ")
    out = io.StringIO()
    _yaml().dump(values, out)
    params.check(yaml.safe_load(out.getvalue()), f"{PARAMS} with {path}")
    return out.getvalue()


def apply(name: str) -> None:
    """Write profile `name` into params.yaml, whole or not at all."""
    text = applied(name)
    part = PARAMS.with_suffix(".yaml.part")
    part.write_text(text, encoding="utf-8")
    part.replace(PARAMS)
