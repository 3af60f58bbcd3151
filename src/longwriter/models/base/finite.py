"""Looks for weights that are no numbers (NaN, infinity): a model with one of them answers nothing useful."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from longwriter.errors import ModelUnusable

_EXPONENTS = {
    "F64": ("<u8", 0x7FF << 52),
    "F32": ("<u4", 0xFF << 23),
    "BF16": ("<u2", 0x7F80),
    "F16": ("<u2", 0x7C00),
}
"""Type of the bits, and the exponent that only NaN and infinity have; NumPy has no bfloat16."""
_PART = 2**22  # values looked at in one step


def check(folder: Path) -> None:
    """Return if all weights in the safetensors of a folder are finite numbers.

    Raises:
        ModelUnusable: a tensor holds NaN or infinity.
    """
    from gguf.utility import SafetensorsLocal

    for file in sorted(folder.glob("*.safetensors")):
        with SafetensorsLocal(file) as tensors:  # not safe_open: it imports PyTorch
            for name, tensor in tensors.items():
                if tensor.dtype in _EXPONENTS and not _is_finite(
                    np.asarray(tensor.mmap_bytes()), tensor.dtype
                ):
                    raise ModelUnusable(
                        f"{file}: {name} holds a value that is no number (NaN or infinity), so the model cannot "
                        "answer: get the weights again, or train with a lower learning rate"
                    )


def _is_finite(content: np.ndarray, dtype: str) -> bool:
    kind, exponent = _EXPONENTS[dtype]
    bits = content.view(kind)
    return all(
        not np.any((bits[start : start + _PART] & exponent) == exponent)
        for start in range(0, len(bits), _PART)
    )
