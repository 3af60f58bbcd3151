"""Candidates of a source: several processes screen the chunks, and the candidates are kept on disk.

The stage `instructions` and the command `longwriter estimate` both use this module, so both select the
same instructions.

There is one process for each core, and it decodes and screens one chunk at a time. Where DASK_SCHEDULER_ADDRESS
names the scheduler of a Dask cluster, its workers do this instead. The results are used in the order of the chunks,
so the number of processes does not change them. A candidate takes 37 bytes of
memory. Its text and its signature are in temporary files without names; the system deletes them when the
process ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from longwriter.errors import Unavailable, UserError
from longwriter.exclusions import benchmarks, decontamination, withdrawn
from longwriter.instructions import hub, selection
from longwriter.instructions.duplicates import MINIMA, Places, Signatures, signatures
from longwriter.instructions.patterns import read_patterns
from longwriter.instructions.screening import ScreeningLimits, screen
from longwriter.instructions.selection import Cell, Codes, bucket
from longwriter.io import files, process
from longwriter.params import InstructionsParams, Params
from longwriter.records import Instruction, RejectedInstruction
from longwriter.sources import files as sources
from longwriter.sources import look

_CLUSTER = "DASK_SCHEDULER_ADDRESS"  # Dask's own name of the variable
_CLUSTER_TIMEOUT_S = 10
_FEW = 4  # chunks; fewer are screened in this process, because starting the others takes longer


class Decisions(NamedTuple):
    """Decisions about the candidates before the judge and the quotas; each array has shape (n,).

    `codes`: indexes into `selection.REASONS`. `nearest`: for each candidate, the index of the candidate that
    it nearly repeats, or -1. `similarity`: how similar these two are. `unstated`: True where the prompt
    states no length.
    """

    codes: Codes
    nearest: Places
    similarity: npt.NDArray[np.float64]
    unstated: npt.NDArray[np.bool_]


class _ScreenedChunk(NamedTuple):
    """Result of one chunk. The first five fields describe its candidates, the others its rejected rows."""

    instructions: list[bytes]
    ids: list[int]
    cells: list[Cell]
    benchmark_hits: list[str | None]
    signatures: Signatures
    rejected: bytes
    reasons: Counter[str]
    first_malformed: str | None


class Candidates:
    """Rows that passed the screening, in the order of the source; `screen_sources` makes it."""

    def __init__(self, texts: IO[bytes], signatures: IO[bytes]) -> None:
        """Use two empty files: one for the instructions, one for the signatures."""
        self.reasons: Counter[str] = Counter()
        self.first_malformed: str | None = None
        self.cells: dict[Cell, int] = {}
        self.benchmark_hits: dict[int, str] = {}
        self._texts = texts
        self._signatures = signatures
        self._ids = array("Q")
        self._cells = array("q")
        self._offsets = array("Q")

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self._ids)

    def add(self, chunk: _ScreenedChunk) -> None:
        """Append the candidates of the next chunk."""
        hits = enumerate(chunk.benchmark_hits, len(self))
        self.benchmark_hits.update({place: hit for place, hit in hits if hit is not None})
        self._ids.extend(chunk.ids)
        self._cells.extend(self.cells.setdefault(cell, len(self.cells)) for cell in chunk.cells)
        for line in chunk.instructions:
            self._offsets.append(self._texts.tell())
            self._texts.write(line)
        self._signatures.write(chunk.signatures.tobytes())
        self.reasons.update(chunk.reasons)
        self.first_malformed = self.first_malformed or chunk.first_malformed

    def rows(self) -> int:
        """Return the number of rows in the source: candidates and rejected rows."""
        return len(self) + self.reasons.total()

    def check_malformed(self, max_share: float, source: str) -> None:
        """Raise an error if the share of malformed rows is too large.

        Raises:
            BadRecord: more than `max_share` of the rows are malformed; the message shows the first one.
        """
        malformed = self.reasons["malformed"]
        files.check_malformed(malformed, self.rows(), max_share, source, self.first_malformed)

    def ids(self) -> npt.NDArray[np.uint64]:
        """Return the ids as numbers."""
        return np.array(self._ids, np.uint64)

    def cell_places(self) -> npt.NDArray[np.int64]:
        """Return the number of each candidate's cell (language, type, bucket) in `cells`, shape (n,)."""
        return np.array(self._cells, np.int64)

    def signatures(self) -> Signatures:
        """Return the MinHash signatures, shape (n, 128); the system reads them from disk when they are used."""
        self._signatures.flush()
        if not len(self):
            return np.empty((0, MINIMA), np.uint16)
        return np.memmap(self._signatures, np.uint16, "r", shape=(len(self), MINIMA))

    def __getitem__(self, place: int) -> Instruction:
        """Return the instruction of one candidate."""
        self._texts.seek(self._offsets[place])
        return Instruction.model_validate_json(self._texts.readline())


