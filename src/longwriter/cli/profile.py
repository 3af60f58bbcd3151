"""`longwriter profile`: shows and applies named sets of values for params.yaml, infra/profiles/NAME.yaml.

A profile holds the keys that differ between profiles, under their sections. Every profile holds the
same keys, so that a profile overwrites every value of the profile that was applied before it.
"""

from __future__ import annotations

import io
from difflib import unified_diff
from pathlib import Path
from typing import Any

import typer
import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from longwriter import params
from longwriter.cli import checkout
from longwriter.cli.checkout import PARAMS
from longwriter.errors import BadParams

FOLDER = Path("infra/profiles")

app = typer.Typer(no_args_is_help=True, help="Show, compare and apply infra/profiles/NAME.yaml.")


@app.command()
def show(name: str) -> None:
    """Print params.yaml as it would be under profile NAME."""
    typer.echo(applied(name), nl=False)


@app.command()
def diff(name: str) -> None:
    """Print what profile NAME would change in params.yaml."""
    after = applied(name)
    before = PARAMS.read_text(encoding="utf-8")
    lines = unified_diff(before.splitlines(), after.splitlines(), str(PARAMS), name, n=1, lineterm="")
    typer.echo("\n".join(lines) or f"{PARAMS} has every value of profile {name} already")


@app.command()
def apply(name: str) -> None:
    """Write profile NAME into params.yaml; `git diff` shows the change, and DVC reads the new values."""
    text = applied(name)
    part = PARAMS.with_suffix(".yaml.part")
    part.write_text(text, encoding="utf-8")
    part.replace(PARAMS)
    typer.echo(f"{PARAMS} now follows profile {name}; `git diff {PARAMS}` shows what changed")


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
        raise BadParams(f"{path} is not valid YAML: {error}") from None


def names() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _merge(base: Any, changes: Any, where: str) -> None:
    """Write the values of `changes` into `base`; a key that `base` lacks is an error."""
    for key, value in changes.items():
        if key not in base:
            raise BadParams(f"{where}{key} is not a key of {PARAMS}; allowed here: {', '.join(base)}")
        if isinstance(value, dict) and value and isinstance(base[key], dict) and base[key]:
            _merge(base[key], value, f"{where}{key}.")
        else:
            base[key] = value


def applied(name: str) -> str:
    """Return the text of params.yaml under profile `name`; comments and order stay.

    Raises:
        BadParams: this is no checkout, there is no such profile, or its values are not allowed.
    """
    checkout.require()
    if name not in names():
        raise BadParams(f"no profile {name!r} in {FOLDER}; there are {', '.join(names())}")
    path = FOLDER / f"{name}.yaml"
    values = _read(PARAMS)
    _merge(values, _read(path), f"{path}: ")
    out = io.StringIO()
    _yaml().dump(values, out)
    params.check(yaml.safe_load(out.getvalue()), f"{PARAMS} with {path}")
    return out.getvalue()
