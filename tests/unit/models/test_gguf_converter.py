import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longwriter.errors import ModelUnusable
from longwriter.models import gguf_converter


def test_trained_weights_become_a_gguf_with_the_templates_names(tiny_model, tmp_path):
    gguf_converter.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "out.gguf", "F16")
    old = {t.name: t for t in gguf.GGUFReader(tiny_model / "model.gguf").tensors}
    new = {t.name: t for t in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    assert old.keys() == new.keys()
    for name, tensor in new.items():
        np.testing.assert_allclose(
            np.asarray(tensor.data, dtype=np.float32).ravel(),
            gguf.quants.dequantize(old[name].data, old[name].tensor_type).ravel(),
            atol=1e-3,
        )


def test_weights_that_lack_a_tensor_are_refused(tiny_model, tmp_path):
    tensors = load_file(tiny_model / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"output_norm\.weight"):
        gguf_converter.to_gguf(tiny_model / "model.gguf", tmp_path, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def tensors_of(path):
    reader = gguf.GGUFReader(path)
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}


def test_rotary_halves_are_interleaved_and_all_else_is_copied(tiny_model, tmp_path):
    gguf_converter.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "out.gguf", "F16")
    new, old = tensors_of(tmp_path / "out.gguf"), load_file(tiny_model / "model.safetensors")
    assert len(new) == len(old) == 3 + 2 * 9
    for name, heads in (("q", 4), ("k", 2)):
        rows = old[f"model.layers.1.self_attn.{name}_proj.weight"].numpy()
        half = rows.shape[0] // heads // 2
        order = [h * 2 * half + i + side for h in range(heads) for i in range(half) for side in (0, half)]
        assert order[:4] == [0, half, 1, half + 1]
        np.testing.assert_array_equal(new[f"blk.1.attn_{name}.weight"], rows[order].astype(np.float16))
    for there, here in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output.weight", "lm_head.weight"),
        ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
        ("blk.0.ffn_down.weight", "model.layers.0.mlp.down_proj.weight"),
    ):
        np.testing.assert_array_equal(new[there], old[here].numpy().astype(np.float16))
    np.testing.assert_array_equal(new["output_norm.weight"], old["model.norm.weight"].numpy())


@pytest.mark.parametrize(("kind", "error"), [("BF16", 2**-8), ("Q8_0", 2**-7)])
def test_other_types_hold_matrices_nearly_and_vectors_exactly(tiny_model, tmp_path, kind, error):
    gguf_converter.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "out.gguf", kind)
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    types = {t.name: t.tensor_type.name for t in reader.tensors}
    assert (types["output.weight"], types["output_norm.weight"]) == (kind, "F32")
    old, new = tensors_of(tiny_model / "model.gguf"), tensors_of(tmp_path / "out.gguf")
    for name, rows in old.items():
        np.testing.assert_allclose(new[name], rows, atol=error * np.abs(rows).max())


def test_metadata_and_tokenizer_are_the_templates(tiny_model, tmp_path):
    gguf_converter.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "out.gguf")
    old, new = (gguf.GGUFReader(file).fields for file in (tiny_model / "model.gguf", tmp_path / "out.gguf"))
    own = {key for key in old if not key.startswith("GGUF.")} - {"general.file_type"}
    assert {"tokenizer.ggml.tokens", "tokenizer.chat_template", "llama.block_count"} <= own
    assert own <= new.keys()
    assert {key: new[key].contents() for key in own} == {key: old[key].contents() for key in own}
    assert new["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_F16
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_of_every_float_type_are_converted(tiny_model, tmp_path, kind):
    tensors = {name: rows.to(kind) for name, rows in load_file(tiny_model / "model.safetensors").items()}
    save_file(tensors, tmp_path / "model.safetensors")
    gguf_converter.to_gguf(tiny_model / "model.gguf", tmp_path, tmp_path / "out.gguf", "BF16")
    norm = tensors_of(tmp_path / "out.gguf")["output_norm.weight"]
    np.testing.assert_array_equal(norm, tensors["model.norm.weight"].float().numpy())


def test_weights_of_another_number_type_are_refused(tiny_model, tmp_path):
    tensors = load_file(tiny_model / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"].double()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"lm_head\.weight is F64; allowed: F32, F16, BF16"):
        gguf_converter.to_gguf(tiny_model / "model.gguf", tmp_path, tmp_path / "out.gguf")


def test_weights_of_another_shape_are_refused(tiny_model, tmp_path):
    tensors = load_file(tiny_model / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"lm_head\.weight has the shape"):
        gguf_converter.to_gguf(tiny_model / "model.gguf", tmp_path, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def test_another_architecture_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "qwen2")
    writer.add_block_count(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelUnusable, match="architecture qwen2; only llama"):
        gguf_converter.to_gguf(tmp_path / "model.gguf", tmp_path, tmp_path / "out.gguf")
