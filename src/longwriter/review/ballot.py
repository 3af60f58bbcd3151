"""The file of votes: each vote is on disk before it is acknowledged, and each rater votes once on a pair."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longwriter.errors import UserError
from longwriter.io import files
from longwriter.records import Vote
from longwriter.review import pairs

NAME = "review.jsonl"


class Ballot:
    """The votes of a folder; one process at a time writes them. Made by `open_folder`."""

    def __init__(self, descriptor: int, votes: list[Vote]) -> None:
        """Keep the open file and the votes in it."""
        self._descriptor = descriptor
        self._voted = {(vote.rater, pairs.voted_pair_id(vote)) for vote in votes}

    def has(self, rater: str, pair_id: str) -> bool:
        """Tell whether a rater has voted on a pair."""
        return (rater, pair_id) in self._voted

    def add(self, vote: Vote) -> bool:
        """Write a vote; return False, and write nothing, if the rater has voted on the pair before.

        The vote is on disk when this returns: after a kill or a loss of power it is there, once.
        """
        key = (vote.rater, pairs.voted_pair_id(vote))
        if key in self._voted:
            return False
        line = f"{vote.model_dump_json()}\n".encode()
        while line:
            line = line[os.write(self._descriptor, line) :]
        os.fsync(self._descriptor)
        self._voted.add(key)
        return True


@contextmanager
def open_folder(folder: Path) -> Iterator[Ballot]:
    """Yield the ballot of a folder, which is created if it is missing.

    A line that a kill left unfinished is cut off: its rater got no confirmation.

    Raises:
        UserError: another process has it open.
        BadRecord: a line is no vote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    is_locked = False
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except OSError:
            raise UserError(
                f"another `longwriter review` writes {path}: stop it, or name another --votes"
            ) from None
        content = path.read_bytes()
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        yield Ballot(descriptor, files.read_jsonl(path, Vote))
    finally:
        if is_locked and not os.fstat(descriptor).st_size:
            path.unlink(missing_ok=True)  # an empty file too would make the stage fitness run again
        os.close(descriptor)
