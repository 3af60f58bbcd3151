"""Escapes texts from prompts, answers and settings, so that pages, files and terminals show them but do not obey them.

One function for each place: `html` (Data Docs), `markdown` and `code_block` (reports, data card, notes of MLflow,
artifacts of Prefect), `csv_cell`, `terminal` (logs, command line); and `masked` for settings that may hold keys.

Pure.
"""

from __future__ import annotations

import html as _html
import re
from typing import Any

from longwriter.errors import without_password

MASK = "***"

# C0 and C1 controls without tab and line feed, and characters that reorder, hide or end lines of a terminal.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
_PLAIN_MARKDOWN = re.compile(r"[\w .,;:()/%+?'’“”、。，：（）§¦█=-]*")
_AUTOLINK = re.compile(r"://|www\.|mailto:|xmpp:", re.IGNORECASE)
_STARTS_BLOCK = re.compile(r"\s|[-+=]|\d{1,9}[.)]")  # list item, heading, rule
_UNDERLINED = re.compile(r"(?:^|\W)_")  # _emphasis_; an underscore inside a word is only text
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # Excel also reads the wide signs
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:(?:api|access|private|secret|subscription|account)?_?key|password|passwd|pwd|secret|credentials?"
    r"|auth|authorization|bearer|cookie|signature|(?<!eos_)(?<!bos_)(?<!pad_)(?<!unk_)token)(?:_value)?$"
)
_SECRET_VALUE = re.compile(
    r"(?:bearer|basic)\s|(?:sk|pk|rk)-\w|(?:hf|ghp|gho|glpat|xox[abp])[_-]\w|AKIA[A-Z0-9]{12}|eyJ\w+\.",
    re.IGNORECASE,
)


def terminal(text: str) -> str:
    r"""Return a text without characters that a terminal obeys: they are written as `\x1b` or `\u202e`.

    Tabs and line feeds stay. Colours, links, titles and cursor moves begin with ESC, so they show as text.
    """
    return _CONTROLS.sub(_escape, text)


def line(text: str) -> str:
    """Return a text as one line for a terminal: escaped by `terminal`, with one space for each run of white space."""
    return terminal(" ".join(text.split()))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def html(text: str) -> str:
    """Return a text as HTML that shows it: no tag, no attribute, no entity."""
    return _html.escape(terminal(text))


def markdown(text: str) -> str:
    """Return a text as one line of Markdown that shows it, also in a cell of a table.

    A text of words and common punctuation stays as it is. Any other becomes a code span, in which links,
    images, HTML and addresses are only text. A pipe becomes `¦`: renderers disagree on how to escape one.
    """
    content = line(text).replace("|", "¦")
    is_plain = _PLAIN_MARKDOWN.fullmatch(content) and not _UNDERLINED.search(content)
    if is_plain and not _AUTOLINK.search(content) and not _STARTS_BLOCK.match(content):
        return content
    fence = "`" * (1 + _longest_run(content))
    space = " " if content.startswith(("`", " ")) or content.endswith(("`", " ")) else ""
    return f"{fence}{space}{content}{space}{fence}"


def code_block(text: str, language: str = "") -> str:
    """Return lines as a fenced block of Markdown that no line of them can end."""
    fence = "`" * max(3, 1 + _longest_run(text))
    return f"{fence}{language}\n{terminal(text)}\n{fence}"


def _longest_run(text: str) -> int:
    """Return the length of the longest run of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)


def csv_cell(text: str) -> str:
    """Return a text as a cell of a CSV file that no spreadsheet runs as a formula; a number stays a number."""
    cell = terminal(text)
    if cell.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(cell):
        cell = f"'{cell}"
    if any(character in cell for character in ',;"\n\t'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def masked(value: Any, name: str = "") -> Any:
    """Return a JSON value of settings in which keys, tokens and passwords are replaced by `MASK`.

    A value is replaced if the name of its field says so (`api_key`, `X-Auth-Token`) or if it looks like a key
    (`Bearer …`); in a URL, only the login is replaced. Counts such as `max_tokens` stay.

    Args:
        value: Any JSON value.
        name: Name of the field that holds it; may be empty.
    """
    if isinstance(value, dict):
        return {key: masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, name) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name) or (isinstance(value, str) and _SECRET_VALUE.match(value.strip())):
        return MASK
    return without_password(value) if isinstance(value, str) else value


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a key, a token or a password; any style: `api_key`, `apiKey`, `API-Key`."""
    words = re.sub(r"[^a-z0-9]+", "_", _CAMEL.sub("_", name.rpartition(".")[2]).lower()).strip("_")
    return bool(_SECRET_NAME.search(words))
