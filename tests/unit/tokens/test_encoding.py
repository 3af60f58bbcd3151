"""Rows keep their order and their ids on disk, however many processes encode them."""

import numpy as np
import pytest

from longwriter.io import files
from longwriter.records import Example, Message
from longwriter.tokens import encoding, tokenizer

TEXTS = ["The tide came in. ", "潮水来了。", "One.\n\nTwo. "]


def example(number, repeats):
    messages = [
        Message(role="user", content=f"Write text {number}."),
        Message(role="assistant", content=TEXTS[number % 3] * repeats),
    ]
    return Example(
        sample_id=f"s{number}", instruction_id=None, kind="general", language="en", type="x",
        messages=messages, required_words=None, words=1, call_ids=[],
    )  # fmt: skip


def encoded(rows, model, tmp_path, max_length=1_000_000, block_chars=encoding.BLOCK_CHARS):
    files.write_jsonl(tmp_path / "rows.jsonl", rows)
    indexed = files.indexed(tmp_path / "rows.jsonl", Example, lambda row: len(row.messages[1].content))
    (tmp_path / "ids").mkdir()
    return encoding.encode(indexed, model, max_length, tmp_path / "ids", "test", block_chars)


def stored(sequences):
    return [
        tuple(part.tolist() for part in encoding.ids_and_labels(sequences.read(number)))
        for number in range(len(sequences.lengths))
    ]


@pytest.mark.parametrize(("block_chars", "files_"), [(10_000, 1), (100, 20)])  # the second: two processes
def test_rows_on_disk_have_the_ids_and_labels_of_the_tokenizer_in_their_order(
    tiny_model, tmp_path, block_chars, files_
):
    rows = [example(number, 3) for number in range(60)]
    sequences, rejected = encoded(rows, tiny_model, tmp_path, block_chars=block_chars)
    coder = tokenizer.Coder(tokenizer.load(tiny_model))
    coded = [coder.chat(row.messages, 10**7, "", "") for row in rows]
    assert rejected == []
    assert sequences.sample_ids == [row.sample_id for row in rows]
    assert stored(sequences) == [(row.input_ids, row.labels) for [row] in coded]
    assert sequences.targets == sum(label >= 0 for [row] in coded for label in row.labels)
    assert len(sequences.paths) == files_


def test_no_row_and_a_row_that_is_too_long_give_no_sequence(tiny_model, tmp_path):
    sequences, rejected = encoded([], tiny_model, tmp_path)
    assert (list(sequences.lengths), rejected, sequences.targets) == ([], [], 0)
    (tmp_path / "ids").rmdir()
    sequences, rejected = encoded([example(0, 100), example(1, 1)], tiny_model, tmp_path, 100)
    assert sequences.sample_ids == ["s1"]
    assert [(row.row_id, row.reason) for row in rejected] == [("s0", "too_long")]


def test_a_token_with_id_0_can_be_a_target_and_can_be_none():
    ids, labels = encoding.ids_and_labels(np.array([0, ~0, 7, ~7], np.int32))
    assert ids.tolist() == [0, 0, 7, 7]
    assert labels.tolist() == [0, -100, 7, -100]
