import json
import os
import subprocess
import sys

from longwriter.schemas.rows import SourceRow
from longwriter.sources import files as sources
from tests import hub_server


def test_a_streamed_split_gives_its_known_columns_in_chunks():
    import datasets  # takes seconds

    rows = [{"prompt": str(n), "embedding": [0.5] * 8} for n in range(2500)]
    split = datasets.Dataset.from_list(rows).to_iterable_dataset()
    found = list(sources.of_dataset("hub:a/b@1/train", split))
    assert [chunk.content.schema.names for chunk in found] == [["prompt"]] * len(found)
    read = [item for chunk in found for item in sources.rows(chunk)]
    assert read == [(f"hub:a/b@1/train:{n + 1}", SourceRow(str(n))) for n in range(2500)]


_READ = """
import json, os, sys
from longwriter.instructions import hub
from longwriter.sources import files as sources
from longwriter.errors import LongWriterError
token, *names = sys.argv[1:]
for name in names:
    if name == "with a token":
        os.environ["HF_TOKEN"] = token
        continue
    try:
        rows = [row.prompt for chunk in hub.chunks(name) for _, row in sources.rows(chunk)]
        print(json.dumps(rows))
    except LongWriterError as error:
        print(json.dumps(f"{type(error).__name__}: {error}"))
"""


def test_a_set_is_read_at_its_revision_and_a_missing_or_gated_set_is_an_error(tmp_path):
    for name, count in (("open", 50), ("gated", 2)):
        folder = tmp_path / "datasets" / "owner" / name
        folder.mkdir(parents=True)
        lines = [json.dumps({"prompt": f"Write of bridge {n}, 900 words."}) for n in range(count)]
        (folder / "train.jsonl").write_text("\n".join(lines))
    names = ["owner/open@main", "owner/open@gone", "owner/none@main", "owner/gated@main"]
    with hub_server.server(tmp_path, gated=frozenset({"owner/gated"})) as url:
        env = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home")}
        words = [hub_server.TOKEN, *names, "with a token", "owner/gated@main"]
        command = [sys.executable, "-c", _READ, *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert hub_server.TOKEN not in done.stdout + done.stderr
    opened, *messages, allowed = [json.loads(line) for line in done.stdout.splitlines()]
    assert opened == [f"Write of bridge {n}, 900 words." for n in range(50)]
    for name, told in zip(names[1:], messages, strict=True):
        assert str(told).startswith(f"BadRecord: instructions.hub {name} cannot be read: ")
        assert "HF_TOKEN" in str(told)
    assert allowed == [f"Write of bridge {n}, 900 words." for n in range(2)]
