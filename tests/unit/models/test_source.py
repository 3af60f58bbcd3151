"""What is known of a base model before its weights are fetched, from the hub and from a folder."""

import json
import os
import subprocess
import sys

import pytest

from longwriter.models import source
from tests import hub_server

LOOK = """
import sys
from longwriter.errors import LongWriterError
from longwriter.models import source
try:
    known = source.look(sys.argv[1])
    print(known.config and known.config.read_text(), known.licence, known.commit)
except LongWriterError as error:
    print(type(error).__name__, error)
"""


def looked(name, url, home):
    env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(home)}
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, name], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_hub_shows_config_licence_and_commit_without_weights(tmp_path):
    repo = tmp_path / "hub" / "models" / "THUDM" / "glm-4-9b-hf"
    repo.mkdir(parents=True)
    (repo / "config.json").write_text('{"model_type": "glm"}')
    (repo / "README.md").write_text("---\nlicense: other\n---\n# GLM\n")
    with hub_server.server(tmp_path / "hub") as url:
        seen = looked("hub:THUDM/glm-4-9b-hf", url, tmp_path / "home")
        assert seen == f'{{"model_type": "glm"}} other {hub_server.COMMIT}'
        assert looked("hub:THUDM/no-such", url, tmp_path / "home").startswith(
            "ModelUnusable base_model.source: hub:THUDM/no-such@main: "
        )


@pytest.mark.parametrize(
    ("name", "is_pinned"),
    [
        (f"hub:a/b@{'0' * 40}", True), ("hub:a/b", False), ("hub:a/b@main", False), ("hub:a/b@v1.0", False),
        ("pypi:a==1/b.gguf", True), ("path:folder", True),
    ],
)  # fmt: skip
def test_a_source_is_pinned_by_a_commit(name, is_pinned):
    assert source.is_pinned(name) is is_pinned


def test_a_folder_shows_its_config_and_the_licence_of_its_card(tmp_path):
    assert source.look(f"path:{tmp_path}").reason == f"{tmp_path}/config.json is missing"
    (tmp_path / "config.json").write_text(json.dumps({}))
    assert source.look(f"path:{tmp_path}")[:2] == (tmp_path / "config.json", None)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert source.look(f"path:{tmp_path}").licence == "mit"
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert source.look(f"path:{tmp_path}").licence is None
