import json
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.hashing import content_hash, hash_share

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (None, "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"),
        ({"b": [2, "ä潮"], "a": 1}, "cc4031b99735be0189eb16dae8207870b74764c4d1dd6785abbc29eee7dd61d8"),
    ],
)
def test_a_hash_is_that_of_sorted_utf8_json_without_spaces(value, digest):
    """`printf '{"a":1,"b":[2,"ä潮"]}' | sha256sum`, and the same of `null`."""
    assert content_hash(value) == digest


def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter_and_all_else_does():
    one = content_hash({"a": [1, 2], "b": None})
    assert content_hash(OrderedDict(b=None, a=(1, 2))) == one
    others = [
        {"a": [2, 1], "b": None},
        {"a": [1, 2]},
        {"a": ["1", 2], "b": None},
        [["a", [1, 2]], ["b", None]],
    ]
    assert len({one, *map(content_hash, others)}) == 5


@given(JSON)
def test_a_value_that_went_through_json_has_the_same_hash(value):
    digest = content_hash(value)
    assert content_hash(json.loads(json.dumps(value))) == digest
    assert len(digest) == 64


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_hash({"a": [number]})


def test_half_a_surrogate_pair_has_a_hash_too():
    assert content_hash("\ud83c") != content_hash("?")


def test_a_hash_share_is_the_same_on_every_machine():
    """sha256 of `["split","a"]` begins with 1bc884d53875a."""
    assert hash_share("split", "a") == 0x1BC884D53875A / 16**13
    assert hash_share("split", "a") != hash_share("wording", "a")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_hash_shares_are_spread_evenly(share):
    below = sum(hash_share("split", str(i)) < share for i in range(10_000))
    assert abs(below / 10_000 - share) < 0.015