def screening_limits(params: InstructionsParams, benchmark: Sequence[str]) -> ScreeningLimits:
    """Return the limits of the screening.

    Args:
        params: The section `instructions`.
        benchmark: Prompts that no instruction may repeat.
    """
    return ScreeningLimits(
        languages=params.languages,
        max_chars=params.max_chars,
        max_required_words=params.max_required_words,
        harm=read_patterns(Path(params.rules) / "harm.yaml"),
        types=read_patterns(Path(params.rules) / "types.yaml"),
        benchmarks=decontamination.index(benchmark),
        prompt_words=(params.gate.min_prompt_words, params.gate.max_prompt_words),
        withdrawn=withdrawn.read(),
    )


def source_chunks(params: InstructionsParams) -> Iterator[sources.Chunk]:
    """Return all rows: first those of `source`, then those of `hub`. Log the schemas of the rows."""
    local = sources.chunks(params.source, params.pattern)
    return look.logged(chain(local, hub.chunks(params.hub)) if params.hub else local)


@contextmanager
def screen_sources(
    chunks: Iterator[sources.Chunk], limits: ScreeningLimits, rejected: IO[bytes]
) -> Iterator[Candidates]:
    """Yield the candidates of a source, and write the rejected rows to `rejected`.

    Raises:
        Unavailable: the system killed a process, for example because memory ran out.
    """
    scratch = files.LOCAL / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as texts, tempfile.TemporaryFile(dir=scratch) as hashes:
        candidates = Candidates(texts, hashes)
        for chunk in _screened_chunks(chunks, limits):
            candidates.add(chunk)
            rejected.write(chunk.rejected)
        yield candidates


def decide(candidates: Candidates, params: InstructionsParams) -> Decisions:
    """Return the decisions for which neither the judge nor the quotas are needed.

    A withdrawn row also excludes its near-duplicates, so that none of them takes its place.
    """
    repeats = selection.reject_repeats(
        candidates.ids(), candidates.signatures(), candidates.benchmark_hits, params.near_duplicate
    )
    is_withdrawn = np.isin(
        candidates.ids(), np.array([int(name, 16) for name in withdrawn.read()], np.uint64)
    )
    repeats.codes[(repeats.codes == 0) & is_withdrawn] = selection.REASON_CODE["withdrawn"]
    is_unstated = np.array([cell[2] == selection.UNSTATED for cell in candidates.cells], bool)
    unstated = is_unstated[candidates.cell_places()]
    if params.unstated == "drop":
        repeats.codes[(repeats.codes == 0) & unstated] = selection.REASON_CODE["not_stated"]
    return Decisions(*repeats, unstated)


def select(candidates: Candidates, codes: Codes, params: InstructionsParams) -> Places:
    """Return the selected candidates, in the order of their ids; only candidates with code 0 can be selected."""
    return selection.select(
        candidates.ids(),
        candidates.cell_places(),
        list(candidates.cells),
        codes,
        params.balance,
        params.limit,
        params.seed,
    )


def select_instructions(params: Params) -> list[Instruction]:
    """Return the instructions that the stage would select now; the judge is not asked.

    Where `unstated` is `judge`, a prompt that states no length counts as accepted.

    Raises:
        BadRecord: a source or the patterns cannot be read, or too many rows are malformed.
    """
    section = params.instructions
    limits = screening_limits(section, benchmarks.all_prompts(params))
    with (
        Path(os.devnull).open("wb") as rejected,
        screen_sources(source_chunks(section), limits, rejected) as candidates,
    ):
        candidates.check_malformed(section.max_malformed_share, section.source)
        places = select(candidates, decide(candidates, section).codes, section)
        return [candidates[int(place)] for place in places]


