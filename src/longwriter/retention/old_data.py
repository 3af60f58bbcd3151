"""Versions of data in the DVC cache of this checkout that nothing needs any more.

`dvc gc` alone would remove too much and too little. It does not know which data the models in MLflow's registry
need. It keeps the data of all nightly branches for ever. It removes the small outputs that git keeps, without which
no entry of the run cache can be restored. And it keeps entries whose outputs are gone; such an entry hides older
entries of the same input. Only the cache of the checkout is touched: old_remote.py removes data from the remote.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError

from longwriter.errors import UserError
from longwriter.tracking import git, versioning

_NIGHTLY = (
    "/nightly/"  # of this checkout (refs/heads/nightly/DATE) and pushed ones (refs/remotes/NAME/nightly/DATE)
)


class OldData(NamedTuple):
    """What nothing needs: files and lists of folders in the cache, entries of the run cache, and the size of all."""

    objects: list[Path]
    entries: list[Path]
    bytes: int


def find(nights: int, digests: Iterable[str]) -> OldData:
    """Return what can be removed.

    Data stays if the checkout, a branch, a tag or an experiment needs it, or if the caller names it. Of the nightly
    branches only the newest count.

    Args:
        nights: How many of the newest nightly branches keep their data.
        digests: DVC's digests of more data that is needed.

    Raises:
        UserError: the cache lies outside the checkout, so others may use it.
    """
    with versioning.open_repo() as repo:
        return _find(repo, nights, digests)


def remove(nights: int, digests: Iterable[str]) -> OldData:
    """Remove what `find` returns, while no dvc command changes the cache."""
    with versioning.open_repo() as repo, repo.lock:
        old = _find(repo, nights, digests)
        for path in sorted([*old.entries, *old.objects], key=lambda path: not path.name.endswith(".dir")):
            path.unlink(missing_ok=True)
        for entry in old.entries:
            with contextlib.suppress(OSError):  # others are left in it
                entry.parent.rmdir()  # DVC crashes at an empty one
    return old


def _find(repo: Repo, nights: int, digests: Iterable[str]) -> OldData:
    cache = repo.cache.local
    if not Path(cache.path).resolve().is_relative_to(Path(repo.root_dir).resolve()):
        raise UserError(
            f"DVC's cache {cache.path} lies outside this checkout, so others may use it: name all of them with "
            "dvc gc --workspace --all-branches --all-tags --projects FOLDER"
        )
    live_digests = needed_by(repo, nights, digests, [cache])
    cache_digests = set(cache.all())
    by_git = {out.def_path for out in repo.index.outs if not out.use_cache}
    entries = []
    for path in sorted(Path(repo.stage_cache.cache_dir).glob("*/*/*")):
        outs = _outputs(path)
        small = {digest for name, digest in outs if name in by_git}
        if all(
            digest in cache_digests and (digest in live_digests or name in by_git) for name, digest in outs
        ):
            live_digests |= small
        else:
            entries.append(path)
    objects = [Path(cache.oid_to_path(digest)) for digest in sorted(cache_digests - live_digests)]
    return OldData(objects, entries, sum(path.stat().st_size for path in [*objects, *entries]))


def needed_by(repo: Repo, nights: int, digests: Iterable[str], stores: Sequence[Any]) -> set[str]:
    """Return the digests of the data that a checkout needs, as `find` says; for a folder, of its files too.

    Args:
        repo: The checkout.
        nights: How many of the newest nightly branches keep their data.
        digests: DVC's digests of more data that is needed.
        stores: Where DVC finds the list of files of a folder: its cache, a remote.
    """
    revisions = _revisions(nights, repo.root_dir)
    with _without_warnings():
        objects = repo.used_objs(revs=revisions, all_tags=True, all_experiments=True, force=True)
    live_digests = {str(item.value) for items in objects.values() for item in items}
    for digest in digests:
        live_digests |= {digest, *(member for store in stores for member in _members(store, digest))}
    return live_digests


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide DVC's warnings of data that a branch names and nobody has: there is nothing to keep and nothing to remove."""
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _revisions(nights: int, folder: str) -> list[str]:
    """Return the branches; of the nightly branches, only the newest."""
    order = ("--sort=-refname", "--sort=-committerdate")  # by time, then by name
    words = ("-C", folder, "for-each-ref", *order, "--format=%(refname)")
    branches = git.lines(*words, "refs/heads", "refs/remotes")
    newest = list(dict.fromkeys(filter(None, map(_night, branches))))[:nights]
    return [name for name in branches if _night(name) in {"", *newest} and not name.endswith("/HEAD")]


def _night(ref: str) -> str:
    """Return the date of a nightly branch; "" for another branch."""
    place, _, date = ref.partition(_NIGHTLY)
    is_nightly = place == "refs/heads" or (place.startswith("refs/remotes/") and place.count("/") == 2)
    return date if is_nightly else ""


def _members(store: Any, digest: str) -> Iterator[str]:
    """Yield the digests of a folder's files; nothing for a file, or if the list of the folder is not in the store."""
    if digest.endswith(".dir"):
        try:
            tree = Tree.load(store, HashInfo("md5", digest))
        except (FileNotFoundError, ObjectFormatError):
            return
        yield from (str(item.value) for _, _, item in tree)


def _outputs(entry: Path) -> list[tuple[str, str]]:
    """Return (path, digest) of each output of a run; a digest is empty if the entry cannot be read."""
    try:
        return [(str(out["path"]), str(out["md5"])) for out in yaml.safe_load(entry.read_bytes())["outs"]]
    except (yaml.YAMLError, KeyError, TypeError):
        return [(str(entry), "")]
