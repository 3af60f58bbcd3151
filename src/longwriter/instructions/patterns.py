r"""Named lists of patterns, for harm and for types: which of them matches a prompt, many prompts at a time.

Patterns are RE2's, run by Arrow: time grows only with the length of the text, so that neither a prompt
nor a new pattern can hang a stage, as it could with a backtracking engine. `\b` knows ASCII only;
Chinese patterns do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from longwriter.errors import BadParams, BadRecord
from longwriter.params import problems, yaml_file

Patterns = Mapping[str, Sequence[str]]
"""{name: patterns}, in the order in which they are tried."""


def read_patterns(path: Path) -> Patterns:
    """Return the patterns of a YAML file: {name: [patterns]}.

    Raises:
        BadParams: it is missing, is not valid YAML, or holds something else.
    """
    document = yaml_file.read(path)
    problems.raise_problems(document)
    content = document.values
    is_valid = isinstance(content, dict) and all(
        isinstance(patterns, list)
        and patterns
        and all(isinstance(pattern, str) and pattern for pattern in patterns)
        for patterns in content.values()
    )
    if not is_valid:
        raise BadParams(
            f"{path}: found {yaml_file.shown(content)}; allowed: names, each with a list of patterns"
        )
    return dict(content)


def first_matches(prompts: Sequence[str], patterns: Patterns) -> list[str | None]:
    """Return for each prompt the first name of which a pattern matches, or None; case does not count.

    Raises:
        BadRecord: names the list whose pattern RE2 cannot read.
    """
    matches: list[str | None] = [None] * len(prompts)
    texts = pa.array(prompts, pa.large_string())
    for name, alternatives in patterns.items():
        combined = "|".join(f"(?:{pattern})" for pattern in alternatives)
        try:
            mask = pc.match_substring_regex(texts, combined, ignore_case=True)
        except pa.ArrowInvalid as error:
            raise BadRecord(f"rule {name}: {error}") from None
        for place in pc.indices_nonzero(mask).to_pylist():
            matches[place] = matches[place] or name
    return matches
