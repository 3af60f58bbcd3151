import json
import os
import subprocess
import sys

import datasets

from longwriter.core.rows import SourceRow
from longwriter.edges import sources
from tests import hub_server


def test_a_hub_that_cannot_be_reached_is_said_with_the_way_round_it():
    code = (
        "from longwriter.edges import hub\nfrom longwriter.errors import Unavailable\n"
        "try:\n list(hub.chunks('owner/name@main'))\nexcept Unavailable as error:\n print(error)"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hub:owner/name@main cannot be reached")
    assert "instructions.source" in done.stdout


def test_a_streamed_split_gives_its_known_columns_in_chunks():
    rows = [{"prompt": str(n), "embedding": [0.5] * 8} for n in range(2500)]
    split = datasets.Dataset.from_list(rows).to_iterable_dataset()
    found = list(sources.of_dataset("hub:a/b@1/train", split))
    assert [chunk.content.schema.names for chunk in found] == [["prompt"]] * len(found)
    read = [item for chunk in found for item in sources.rows(chunk)]
    assert read == [(f"hub:a/b@1/train:{n + 1}", SourceRow(str(n))) for n in range(2500)]


_READ = """
import json, sys
from longwriter.edges import hub, sources
from longwriter.errors import LongWriterError
for name in sys.argv[1:]:
    try:
        rows = [row.prompt for chunk in hub.chunks(name) for _, row in sources.rows(chunk)]
        print(json.dumps(rows))
    except LongWriterError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def test_a_set_is_read_at_its_revision_and_what_is_missing_or_gated_is_told(tmp_path):
    for name, count in (("open", 50), ("gated", 2)):
        folder = tmp_path / "datasets" / "owner" / name
        folder.mkdir(parents=True)
        lines = [json.dumps({"prompt": f"Write of bridge {n}, 900 words."}) for n in range(count)]
        (folder / "train.jsonl").write_text("\n".join(lines))
    names = ["owner/open@main", "owner/open@gone", "owner/none@main", "owner/gated@main"]
    with hub_server.server(tmp_path, gated=frozenset({"owner/gated"})) as url:

        def read(**env: str) -> list[object]:
            env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), **env}
            command = [sys.executable, "-c", _READ, *names]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            assert hub_server.TOKEN not in done.stdout + done.stderr
            return [json.loads(line) for line in done.stdout.splitlines()]

        opened, *refused = read()
        assert opened == [f"Write of bridge {n}, 900 words." for n in range(50)]
        for name, told in zip(names[1:], refused, strict=True):
            assert str(told).startswith(f"BadRecord: hub:{name}: ")
            assert "HF_TOKEN" in str(told)
        assert read(HF_TOKEN=hub_server.TOKEN)[3] == [f"Write of bridge {n}, 900 words." for n in range(2)]