def _screened_chunks(chunks: Iterator[sources.Chunk], limits: ScreeningLimits) -> Iterator[_ScreenedChunk]:
    """Yield the results of the chunks, in their order; fewer than `_FEW` chunks are screened in this process."""
    first = list(islice(chunks, _FEW))
    if len(first) < _FEW:
        yield from (_screen_chunk(chunk, limits) for chunk in first)
        return
    pending: deque[Future[_ScreenedChunk]] = deque()
    with _cluster() if os.environ.get(_CLUSTER) else _processes() as (pool, workers):
        for chunk in chain(first, chunks):
            pending.append(pool.submit(_screen_chunk, chunk, limits))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


@contextmanager
def _processes() -> Iterator[tuple[Executor, int]]:
    """Yield a pool with a process for each core of this machine, and their number."""
    cores = len(os.sched_getaffinity(0))
    spawn: Any = multiprocessing.get_context(
        "spawn"
    )  # a fork copies locks that other threads hold, and waits for them
    try:
        with ProcessPoolExecutor(cores, spawn, _begin_process) as pool:
            yield pool, cores
    except BrokenProcessPool:
        raise Unavailable(
            f"instructions: the system killed one of the {cores} processes that screen rows, most likely because "
            "memory ran out: run the stage again with more free memory, or on fewer cores (taskset)"
        ) from None


@contextmanager
def _cluster() -> Iterator[tuple[Executor, int]]:
    """Yield a pool of the Dask cluster that DASK_SCHEDULER_ADDRESS names, and the number of its threads.

    Raises:
        UserError: `distributed` is not installed.
        Unavailable: the cluster does not answer, has no worker, or its workers died.
    """
    address = os.environ[_CLUSTER]
    try:
        from distributed import Client, KilledWorker
    except ImportError:
        raise UserError(f"{_CLUSTER} is set: pip install -e '.[dask]' -c infra/constraints.txt") from None
    try:
        client = Client(address, timeout=_CLUSTER_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        message = f"cannot reach the Dask scheduler at {address} ({error}): start it, or unset {_CLUSTER}"
        raise Unavailable(message) from None
    with client:
        if not (threads := sum(client.nthreads().values())):
            raise Unavailable(f"the Dask cluster at {address} has no worker: dask worker {address}")
        try:
            yield client.get_executor(pure=False), threads
        except (KilledWorker, CancelledError) as error:
            raise Unavailable(
                f"instructions: the Dask cluster at {address} lost workers ({str(error)[:300]}): their logs say why"
            ) from None


def _begin_process() -> None:
    """Make a process of the pool end with its parent, and leave Ctrl-C to the parent."""
    process.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _screen_chunk(chunk: sources.Chunk, limits: ScreeningLimits) -> _ScreenedChunk:
    """Screen the rows of a chunk; runs in a process of the pool or in this one."""
    candidates, rejected = screen(list(sources.rows(chunk)), limits)
    items = [candidate.instruction for candidate in candidates]
    malformed = next((row for row in rejected if row.reason == "malformed"), None)
    return _ScreenedChunk(
        instructions=[f"{item.model_dump_json()}\n".encode() for item in items],
        ids=[int(item.instruction_id, 16) for item in items],
        cells=[(item.language, item.type, bucket(item.required_words)) for item in items],
        benchmark_hits=[candidate.benchmark_hit for candidate in candidates],
        signatures=signatures([item.prompt for item in items]),
        rejected=_json_lines(rejected),
        reasons=Counter(row.reason for row in rejected),
        first_malformed=f"{malformed.row_id}: {malformed.detail}" if malformed else None,
    )


def _json_lines(rows: Sequence[RejectedInstruction]) -> bytes:
    return "".join(f"{row.model_dump_json()}\n" for row in rows).encode()
