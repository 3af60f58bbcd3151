"""Conversion of a Hugging Face folder to GGUF, for OpenVINO and llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from longwriter.errors import ModelUnusable
from longwriter.io.files import CHAT_CHANGES

CONVERTER = 1
"""Version of the files that `to_gguf` writes. Raise it whenever their content changes. Then no file of an older
converter is served, and no answer from such a file is replayed."""

_STORED = ("F32", "F16", "BF16")


def _permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorder a q or k projection from Hugging Face's rotary layout to llama.cpp's."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _end_of_turn(weights: Path) -> int | None:
    """Return the id of the token that ends an answer, if it is another one than in the base model's source."""
    changes = weights / CHAT_CHANGES
    if not changes.is_file() or "end_of_turn" not in json.loads(changes.read_text(encoding="utf-8")):
        return None
    stops = json.loads((weights / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    return int(stops[0] if isinstance(stops, list) else stops)


def _copy_metadata(reader: Any, writer: Any, skipped: Collection[str]) -> None:
    """Copy the metadata of a GGUF, which include its tokenizer, without the `skipped` keys."""
    from gguf import GGUFValueType

    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in skipped:
            is_array = field.types[0] == GGUFValueType.ARRAY
            sub_type = field.types[-1] if is_array else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub_type)


def to_gguf(template: Path, weights: Path, out: Path, quantisation: str = "F16") -> None:
    """Write Hugging Face weights as GGUF, with metadata and tokenizer of `template`.

    Training changes neither architecture nor tokenizer, so both are taken from the base model's GGUF; only the
    token that ends an answer is that of `weights`.

    Args:
        template: GGUF of the base model; architecture `llama`.
        weights: Folder with `*.safetensors` of the same architecture.
        out: The file to write; it appears when it is complete.
        quantisation: `F16`, `BF16` or `Q8_0`, for matrices; vectors stay float32.

    Raises:
        ModelUnusable: another architecture or number type, or the tensors do not match the template's.
    """
    import gguf
    from gguf.utility import SafetensorsLocal

    from longwriter.models.base.gguf_file import GGUFFile

    reader = GGUFFile(template)
    arch = str(reader.fields["general.architecture"].contents())
    if arch != "llama":
        raise ModelUnusable(
            f"{template} is of architecture {arch}; only llama is converted: set llm.precision to null, "
            "or use engine external"
        )
    heads = int(reader.fields["llama.attention.head_count"].contents())
    kv_heads = int(reader.fields["llama.attention.head_count_kv"].contents())
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH.LLAMA, int(reader.fields["llama.block_count"].contents())
    )
    kind = gguf.GGMLQuantizationType[quantisation]
    part = out.with_suffix(".part")
    writer = gguf.GGUFWriter(part, arch)
    end = _end_of_turn(weights)
    if end is not None:
        writer.add_eos_token_id(end)
    own = (
        "general.architecture",
        "general.file_type",
        *(() if end is None else ("tokenizer.ggml.eos_token_id",)),
    )
    _copy_metadata(reader, writer, own)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{quantisation}"])
    shapes = {tensor.name: tuple(int(n) for n in reversed(tensor.shape)) for tensor in reader.tensors}
    names_written: set[str] = set()
    for file in sorted(weights.glob("*.safetensors")):
        with SafetensorsLocal(file) as tensors:  # not safe_open: it imports PyTorch, in 1.3 CPU seconds
            for name, tensor in tensors.items():
                if tensor.dtype not in _STORED:
                    raise ModelUnusable(f"{file}: {name} is {tensor.dtype}; allowed: {', '.join(_STORED)}")
                stored = gguf.GGMLQuantizationType[tensor.dtype]
                rows = gguf.quants.dequantize(np.asarray(tensor.mmap_bytes()), stored).reshape(tensor.shape)
                if not np.isfinite(rows).all():
                    raise ModelUnusable(
                        f"{file}: {name} holds a value that is no number (NaN or infinity), so the model cannot "
                        "answer: make these weights again"
                    )
                if name.endswith(("q_proj.weight", "k_proj.weight")):
                    rows = _permute(rows, heads if name.endswith("q_proj.weight") else kv_heads)
                new = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if shapes.get(new or "") != rows.shape:
                    raise ModelUnusable(
                        f"{file}: {name} has the shape {rows.shape}, but {shapes.get(new or '', 'no such tensor')} "
                        f"in {template}: these weights are not of the base model that the template was made from; "
                        "use serving.engine vllm for them"
                    )
                names_written.add(new)
                if rows.ndim == 1:
                    writer.add_tensor(new, rows)
                else:
                    writer.add_tensor(new, gguf.quants.quantize(rows, kind), raw_dtype=kind)
    if missing := shapes.keys() - names_written:
        raise ModelUnusable(
            f"{weights} lacks {', '.join(sorted(missing)[:5])}, which {template} has: the weights are not complete, "
            "or not of that base model; make them again, or use serving.engine vllm"
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(out)
