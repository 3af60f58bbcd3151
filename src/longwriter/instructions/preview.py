"""What the stage `instructions` would choose from a source: its funnel, without LLM calls and without output.

A prompt that states no length counts as chosen where the judge would be asked.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from longwriter.exclusions import benchmarks
from longwriter.instructions import candidates, funnel, selection
from longwriter.params import Params


class Preview(NamedTuple):
    """The steps of the funnel, the chosen rows, and the lengths in words that these state."""

    steps: list[funnel.Step]
    chosen: int
    stated: list[int]


def preview(params: Params) -> Preview:
    """Return what would be chosen from `instructions.source`.

    Raises:
        BadRecord: the source or the patterns cannot be read, or too many rows are malformed.
    """
    own = params.instructions
    params, _ = benchmarks.reachable(params)  # the stage fetches them, or fails
    limits = candidates.screening_limits(own, benchmarks.all_prompts(params))
    with (
        Path(os.devnull).open("wb") as rejected,
        candidates.screen_sources(candidates.source_chunks(own), limits, rejected) as pool,
    ):
        pool.check_malformed(own.max_malformed_share, own.source)
        codes = candidates.decide(pool, own).codes
        places = candidates.select(pool, codes, own)
        over_limit = codes == 0
        over_limit[places] = False
        codes[over_limit] = selection.REASON_CODE["over_limit"]
        later = {selection.REASONS[code]: int(n) for code, n in enumerate(np.bincount(codes)) if code and n}
        stated = [words for place in places if (words := pool[int(place)].required_words) is not None]
        return Preview(funnel.funnel(pool.rows(), pool.reasons + Counter(later)), len(places), stated)
