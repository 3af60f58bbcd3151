"""Logs what a source holds: format and schema of its files, with three rows as examples."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

from longwriter.schemas import rows
from longwriter.schemas.contents import Unusable
from longwriter.sources import files

log = logging.getLogger(__name__)

_EXAMPLES = 3
_EXAMPLE_CHARS = 80
_SCHEMAS = 10  # so that a source with many schemas does not fill the log


def logged(chunks: Iterator[files.Chunk]) -> Iterator[files.Chunk]:
    """Yield the chunks unchanged; log format, columns and three rows of the first file of each schema."""
    last, schemas = "", set[tuple[str, ...]]()
    for chunk in chunks:
        if chunk.where != last and len(schemas) < _SCHEMAS:
            last = chunk.where
            examples = list(islice(files.decoded(chunk), _EXAMPLES))
            schema = (chunk.format, *dict.fromkeys(_schema(value) for _, value in examples))
            if schema not in schemas:
                schemas.add(schema)
                log.info("%s: %s; instruction from: %s", inert(chunk.where), schema[0], "; ".join(schema[1:]))
                for origin, value in examples:
                    log.info("  %s: %s", inert(origin), _example(value))
        yield chunk


def _schema(value: object) -> str:
    return inert("no row" if isinstance(value, Unusable) else rows.schema(value))


def _example(value: object) -> str:
    """Return the instruction of a row, shortened, or why it has none."""
    row = value if isinstance(value, Unusable) else rows.parse(value)
    if isinstance(row, Unusable):
        return inert(f"{row.reason}: {row.detail}"[:200])
    text = row.prompt[:_EXAMPLE_CHARS]
    return f'"{inert(text)}{"…" if len(row.prompt) > len(text) else ""}"'


def inert(text: str) -> str:
    r"""Return a text whose line ends, control and direction characters are written out, such as `\x1b`."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
