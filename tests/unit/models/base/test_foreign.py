"""A model folder of a stranger is looked at before an engine reads it."""

import json
import os

import gguf
import pytest

from longwriter.chat import weights
from longwriter.errors import ModelUnusable
from longwriter.models.base import foreign, rendering
from longwriter.params import load
from tests.unit.models.base.test_rendering import LOOP


def write_gguf(folder, template):
    """Write a GGUF with metadata only: what is looked at before the engine reads the rest."""
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_chat_template(template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def write_jinja(folder, template):
    (folder / "model.safetensors").touch()
    (folder / "chat_template.jinja").write_text(template)


def write_settings(folder, template):
    (folder / "model.safetensors").touch()
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))


@pytest.mark.parametrize("write", [write_gguf, write_jinja, write_settings])
def test_the_template_of_a_folder_is_stopped_wherever_it_is(tmp_path, write):
    write(tmp_path, LOOP)
    with pytest.raises(
        ModelUnusable, match=r"the chat template of .* does not end within 1 seconds: choose another"
    ):
        rendering.check_folder(tmp_path, cpu_s=1)


def test_a_name_of_a_folder_that_writes_too_much_is_refused_before_a_server_starts(tmp_path):
    write_gguf(tmp_path, "{{ 'a' * 10 ** 7 }}")
    with pytest.raises(ModelUnusable, match="writes more than 1,000,000 characters"):
        weights.folder(str(tmp_path), load())


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 400, None])
def test_a_folder_without_a_template_that_can_be_read_is_left_to_the_engine(tmp_path, content):
    if content is None:
        write_gguf(tmp_path, "{{ messages[0].content }}")
    else:
        (tmp_path / "model.gguf").write_bytes(content)
    foreign.check(tmp_path)


def test_a_file_that_is_read_whole_has_a_largest_size_and_is_no_pipe(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as out:
        out.truncate(200_000_000)
    with (tmp_path / "model.safetensors").open("wb") as out:
        out.truncate(10**12)  # is mapped, not read
    with pytest.raises(ModelUnusable, match=r"tokenizer\.json has 200 MB; at most 100 MB are read"):
        foreign.check_files(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    foreign.check_files(tmp_path)
    os.mkfifo(tmp_path / "vocab.json")
    with pytest.raises(ModelUnusable, match=r"vocab\.json is a pipe or a device"):
        foreign.check_files(tmp_path)
