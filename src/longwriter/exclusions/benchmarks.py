"""Benchmarks: the files of generate.folder, and those that benchmarks.files names by URL or path.

No model may be trained on their prompts, not even on those of benchmarks that `generate.benchmarks` leaves out.
"""

from __future__ import annotations

from pathlib import Path

from longwriter.errors import BadParams, BadRecord, Unavailable
from longwriter.io import fetch, files
from longwriter.params import Params
from longwriter.schemas.contents import Unusable
from longwriter.sources import files as sources

_PATTERN = "**/*.jsonl"


def paths(params: Params) -> dict[str, Path]:
    """Return {name: file} of every benchmark that generate.benchmarks may name; fetch files that are not here yet.

    Raises:
        BadParams: a file of benchmarks.files is missing, has another hash, or has the name of a file in
            generate.folder; or generate.benchmarks names one that does not exist.
        Unavailable: a server does not answer now.
    """
    folder = params.generate.folder
    benchmarks = {path.stem: path for path in sorted(Path(folder).glob("*.jsonl"))}
    for name, file in params.benchmarks.files.items():
        key = f"benchmarks.files.{name}"
        if name in benchmarks:
            raise BadParams(f"{key}: {folder} has {name}.jsonl too: give one of them another name")
        benchmarks[name] = _file(file.source, file.sha256, key)
    for name in params.generate.benchmarks:
        if name not in benchmarks:
            raise BadParams(
                f"generate.benchmarks: found {name}; allowed: {', '.join(benchmarks)}, the files of generate.folder "
                "and of benchmarks.files"
            )
    return benchmarks


def reachable(params: Params) -> tuple[Params, list[str]]:
    """Return the parameters without the benchmarks whose server does not answer now, and their names.

    Raises:
        BadParams: as `paths`.
    """
    unreachable = []
    for name, file in params.benchmarks.files.items():
        try:
            _file(file.source, file.sha256, f"benchmarks.files.{name}")
        except Unavailable:
            unreachable.append(name)
    reachable_files = {
        name: file for name, file in params.benchmarks.files.items() if name not in unreachable
    }
    names = [name for name in params.generate.benchmarks if name not in unreachable]
    changes = {
        "benchmarks": params.benchmarks.model_copy(update={"files": reachable_files}),
        "generate": params.generate.model_copy(update={"benchmarks": names}),
    }
    return params.model_copy(update=changes), unreachable


def all_prompts(params: Params) -> list[str]:
    """Return the prompts of all benchmarks: of the files below generate.folder, of benchmarks.files, and the short ones.

    Raises:
        BadParams, Unavailable: as `paths`.
        BadRecord: there is no file, or a row has no prompt.
    """
    by_name = paths(params)
    return [
        *prompts(params.generate.folder),
        *(prompt for name in params.benchmarks.files for prompt in prompts(str(by_name[name]))),
        *prompts(params.short_prompts.source),
    ]


def prompts(source: str) -> list[str]:
    """Return the prompts of a JSON Lines file, or of all such files below a folder in the order of their names.

    Raises:
        BadRecord: there is no file, or a row has no prompt.
    """
    texts = []
    for chunk in sources.chunks(source, _PATTERN):
        for where, row in sources.rows(chunk):
            if isinstance(row, Unusable):
                raise BadRecord(f"{where} is no row of a benchmark: {row.detail}")
            texts.append(row.prompt)
    return texts


def _file(source: str, sha256: str | None, key: str) -> Path:
    """Return the file of a benchmark that is named by its URL or path, with its hash checked."""
    if "://" in source:
        return fetch.by_hash(source, sha256 or "", f"{key}.source")
    path = Path(source)
    if not path.is_file():
        raise BadParams(f"{key}.source: {source} is no file; allowed: a file, or https://HOST/FILE")
    if sha256 is not None and (actual := files.sha256(path)) != sha256:
        raise BadParams(
            f"{key}: {source} has sha256 {actual}, but {sha256} is expected: correct the hash if you trust the file"
        )
    return path
