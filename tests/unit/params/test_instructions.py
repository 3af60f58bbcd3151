from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.errors import BadParams

VALUES = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def checked(**changed):
    return params.check({**VALUES, "instructions": {**VALUES["instructions"], **changed}}, "params.yaml")


def test_a_judge_of_lengths_needs_the_judge_of_the_pipeline():
    with pytest.raises(BadParams, match=r"instructions\.unstated judge needs a judge: set judge\.llm"):
        checked(unstated="judge")


@pytest.mark.parametrize("hub", ["allenai/WildChat-1M", "WildChat-1M@main", "a/b@", "hub:a/b@main", ""])
def test_a_set_of_the_hub_is_pinned_to_a_revision(hub):
    with pytest.raises(BadParams, match=r"instructions\.hub"):
        checked(hub=hub)
    assert checked(hub="allenai/WildChat-1M@7d4de2d").instructions.hub == "allenai/WildChat-1M@7d4de2d"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("near_duplicate", 0.0),
        ("near_duplicate", 1.1),
        ("max_chars", 0),
        ("unstated", "ask"),
        ("balance", ["seed"]),
    ],
)
def test_a_value_out_of_its_range_is_told_by_its_key(key, value):
    with pytest.raises(BadParams, match=rf"instructions\.{key}"):
        checked(**{key: value})
