import os
import subprocess
import sys

import datasets

from longwriter.core.rows import SourceRow
from longwriter.edges import sources


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
