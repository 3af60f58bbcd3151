"""Agreement of raters, by Krippendorff's alpha. Pure.

1 = all raters agree, 0 = as much as by chance; below 0.67 alpha is usually not accepted, above 0.8 it is good.
Source: Krippendorff, Content Analysis (2004), chapter 11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import krippendorff
import numpy as np

_DIGITS = 4


def alpha(units: Sequence[Sequence[float | None]], level: str = "interval") -> float | None:
    """Return Krippendorff's alpha.

    Args:
        units: The ratings of each unit by all raters, in the same order of raters; None = not rated.
        level: `nominal`, `ordinal` or `interval`.

    Returns:
        Alpha; None if it is not defined: fewer than two units have two ratings, or all ratings are the same.
    """
    rated = [unit for unit in units if sum(value is not None for value in unit) > 1]
    values = {value for unit in rated for value in unit if value is not None}
    if len(rated) < 2 or len(values) < 2:
        return None
    data = np.array(
        [
            [math.nan if value is None else float(value) for value in rater]
            for rater in zip(*rated, strict=True)
        ]
    )
    return round(float(krippendorff.alpha(reliability_data=data, level_of_measurement=level)), _DIGITS)
