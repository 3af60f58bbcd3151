"""`longwriter profile`: shows and applies named sets of values for params.yaml, infra/profiles/NAME.yaml.

A profile holds the keys that differ between profiles, under their sections. Every profile holds the
same keys, so that a profile overwrites every value of the profile that was applied before it.
"""

from __future__ import annotations

import io
import json
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from longwriter import params
from longwriter.cli import checkout
from longwriter.cli.checkout import PARAMS
from longwriter.errors import BadParams
from longwriter.settings import problems, yaml_file
from longwriter.settings.yaml_file import Document
from longwriter.text import inert

FOLDER = Path("infra/profiles")

app = typer.Typer(no_args_is_help=True, help="Show, compare and apply infra/profiles/NAME.yaml.")
Name = Annotated[
    str, typer.Argument(help="Profile in infra/profiles, or a file of your own such as mine.yaml")
]


@app.command()
def show(name: Name) -> None:
    """Print params.yaml as it would be under profile NAME.

    Example: longwriter profile show paper
    """
    typer.echo(applied(name), nl=False)


@app.command()
def diff(name: Name) -> None:
    """Print what profile NAME would change in params.yaml.

    Example: longwriter profile diff paper
    """
    after = applied(name)
    before = PARAMS.read_text(encoding="utf-8")
    lines = unified_diff(before.splitlines(), after.splitlines(), str(PARAMS), name, n=1, lineterm="")
    typer.echo("\n".join(lines) or f"{PARAMS} has every value of profile {name} already")


@app.command()
def apply(name: Name) -> None:
    """Write profile NAME into params.yaml; `git diff` shows the change, and DVC reads the new values.

    Example: longwriter profile apply paper
    """
    write(applied(name))
    typer.echo(f"{PARAMS} now follows profile {name}; `git diff {PARAMS}` shows what changed")


def _yaml() -> YAML:
    """Return a YAML reader that keeps comments, order and quotes."""
    codec = YAML()
    codec.preserve_quotes = True
    codec.indent(mapping=2, sequence=4, offset=2)
    codec.width = 110
    codec.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return codec


def names() -> list[str]:
    """Return the names of all profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _merge(base: Any, changes: Any) -> None:
    """Write the values of `changes` into `base`; a mapping that both have is merged key by key."""
    for key, value in changes.items():
        if isinstance(value, dict) and value and isinstance(base.get(key), dict) and base[key]:
            _merge(base[key], value)
        else:
            base[key] = value


def _read(path: Path) -> Document:
    """Return the values of a file of sections, with their lines."""
    document = yaml_file.read(path)
    problems.raise_problems(document)
    if not isinstance(document.values, dict):
        raise BadParams(f"{path}: found {yaml_file.display(document.values)}; allowed: a mapping of sections")
    return document


def _unshared(values: Any) -> Any:
    """Return a copy in which each value is independent, also where the file shares one by & and *."""
    return json.loads(json.dumps(values))


def write(text: str) -> None:
    """Replace params.yaml by a text; if this fails, the old file stays as it was."""
    part = PARAMS.with_suffix(".yaml.part")
    part.write_text(text, encoding="utf-8")
    part.replace(PARAMS)


def offer(changes: dict[str, Any], source: str, apply: bool, next_step: str) -> None:
    """Print what values would change in params.yaml; write them if `apply` is on, and name the next step.

    Raises:
        BadParams: as `changed`.
    """
    text = changed(changes, source)
    before = PARAMS.read_text(encoding="utf-8")
    lines = unified_diff(before.splitlines(), text.splitlines(), str(PARAMS), source, n=0, lineterm="")
    if text == before:
        typer.echo(f"{PARAMS} has these values already. Next: {next_step}")
        return
    typer.echo(inert.terminal("\n".join(lines)))
    if apply:
        write(text)
        typer.echo(f"\n{PARAMS} is written. Next: {next_step}")
    else:
        typer.echo("\nNothing is written yet: run it again with --apply")


def checked(changes: dict[str, Any]) -> params.Params:
    """Return params.yaml with these values changed, checked; nothing is written.

    Raises:
        BadParams: a value is not allowed.
    """
    base = _read(PARAMS)
    merged = Document(str(PARAMS), _unshared(base.values), base.places)
    _merge(merged.values, changes)
    return params.complete(merged)


def changed(changes: dict[str, Any], source: str) -> str:
    """Return the text of params.yaml with these values changed; comments and order stay.

    Raises:
        BadParams: a value is not allowed, or shares its place with another one by & and *.
    """
    values = checked(changes).model_dump(by_alias=True)
    content = _yaml().load(PARAMS.read_text(encoding="utf-8"))
    _merge(content, changes)
    out = io.StringIO()
    _yaml().dump(content, out)
    if (
        params.check(yaml_file.parse(out.getvalue(), str(PARAMS)).values, source).model_dump(by_alias=True)
        != values
    ):
        raise BadParams(
            f"{PARAMS} shares values by & and *, and {source} changes one of them: write each value in full"
        )
    return out.getvalue()


def applied(name: str) -> str:
    """Return the text of params.yaml under a profile, or with the values of a file (`mine.yaml`); comments and order stay.

    Raises:
        BadParams: this is no checkout, there is no such profile, or its values are not allowed.
    """
    checkout.require()
    is_file = name.endswith(".yaml")
    path = Path(name) if is_file else FOLDER / f"{name}.yaml"
    if not (path.is_file() if is_file else name in names()):
        profiles = ", ".join(names())
        raise BadParams(
            f"no profile {name!r} in {FOLDER}; there are {profiles}; a file of your own ends with .yaml"
        )
    base, profile = _read(PARAMS), _read(path)
    merged = Document(f"{PARAMS} with {path}", _unshared(base.values), base.places | profile.places)
    _merge(merged.values, profile.values)
    params.complete(merged)
    content = _yaml().load(PARAMS.read_text(encoding="utf-8"))
    _merge(content, _yaml().load(path.read_text(encoding="utf-8")))
    out = io.StringIO()
    _yaml().dump(content, out)
    if yaml_file.parse(out.getvalue(), str(PARAMS)).values != merged.values:
        raise BadParams(
            f"{PARAMS} shares values by & and *, and {path} changes one of them: write each value in full"
        )
    return out.getvalue()
