"""General pairs beside those of the samples: how many are read, and from where."""

import json
from pathlib import Path

import pytest

from longwriter import params
from longwriter.errors import UserError
from longwriter.stages import preferences
from tests.unit.builders import prose


@pytest.fixture
def section(tmp_path, monkeypatch):
    """Return the parameters of a checkout with five general pairs and some changed fields."""
    base = params.load()
    monkeypatch.chdir(tmp_path)
    for folder in ("data/benchmarks", "pairs/more"):
        Path(folder).mkdir(parents=True)
    Path("data/benchmarks/prompts.json").write_text("[]")
    Path("pairs/README.md").write_text("License: apache-2.0\n")
    rows = [
        {
            "prompt": f"Explain {prose(3, key)}.",
            "chosen": prose(30, key),
            "rejected": prose(30, key + 9),
            "id": key,
        }
        for key in range(5)
    ]
    Path("pairs/more/a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def changed(**fields):
        own = base.preferences.model_copy(update={"general_source": "pairs", **fields})
        return base.model_copy(update={"preferences": own})

    return changed


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (0.25, 3), (0.5, 5), (0.9, 5)])
def test_general_pairs_make_up_their_share_if_there_are_enough(section, share, number):
    kept, rejections = preferences._general(section(general_share=share), 8 if share == 0.25 else 5)
    assert (len(kept), rejections) == (number, [])
    assert {pair.licence for pair in kept} <= {"apache-2.0 (README.md)"}


def test_a_malformed_row_stops_the_stage_and_is_named(section):
    Path("pairs/b.jsonl").write_text('{"prompt": "p"}\n')
    with pytest.raises(UserError, match=r"pairs/b\.jsonl:1: chosen is missing; allowed: a text"):
        preferences._general(section(general_share=0.5), 5)
