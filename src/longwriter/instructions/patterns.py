r"""Rules that are lists of patterns: which of them a prompt meets, many prompts at a time.

Patterns are RE2's, run by Arrow: time grows with the text alone, so that no prompt, and no pattern
that somebody adds, can hang a stage as a backtracking engine can be hung. `\b` knows ASCII only;
Chinese patterns do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from longwriter.errors import BadRecord

Rules = Mapping[str, Sequence[str]]
"""{name: patterns}, in the order in which they are asked."""


def first_hits(prompts: Sequence[str], rules: Rules) -> list[str | None]:
    """Return for each prompt the name of the first rule of which a pattern matches, or None.

    Case does not count.

    Raises:
        BadRecord: names the rule whose pattern RE2 cannot read.
    """
    found: list[str | None] = [None] * len(prompts)
    texts = pa.array(prompts, pa.large_string())
    for name, patterns in rules.items():
        pattern = "|".join(f"(?:{one})" for one in patterns)
        try:
            mask = pc.match_substring_regex(texts, pattern, ignore_case=True)
        except pa.ArrowInvalid as error:
            raise BadRecord(f"rule {name}: {error}") from None
        for at in pc.indices_nonzero(mask).to_pylist():
            found[at] = found[at] or name
    return found
