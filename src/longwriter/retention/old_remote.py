"""Versions of data in the DVC remote that nothing needs any more.

`dvc gc --cloud` does not know which data the models in MLflow's registry need. It keeps the data of all nightly
branches for ever. And it removes at once what another checkout has pushed and not yet committed. Here, data that
was pushed lately stays, no matter who pushed it, and so does the data that the named other checkouts need.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.db import get_index

from longwriter.errors import Unavailable, UserError, without_password
from longwriter.io import s3
from longwriter.retention import old_data
from longwriter.tracking import versioning


class OldRemote(NamedTuple):
    """What nothing needs: the address of the remote, paths in it, and their size."""

    url: str
    paths: list[str]
    bytes: int


def find(nights: int, digests: Iterable[str], others: Sequence[Path], age: timedelta) -> OldRemote:
    """Return what can be removed from the default remote.

    Data stays if this checkout or one of the others needs it (its files, branches, tags or experiments), or if the
    caller names it. Of the nightly branches only the newest count.

    Args:
        nights: How many of the newest nightly branches keep their data.
        digests: DVC's digests of more data that is needed.
        others: Other checkouts that use the same remote.
        age: Data that came into the remote more recently than this stays.

    Raises:
        UserError: there is no default remote, it refuses the login, or another folder is no checkout.
        Unavailable: the remote cannot be read.
    """
    with versioning.open_repo() as repo:
        return _find(repo, nights, digests, others, age)


def remove(nights: int, digests: Iterable[str], others: Sequence[Path], age: timedelta) -> OldRemote:
    """Remove what `find` returns, while no dvc command of this checkout pushes or pulls."""
    with versioning.open_repo() as repo, repo.lock:
        old = _find(repo, nights, digests, others, age)
        store = _store(repo)
        lists = [path for path in old.paths if path.endswith(".dir")]
        files = [path for path in old.paths if not path.endswith(".dir")]
        for paths in (lists, files):  # a list without its files would look whole
            if paths:
                with s3.translated_errors(without_password(old.url)):
                    store.fs.remove(paths)
        get_index(store).clear()  # else the next push believes that the files are there
    return old


def _find(
    repo: Repo, nights: int, digests: Iterable[str], others: Sequence[Path], age: timedelta
) -> OldRemote:
    store = _store(repo)
    before = datetime.now(UTC) - age
    url = without_password(str(store.fs.unstrip_protocol(store.path)))
    try:
        with ExitStack() as stack:
            stack.enter_context(s3.translated_errors(url))
            needed = old_data.needed_by(repo, nights, digests, [repo.cache.local, store])
            for folder in others:
                other = stack.enter_context(_checkout(folder))
                needed |= old_data.needed_by(other, nights, (), [])
            paths = [store.oid_to_path(digest) for digest in sorted(set(store.all()) - needed)]
            old = [path for path in paths if _modified(store, path) < before]
            size = sum(store.fs.size(path) for path in old)
    except PermissionError as error:
        raise UserError(f"{url} refuses this login ({error}): check the keys and their rights") from None
    except (OSError, DvcException) as error:
        message = f"cannot list what the DVC remote {url} holds and what is needed ({error.__cause__ or error}): nothing was removed"
        raise Unavailable(message) from error
    return OldRemote(str(store.fs.unstrip_protocol(store.path)), old, size)


def _store(repo: Repo) -> Any:
    try:
        return repo.cloud.get_remote_odb()
    except NoRemoteError:
        raise UserError("DVC has no default remote: dvc remote add --default NAME URL") from None


def _checkout(folder: Path) -> Repo:
    try:
        return Repo(str(folder))
    except DvcException:
        raise UserError(f"--checkout {folder}: no folder with a .dvc below: name checkouts") from None


def _modified(store: Any, path: str) -> datetime:
    time: datetime = store.fs.modified(path)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
