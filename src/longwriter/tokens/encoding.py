"""Turns chats into token ids, in several processes; the ids are in files, memory holds lengths and row ids only.

186,000 rows have 119 million tokens: 5 GB as Python lists. Here a token takes 4 bytes of a file: its id if the
model is trained on it, else the id with all bits inverted, which is below 0.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from longwriter.io import files, process, startup
from longwriter.records import Example, Rejection
from longwriter.tokens import tokenizer
from longwriter.tokens.packing import IGNORE_INDEX, Encoded

BLOCK_CHARS = 2_000_000  # a second or two of work
_FEWEST_BLOCKS = 16  # fewer are encoded in this process, because worker processes need 2 s to start
_MOST_PROCESSES = 16  # each holds 0.1 GB


class Sequences(NamedTuple):
    """Sequences of token ids in files, in the order of their rows."""

    paths: list[Path]
    places: array[int]
    """File of each sequence."""
    starts: array[int]
    """First token of each sequence in its file."""
    lengths: array[int]
    """Tokens of each sequence."""
    sample_ids: list[str]
    """Row of each sequence."""
    targets: int
    """Number of target tokens in all of them."""

    def read(self, number: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Return the stored tokens of a sequence; see `ids_and_labels`."""
        offset = self.starts[number] * 4
        return np.fromfile(self.paths[self.places[number]], np.int32, self.lengths[number], offset=offset)


class _Block(NamedTuple):
    """What was encoded from neighbouring rows."""

    lengths: list[int]
    sample_ids: list[str]
    targets: int
    rejected: list[Rejection]


def encode(
    rows: files.Indexed[Example],
    model: Path,
    max_length: int,
    folder: Path,
    label: str,
    block_chars: int = BLOCK_CHARS,
) -> tuple[Sequences, list[Rejection]]:
    """Return the token ids of all rows, and the rows that are rejected.

    Args:
        rows: The rows; `weights` are their numbers of characters.
        model: Folder of the tokenizer.
        max_length: Largest number of tokens of a sequence.
        folder: Empty folder for the token ids, 4 bytes a token.
        label: Name of the progress bar.
        block_chars: Characters that a process encodes at once.

    Raises:
        ModelUnusable: the tokenizer cannot be used.
    """
    blocks = list(_blocks(rows.weights, block_chars))
    paths = [folder / f"{place}.int32" for place in range(len(blocks))]
    sequences = Sequences(paths, array("l"), array("q"), array("l"), [], 0)
    rejected: list[Rejection] = []
    targets = 0
    with tqdm(desc=f"tokenise {label}", total=len(rows), unit="row", mininterval=10) as bar:
        for place, block in enumerate(_encoded(rows, blocks, model, max_length, paths)):
            start = 0
            for length in block.lengths:
                sequences.places.append(place)
                sequences.starts.append(start)
                sequences.lengths.append(length)
                start += length
            sequences.sample_ids.extend(block.sample_ids)
            targets += block.targets
            rejected += block.rejected
            bar.update(len(blocks[place]))
    return sequences._replace(targets=targets), rejected


def pack_columns(sequences: Sequences, packs: list[list[int]]) -> Iterator[dict[str, Any]]:
    """Yield the columns of each pack, which is a list of sequences; see io/packs.py."""
    for pack in packs:
        input_ids, labels = ids_and_labels(np.concatenate([sequences.read(number) for number in pack]))
        yield {
            "input_ids": input_ids,
            "labels": labels,
            "seq_lengths": [sequences.lengths[number] for number in pack],
            "sample_ids": [sequences.sample_ids[number] for number in pack],
        }


def ids_and_labels(tokens: np.ndarray[Any, np.dtype[np.int32]]) -> tuple[np.ndarray[Any, Any], ...]:
    """Return token ids and labels of stored tokens; see `packing.Encoded`."""
    return np.where(tokens < 0, ~tokens, tokens), np.where(tokens < 0, np.int32(IGNORE_INDEX), tokens)


def _blocks(weights: Sequence[int], size: int) -> Iterator[range]:
    """Yield neighbouring rows, of about `size` characters together."""
    start = chars = 0
    for row, weight in enumerate(weights):
        chars += weight
        if chars >= size:
            yield range(start, row + 1)
            start, chars = row + 1, 0
    if start < len(weights):
        yield range(start, len(weights))


def _encoded(
    rows: files.Indexed[Example], blocks: list[range], model: Path, max_length: int, paths: list[Path]
) -> Iterator[_Block]:
    """Yield the blocks in order, encoded by as many processes as there are cores for them."""
    if len(blocks) < _FEWEST_BLOCKS:
        coder = tokenizer.Coder(tokenizer.load(model))
        for block, path in zip(blocks, paths, strict=True):
            yield _encode_block(coder, rows, block, max_length, path)
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, len(blocks), _MOST_PROCESSES)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin_worker)
    try:
        yield from pool.map(_encode_in_worker, repeat(model), repeat(rows), blocks, repeat(max_length), paths)
    finally:
        pool.shutdown(cancel_futures=True)


_coders: dict[Path, tokenizer.Coder] = {}  # of a worker


def _begin_worker() -> None:
    startup.without_torch()
    process.die_with_parent()


def _encode_in_worker(
    model: Path, rows: files.Indexed[Example], block: range, max_length: int, path: Path
) -> _Block:
    if model not in _coders:
        _coders[model] = tokenizer.Coder(tokenizer.load(model))
    return _encode_block(_coders[model], rows, block, max_length, path)


def _encode_block(
    coder: tokenizer.Coder, rows: files.Indexed[Example], block: range, max_length: int, path: Path
) -> _Block:
    """Write the token ids of some rows to `path`."""
    lengths, sample_ids, targets, rejected = [], [], 0, []
    with path.open("wb") as out:
        for row in map(rows.__getitem__, block):
            coded = coder.chat(row.messages, max_length, row.sample_id, "pack")
            if isinstance(coded, Rejection):
                rejected.append(coded)
                continue
            for sequence in coded:
                tokens = _tokens(sequence)
                tokens.tofile(out)
                lengths.append(len(tokens))
                sample_ids.append(row.sample_id)
                targets += int((tokens >= 0).sum())
    return _Block(lengths, sample_ids, targets, rejected)


def _tokens(row: Encoded) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return the tokens of a sequence as they are stored; `ids_and_labels` reads them."""
    ids, labels = np.array(row.input_ids, np.int32), np.array(row.labels, np.int32)
    return np.where(labels == IGNORE_INDEX, ~ids, ids)
