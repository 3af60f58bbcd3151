"""The sifting of a source: chunks in, candidates on disk, and a few numbers of each in memory.

Each chunk is decoded and sifted by a process of its own core; chunks come back in their order, so that
the outcome does not depend on how many there are. A candidate takes 37 bytes of memory; its text and its
signature lie in files without names, gone with the process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import yaml

from longwriter.errors import BadRecord, Unavailable
from longwriter.instructions import sources
from longwriter.instructions.duplicates import MINIMA, Signatures, signatures
from longwriter.instructions.patterns import Rules
from longwriter.instructions.quotas import Cell, bucket
from longwriter.instructions.screening import Bar, sift
from longwriter.io import files, process
from longwriter.records import Instruction, Rejection

_FEW = 4  # chunks that are sifted in this process: another one imports for as long


class _Part(NamedTuple):
    """What one chunk came to; `instructions`, `ids`, `cells`, `hits`, `signatures` are of its candidates."""

    instructions: list[bytes]
    ids: list[int]
    cells: list[Cell]
    hits: list[str | None]
    signatures: Signatures
    rejected: bytes
    reasons: Counter[str]
    malformed: str | None


class Candidates:
    """The rows that are fit by themselves, in the order of the source; made by `sifted`."""

    def __init__(self, texts: IO[bytes], marks: IO[bytes]) -> None:
        """Hold two empty files, for instructions and for signatures."""
        self.reasons: Counter[str] = Counter()
        self.malformed: str | None = None
        self.cells: dict[Cell, int] = {}
        self.hits: dict[int, str] = {}
        self._texts, self._marks = texts, marks
        self._ids, self._cells, self._offsets = array("Q"), array("q"), array("Q")

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self._ids)

    def add(self, part: _Part) -> None:
        """Put the candidates of the next chunk behind the others."""
        self.hits.update({len(self) + at: hit for at, hit in enumerate(part.hits) if hit is not None})
        self._ids.extend(part.ids)
        self._cells.extend(self.cells.setdefault(cell, len(self.cells)) for cell in part.cells)
        for line in part.instructions:
            self._offsets.append(self._texts.tell())
            self._texts.write(line)
        self._marks.write(part.signatures.tobytes())
        self.reasons.update(part.reasons)
        self.malformed = self.malformed or part.malformed

    def ids(self) -> npt.NDArray[np.uint64]:
        """Return the ids as numbers."""
        return np.array(self._ids, np.uint64)

    def cell_places(self) -> npt.NDArray[np.int64]:
        """Return for each candidate the place of its (language, type, bucket) in `cells`."""
        return np.array(self._cells, np.int64)

    def signatures(self) -> Signatures:
        """Return the MinHash signatures, read from disk as they are used."""
        self._marks.flush()
        if not len(self):
            return np.empty((0, MINIMA), np.uint16)
        return np.memmap(self._marks, np.uint16, "r", shape=(len(self), MINIMA))

    def __getitem__(self, at: int) -> Instruction:
        """Return one candidate's instruction."""
        self._texts.seek(self._offsets[at])
        return Instruction.model_validate_json(self._texts.readline())


@contextmanager
def sifted(chunks: Iterator[sources.Chunk], bar: Bar, rejected: IO[bytes]) -> Iterator[Candidates]:
    """Yield the candidates of a source; who is no candidate is written to `rejected` as it comes.

    Raises:
        Unavailable: a process was killed, as for want of memory.
    """
    scratch = files.LOCAL / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as texts, tempfile.TemporaryFile(dir=scratch) as marks:
        found = Candidates(texts, marks)
        for part in _parts(chunks, bar):
            found.add(part)
            rejected.write(part.rejected)
        yield found


def check_malformed(found: Candidates, max_share: float, source: str) -> None:
    """Let a few malformed rows pass as rejections, and stop at more.

    Raises:
        BadRecord: more than `max_share` of the rows are malformed; names the first.
    """
    bad, rows = found.reasons["malformed"], len(found) + found.reasons.total()
    if bad > max_share * rows:
        raise BadRecord(
            f"{bad:,} of {rows:,} rows of {source} are malformed (at most {max_share:.1%} may be); "
            f"the first: {found.malformed}"
        )


def read_rules(path: Path) -> Rules:
    """Return the rules of a YAML file: {name: [patterns]}.

    Raises:
        BadRecord: it is missing, or holds something else.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadRecord(f"{path} is no file of rules: {error}") from None
    shaped = isinstance(found, dict) and all(
        isinstance(name, str) and isinstance(patterns, list) and all(isinstance(one, str) for one in patterns)
        for name, patterns in found.items()
    )
    if not shaped:
        raise BadRecord(f"{path}: names with lists of patterns are needed")
    return dict(found)


def _parts(chunks: Iterator[sources.Chunk], bar: Bar) -> Iterator[_Part]:
    """Yield what the chunks come to, in their order; a few are not worth the start of further processes."""
    first = list(islice(chunks, _FEW))
    if len(first) < _FEW:
        yield from (_part(chunk, bar) for chunk in first)
        return
    cores = len(os.sched_getaffinity(0))
    under_way: deque[Future[_Part]] = deque()
    spawn: Any = multiprocessing.get_context("spawn")  # a forked child has the locks of threads it lacks
    try:
        with ProcessPoolExecutor(cores, spawn, _begin, (bar,)) as pool:
            for chunk in chain(first, chunks):
                under_way.append(pool.submit(_own_part, chunk))
                if len(under_way) > 2 * cores:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
    except BrokenProcessPool:
        raise Unavailable("a process that sifted rows was killed: is there memory enough?") from None


_bar: list[Bar] = []


def _begin(bar: Bar) -> None:
    """Make a process ready: it ends with its starter and knows the bar."""
    process.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bar.append(bar)


def _own_part(chunk: sources.Chunk) -> _Part:
    return _part(chunk, _bar[-1])


def _part(chunk: sources.Chunk, bar: Bar) -> _Part:
    candidates, rejected = sift(list(sources.rows(chunk)), bar)
    items = [candidate.instruction for candidate in candidates]
    first = next((row for row in rejected if row.reason == "malformed"), None)
    return _Part(
        instructions=[f"{item.model_dump_json()}\n".encode() for item in items],
        ids=[int(item.instruction_id, 16) for item in items],
        cells=[(item.language, item.type, bucket(item.required_words)) for item in items],
        hits=[candidate.hit for candidate in candidates],
        signatures=signatures([item.prompt for item in items]),
        rejected=_lines(rejected),
        reasons=Counter(row.reason for row in rejected),
        malformed=f"{first.row_id}: {first.detail}" if first else None,
    )


def _lines(rows: Sequence[Rejection]) -> bytes:
    return "".join(f"{row.model_dump_json()}\n" for row in rows).encode()
