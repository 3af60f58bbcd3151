import re
from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.errors import BadParams

VALUES = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


def checked(**changed):
    return params.check({**VALUES, "instructions": {**VALUES["instructions"], **changed}}, "params.yaml")


def test_a_prompt_without_a_length_is_judged_only_by_a_judge_that_is_named():
    with pytest.raises(
        BadParams,
        match=r"instructions\.unstated: found 'judge'; allowed: keep, drop while instructions\.judge\.llm is null",
    ):
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
def test_a_value_out_of_its_range_is_named_by_its_key(key, value):
    with pytest.raises(BadParams, match=rf"instructions\.{key}"):
        checked(**{key: value})


@pytest.mark.parametrize(
    ("key", "values", "allowed"),
    [
        ("source", ["", " ", "s3://", "s3:///x", "S3://b/x", "https://a.org/x"], "s3://BUCKET"),
        ("pattern", ["", " ", "/data/*.jsonl", "../*.jsonl", "a/../../b", "**x", "***", "a**/b"], "a glob below"),
        ("hub", ["owner/name", "name@main", "owner/name@", "a/b/c@main"], "OWNER/NAME@REVISION; the revision is"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_read_is_named_with_what_is_allowed(key, values, allowed):
    for value in values:
        with pytest.raises(BadParams, match=rf"instructions\.{key}: .*{re.escape(allowed)}"):
            checked(**{key: value})


def test_places_that_can_be_read_are_taken():
    for source in ("chats", "/data/chats.jsonl", "s3://bucket", "s3://bucket/", "s3://my-bucket.x/a b/c#d"):
        assert checked(source=source).instructions.source == source
    for pattern in ("*", "**/*.jsonl", "a/**/b*.json*", "[ab].jsonl", ".hidden/*"):
        assert checked(pattern=pattern).instructions.pattern == pattern
    assert checked(hub="a/b@refs/convert/parquet").instructions.hub == "a/b@refs/convert/parquet"
