"""A data set of the Hugging Face hub, streamed at a pinned revision.

DVC cannot watch the hub, so the revision stands in the parameter: a new one makes the stage stale, and
the same one is the same rows. A token for gated sets comes from the environment (HF_TOKEN).
"""

from __future__ import annotations

from collections.abc import Iterator

from longwriter.errors import BadRecord, Unavailable
from longwriter.instructions.sources.files import Chunk, of_dataset


def chunks(name: str) -> Iterator[Chunk]:
    """Yield the rows of all splits of `OWNER/NAME@REVISION`.

    Raises:
        BadRecord: there is no such set or revision, or it may not be read.
        Unavailable: the hub cannot be reached.
    """
    import datasets  # takes seconds, and most sources are files

    repository, _, revision = name.partition("@")
    try:
        splits = datasets.load_dataset(repository, revision=revision, streaming=True)
        for split in sorted(splits):
            yield from of_dataset(f"hub:{name}/{split}", splits[split])
    except (datasets.exceptions.DatasetsError, ValueError) as error:
        raise BadRecord(
            f"hub:{name}: {error}: check name and revision, and HF_TOKEN for gated sets"
        ) from None
    except OSError as error:
        raise Unavailable(
            f"hub:{name} cannot be reached ({error}). Where this machine has no way to huggingface.co, "
            "download the set elsewhere, let instructions.source name its folder and set instructions.hub to null"
        ) from None
