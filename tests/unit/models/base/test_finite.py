"""Weights that are no numbers are found before a stage is paid for."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from longwriter.errors import ModelUnusable
from longwriter.models import gguf_converter
from longwriter.models.base import finite, weights

NAME = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_one_value_that_is_no_number_is_found_in_each_type(tmp_path, dtype):
    for value in (0.0, -0.0, 1.0, torch.finfo(dtype).max, torch.finfo(dtype).tiny, torch.finfo(dtype).min):
        save_file({"a": torch.tensor([[1.0, value]], dtype=dtype)}, tmp_path / "m.safetensors")
        finite.check(tmp_path)
    for value in (float("nan"), float("inf"), -float("inf")):
        save_file({"a": torch.tensor([[1.0, value]], dtype=dtype)}, tmp_path / "m.safetensors")
        with pytest.raises(ModelUnusable, match=r"m\.safetensors: a holds a value that is no number"):
            finite.check(tmp_path)


def test_whole_numbers_have_no_such_value(tmp_path):
    save_file({"a": torch.tensor([-1, 2**31 - 1], dtype=torch.int32)}, tmp_path / "m.safetensors")
    finite.check(tmp_path)


def test_such_weights_are_no_base_model_and_are_not_served(tiny_model, tmp_path):
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(tiny_model, source)
    made.mkdir()
    tensors = load_file(source / "model.safetensors")
    tensors[NAME][0, 0] = float("nan")
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    message = f"{NAME} holds a value that is no number"
    with pytest.raises(ModelUnusable, match=message):
        weights.resolve(f"path:{source}", None, "float32", made, tmp_path)
    with pytest.raises(ModelUnusable, match=message):
        gguf_converter.to_gguf(source / "model.gguf", source, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()
