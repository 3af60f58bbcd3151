"""Which instructions the params choose from their sources, before a judge is asked.

The stage `instructions` and `longwriter estimate` read and measure the rows here, and so choose alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from longwriter.instructions import benchmarks, duplicates, hub, sources
from longwriter.instructions import candidates as sifting
from longwriter.instructions import quotas as select
from longwriter.instructions import screening as sift
from longwriter.instructions import selection as winnow
from longwriter.params import InstructionsParams, Params
from longwriter.records import Instruction
from longwriter.text import decontamination


class Fates(NamedTuple):
    """What is decided of the candidates, each of shape (n,).

    `fates`: places in `winnow.REASONS`; `repeats` and `shares`: what each nearly repeats, or -1, and how
    nearly; `unstated`: whose prompt states no length.
    """

    fates: winnow.Fates
    repeats: duplicates.Places
    shares: npt.NDArray[np.float64]
    unstated: npt.NDArray[np.bool_]


def bar(p: InstructionsParams, benchmark: Sequence[str]) -> sift.Bar:
    """Return what a row is measured against; it may repeat no prompt of `benchmark`."""
    return sift.Bar(
        languages=p.languages,
        max_chars=p.max_chars,
        max_required_words=p.max_required_words,
        harm=sifting.read_rules(Path(p.rules) / "harm.yaml"),
        types=sifting.read_rules(Path(p.rules) / "types.yaml"),
        benchmarks=decontamination.index(benchmark),
        prompt_words=(p.gate.min_prompt_words, p.gate.max_prompt_words),
    )


def chunks(p: InstructionsParams) -> Iterator[sources.Chunk]:
    """Return all rows of the sources, those of the hub last."""
    local = sources.chunks(p.source, p.pattern)
    return chain(local, hub.chunks(p.hub)) if p.hub else local


def fates_of(found: sifting.Candidates, p: InstructionsParams) -> Fates:
    """Return the fates of candidates, as far as they are decided without judge and choice."""
    fates, repeats, shares = winnow.repeated(found.ids(), found.signatures(), found.hits, p.near_duplicate)
    unstated = np.array([cell[2] == select.UNSTATED for cell in found.cells], bool)[found.cell_places()]
    if p.unstated == "drop":
        fates[(fates == 0) & unstated] = winnow.FATE["not_stated"]
    return Fates(fates, repeats, shares, unstated)


def choice(found: sifting.Candidates, fates: winnow.Fates, p: InstructionsParams) -> duplicates.Places:
    """Return the candidates that are chosen among those with fate 0, in the order of their ids."""
    ids, cells, names = found.ids(), found.cell_places(), list(found.cells)
    return winnow.choice(ids, cells, names, fates, p.balance, p.limit, p.seed)


def chosen(params: Params) -> list[Instruction]:
    """Return what the stage would choose now if a judge, where one is asked, said yes to every prompt.

    Raises:
        BadRecord: a source or the rules cannot be read, or too many rows are malformed.
    """
    p = params.instructions
    limits = bar(p, benchmarks.prompts(params.generate.folder))
    with Path(os.devnull).open("wb") as nowhere, sifting.sifted(chunks(p), limits, nowhere) as found:
        sifting.check_malformed(found, p.max_malformed_share, p.source)
        return [found[int(at)] for at in choice(found, fates_of(found, p).fates, p)]
