import numpy as np

from longwriter.instructions.duplicates import signatures
from longwriter.instructions.selection import FATE, REASONS, choice, repeated
from tests.unit.builders import prose


def test_each_candidate_gets_its_first_fate():
    text = prose(50)
    prompts = [text, text, text.upper(), prose(50, 1), prose(50, 2), prose(50, 2).upper()]
    ids = np.array([9, 9, 3, 7, 8, 1], np.uint64)
    fates, repeats, shares = repeated(ids, signatures(prompts), {0: "b", 3: "b", 1: "b"}, 0.8)
    assert [REASONS[fate] for fate in fates] == [
        "near_duplicate", "duplicate", "", "contaminated", "near_duplicate", "",
    ]  # fmt: skip
    assert repeats.tolist() == [2, -1, -1, -1, 5, -1]
    assert shares.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_of_no_candidate_there_is_no_fate():
    empty = np.empty(0, np.uint64)
    fates, _, _ = repeated(empty, signatures([]), [], 0.8)
    assert len(fates) == 0
    assert len(choice(empty, np.empty(0, np.int64), [], fates, ["language"], 5, 0)) == 0


NAMES = [("en", "x", "0-499"), ("en", "x", "4000+"), ("zh", "x", "0-499")]


def chosen(balance, limit, fates=None):
    ids = np.array([1, 2, 3, 4, 5, 6], np.uint64)
    cells = np.array([0, 0, 0, 0, 1, 2], np.int64)
    fates = np.zeros(6, np.uint8) if fates is None else np.array(fates, np.uint8)
    return choice(ids, cells, NAMES, fates, balance, limit, 0).tolist()


def test_what_is_named_takes_turns_and_the_rest_goes_by_id():
    assert chosen([], 3) == [0, 1, 2]
    assert chosen(["language"], 3) == [0, 1, 5]
    assert chosen(["language", "type", "length"], 3) == [0, 4, 5]
    assert chosen(["length"], 2) == [0, 4]


def test_who_has_a_fate_is_not_chosen():
    assert chosen(["language"], 3, [FATE["duplicate"], 0, 0, 0, 0, FATE["not_long"]]) == [1, 2, 3]
