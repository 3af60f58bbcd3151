r"""Named lists of patterns, for harm and for types, and which list matches which prompt.

Arrow runs the patterns with the engine RE2, on many prompts at once. The time of RE2 grows linearly with
the text, so no prompt and no new pattern can make a stage hang. In RE2 `\b` works for ASCII letters only;
patterns for Chinese text do not use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from longwriter.errors import BadParams, BadRecord
from longwriter.settings import problems, yaml_file

Patterns = Mapping[str, Sequence[str]]
"""{name: patterns}; the first name with a match counts."""


def read_patterns(path: Path) -> Patterns:
    """Return the patterns of a YAML file: {name: [patterns]}.

    Raises:
        BadParams: the file is missing, is not valid YAML, or has another structure.
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
            f"{path}: found {yaml_file.display(content)}; allowed: names, each with a list of patterns"
        )
    return dict(content)


def first_matches(prompts: Sequence[str], patterns: Patterns) -> list[str | None]:
    """Return for each prompt the first name in `patterns` with a match, or None; case is ignored.

    Raises:
        BadRecord: RE2 cannot read a pattern; the message shows its name and the pattern.
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
