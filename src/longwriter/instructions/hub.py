"""A data set of the Hugging Face hub, read as a stream at a fixed revision.

DVC cannot watch the hub. The parameter therefore names the revision: a new revision makes the stage stale,
and one revision always has the same rows. The environment variable HF_TOKEN gives access to gated data sets.
"""

from __future__ import annotations

from collections.abc import Iterator

from longwriter.errors import BadRecord, Unavailable
from longwriter.sources.files import Chunk, of_dataset


def chunks(name: str) -> Iterator[Chunk]:
    """Yield the rows of all splits of `OWNER/NAME@REVISION`.

    Raises:
        BadRecord: the data set or the revision does not exist, or the token gives no access to it.
        Unavailable: the hub does not answer.
    """
    import datasets  # takes seconds, and few sources are on the hub

    repository, _, revision = name.partition("@")
    try:
        splits = datasets.load_dataset(repository, revision=revision, streaming=True)
        for split in sorted(splits):
            yield from of_dataset(f"hub:{name}/{split}", splits[split])
    except (datasets.exceptions.DatasetsError, ValueError) as error:
        raise BadRecord(
            f"instructions.hub {name} cannot be read: {_line(error)}: check the name and the revision; "
            "a gated data set needs HF_TOKEN"
        ) from None
    except OSError as error:
        raise Unavailable(
            f"instructions.hub {name}: no answer from the hub ({_line(error)}): run the stage again; without "
            "access to huggingface.co, download the data set on another machine, name its folder in "
            "instructions.source and set instructions.hub to null"
        ) from None


def _line(error: Exception) -> str:
    """Return the message of an error as one line."""
    return " ".join(str(error).split())[:400]
