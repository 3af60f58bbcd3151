"""The labelled refusals and talk about the task are many, balanced and hard, and the halves share no text."""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

GOLDEN = Path("tests/golden")
SPLITS = ("tuned", "untouched")
FIELDS = ["id", "question", "language", "label", "kind", "split", "text", "context"]
FIRST_ANNOTATOR = {"refusal": 146, "meta": 172}
"""The last number of an untouched row that the first annotator wrote; a second one added the rows after it."""
NEAR_COPY = 8
"""Words, or Chinese characters, in a row that two texts of different halves must not share."""


def rows_of(split, name="refusal_meta"):
    lines = (GOLDEN / f"{name}_{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


ROWS = [row for split in SPLITS for row in rows_of(split)]
NEW_ROWS = [row for split in SPLITS for row in rows_of(split, "new_passages")]


def word_runs(text):
    words = re.findall(r"[\u4e00-\u9fff]|[a-z0-9']+", text.lower().replace("\u2019", "'"))
    runs = {tuple(words[start : start + NEAR_COPY]) for start in range(len(words) - NEAR_COPY + 1)}
    return runs or {tuple(words)}


@pytest.mark.parametrize("split", SPLITS)
def test_every_row_has_the_same_fields_with_the_same_types(split):
    for row in rows_of(split):
        assert list(row) == FIELDS
        assert (row["question"] in {"refusal", "meta"}, row["language"] in {"en", "zh"}) == (True, True)
        assert (type(row["label"]), row["split"]) == (bool, split)
        assert re.fullmatch("[a-z_]+", row["kind"])
        assert row["text"] == row["text"].strip() != ""
        assert row["context"] == row["context"].strip()


@pytest.mark.parametrize("question", ["refusal", "meta"])
def test_each_question_has_280_rows_half_of_them_positive_and_a_third_chinese(question):
    rows = [row for row in ROWS if row["question"] == question]
    assert len(rows) >= 280
    assert 0.48 <= sum(row["label"] for row in rows) / len(rows) <= 0.52
    assert sum(row["language"] == "zh" for row in rows) >= 0.35 * len(rows)


@pytest.mark.parametrize(("split", "least"), [("tuned", 60), ("untouched", 100)])
def test_each_half_has_enough_positives_and_negatives_of_each_question(split, least):
    counts = Counter((row["question"], row["label"]) for row in rows_of(split))
    assert len(counts) == 4
    assert min(counts.values()) >= least


def test_the_halves_hold_the_same_kinds_of_the_first_annotator_in_nearly_the_same_numbers():
    counts = defaultdict(Counter)
    for row in ROWS:
        if row["split"] == "untouched" and int(row["id"][-3:]) > FIRST_ANNOTATOR[row["question"]]:
            continue
        counts[row["question"], row["label"], row["language"], row["kind"]][row["split"]] += 1
    assert {
        kind: count for kind, count in counts.items() if abs(count["tuned"] - count["untouched"]) > 1
    } == {}


def test_the_language_of_a_row_is_the_language_of_its_text():
    wrong = [
        row["id"]
        for row in ROWS
        if bool(re.search("[\u4e00-\u9fff]", row["text"])) != (row["language"] == "zh")
    ]
    assert wrong == []


def test_no_two_rows_share_an_id_or_a_text():
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({row["text"] for row in ROWS}) == len(ROWS)


def test_no_text_of_one_half_is_a_near_copy_of_one_of_the_other():
    tuned, untouched = (
        {run: row["id"] for row in rows_of(split) for run in word_runs(row["text"])} for split in SPLITS
    )
    assert {(tuned[run], untouched[run]) for run in tuned.keys() & untouched.keys()} == set()


def test_the_examples_have_the_same_shape_and_share_no_text_with_the_halves():
    examples = rows_of("examples")
    golden = set().union(*(word_runs(row["text"]) for row in ROWS))
    for row in examples:
        assert list(row) == FIELDS
        assert (row["question"] in {"refusal", "meta"}, type(row["label"]), row["split"]) == (
            True,
            bool,
            "examples",
        )
        assert not word_runs(row["text"]) & golden, row["id"]
    assert len({row["text"] for row in examples}) == len(examples)
    counts = Counter((row["question"], row["language"], row["label"]) for row in examples)
    assert len(counts) == 8
    assert min(counts.values()) >= 450


@pytest.mark.parametrize("split", SPLITS)
def test_the_new_passages_have_the_same_shape_and_share_no_text_with_the_other_files(split):
    rows = rows_of(split, "new_passages")
    others = [*ROWS, *rows_of("examples"), *(row for row in NEW_ROWS if row["split"] != split)]
    runs = set().union(*(word_runs(row["text"]) for row in others))
    for row in rows:
        assert list(row) == FIELDS
        assert (row["question"] in {"refusal", "meta"}, type(row["label"]), row["split"]) == (
            True,
            bool,
            split,
        )
        assert row["language"] in {"en", "zh", "fr", "de", "es"}
        assert not word_runs(row["text"]) & runs, row["id"]
    counts = Counter((row["language"], row["label"]) for row in rows if row["language"] in {"en", "zh"})
    assert len(counts) == 4
    assert min(counts.values()) >= 36


def test_the_short_examples_have_the_same_shape_and_share_no_text_with_the_labelled_halves():
    lines = (GOLDEN / "talk_examples.jsonl").read_text(encoding="utf-8").splitlines()
    examples = [json.loads(line) for line in lines]
    golden = set().union(*(word_runs(row["text"]) for row in [*ROWS, *NEW_ROWS]))
    for row in examples:
        assert list(row) == FIELDS
        assert (row["question"], type(row["label"]), row["split"]) == ("meta", bool, "examples")
        assert not word_runs(row["text"]) & golden, row["id"]
    assert len({row["text"] for row in examples}) == len(examples)
    counts = Counter((row["language"], row["label"]) for row in examples)
    assert len(counts) == 4
    assert min(counts.values()) >= 100
