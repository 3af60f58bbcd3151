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
import yaml

from longwriter.errors import BadRecord

Patterns = Mapping[str, Sequence[str]]
"""{name: patterns}, in the order in which they are tried."""


def read_patterns(path: Path) -> Patterns:
    """Return the patterns of a YAML file: {name: [patterns]}.

    Raises:
        BadRecord: it is missing, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} is no file of rules: {error}") from None
    is_valid = isinstance(content, dict) and all(
        isinstance(name, str)
        and isinstance(patterns, list)
        and all(isinstance(pattern, str) for pattern in patterns)
        for name, patterns in content.items()
    )
    if not is_valid:
        raise BadRecord(f"{path}: names with lists of patterns are needed")
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
