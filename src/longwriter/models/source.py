"""Looks up a base model before its weights are fetched: config, licence, and whether its version is pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml

from longwriter.errors import ModelUnusable
from longwriter.models.base import weights


class Source(NamedTuple):
    """What is known about a base model before it is fetched."""

    config: Path | None
    """Its config.json; None = not known."""
    licence: str | None
    """As its model card names it; None = not known."""
    commit: str | None
    """Commit of a hub repository; None = not known, or no repository."""
    reason: str
    """Why its config is not known; empty if it is."""


def is_pinned(source: str) -> bool:
    """Tell whether a source always means the same weights: a commit of the hub, a wheel, a folder."""
    match = weights.HUB.match(source)
    return match is None or re.fullmatch("[0-9a-f]{40}", match["revision"] or "") is not None


def look(source: str) -> Source:
    """Return what is known of a source without its weights; the hub is asked for config and card of `hub:`.

    Raises:
        ModelUnusable: the hub has no such repository or revision, or does not show it without a token.
    """
    if match := weights.HUB.match(source):
        return _look_at_hub(match["repo"], match["revision"])
    if not source.startswith("path:"):
        return Source(None, None, None, "the GGUF is not fetched yet")
    folder = Path(source.removeprefix("path:"))
    config = folder / "config.json"
    if config.is_file():
        return Source(config, _licence(folder / "README.md"), None, "")
    return Source(None, None, None, f"{config} is missing")


def _licence(card: Path) -> str | None:
    from huggingface_hub import ModelCard

    try:
        licence = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict().get("license")
    except (OSError, ValueError, TypeError, yaml.YAMLError):
        return None
    return str(licence)[:60] if licence else None


def _look_at_hub(repo: str, revision: str | None) -> Source:
    from huggingface_hub import constants, errors, hf_hub_download

    try:
        config = Path(hf_hub_download(repo, "config.json", revision=revision))
    except errors.LocalEntryNotFoundError:  # a subclass of an error below, so it comes first
        return Source(None, None, None, f"the hub cannot be reached at {constants.ENDPOINT}")
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise ModelUnusable(weights.no_repository(repo, revision, error)) from None
    except (errors.HfHubHTTPError, OSError) as error:
        return Source(None, None, None, f"the hub cannot be reached ({_first_line(error)})")
    try:
        licence = _licence(Path(hf_hub_download(repo, "README.md", revision=revision)))
    except (errors.HfHubHTTPError, errors.EntryNotFoundError, OSError):
        licence = None
    return Source(config, licence, config.parent.name, "")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
