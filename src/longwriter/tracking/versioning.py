"""Asks DVC for the stages, their files and parameters, and the digests of files.

Only this file and `old_data.py` import dvc. Digests are DVC's own (md5 of a file, `.dir` of a folder), so
MLflow, `dvc.lock` and the DVC cache use one name for the same bytes.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.dvcfile import load_file
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.scm import SCMError
from dvc.stage.loader import StageLoader
from dvc_data.hashfile.build import build
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError

from longwriter import params as parameters
from longwriter.errors import BadRecord, StageBusy, UserError, without_password
from longwriter.hashing import content_hash
from longwriter.io import files

_TEMPLATE = re.compile(r"\$\{(?!item\.)([a-z_.]+)\}")
_VARYING = ("/calls.jsonl.zst", "/summary.json")
"""Outputs that differ between runs of the same stage."""
_TRIAL = b"longwriter doctor"
_BUSY = re.compile(r"\(PID (\d{1,10})\): (.{1,200})")  # dvc's words, one line for each file that is locked
_LOCKED = "Unable to acquire lock"  # dvc's words


class StageFiles(NamedTuple):
    """One stage of dvc.yaml with its templates filled in; paths are relative to the checkout."""

    cmd: str
    deps: list[str]
    outs: list[str]
    params: dict[str, Any]
    description: str = ""


def open_repo() -> Repo:
    """Open the DVC repository of the working directory.

    Raises:
        UserError: there is none, or no git repository around it.
        BadParams: params.yaml is not YAML, or different YAML readers read different values from it. It is read
            here first, because DVC would not name the line, and would crash on deep nesting.
    """
    try:
        if parameters.FILE.exists():
            parameters.read()
        return Repo(".")
    except NotDvcRepoError:
        raise UserError(
            f"{Path.cwd()} is not a checkout of the project: run this in the folder of dvc.yaml"
        ) from None
    except SCMError:
        raise UserError(
            f"{Path.cwd()} is no git repository: clone the project, or run `git init` here"
        ) from None


def _stages(repo: Repo) -> StageLoader:
    """Return the stages of dvc.yaml by name, without their hashes: to read dvc.lock takes longer than all the rest."""
    file = load_file(repo, "dvc.yaml")
    return StageLoader(file, file.contents)


def stage_groups() -> dict[str, str | None]:
    """Return {stage: its group} in dvc.yaml's order, with each item of a matrix stage as `NAME@ITEM`.

    The group is `meta.group` in dvc.yaml, which DVC itself does not read; None if a stage has none.

    Raises:
        UserError: dvc.yaml, or params.yaml that fills it, cannot be read.
    """
    with open_repo() as repo:
        try:
            stages = _stages(repo)
            return {name: (stages[name].meta or {}).get("group") for name in stages}
        except DvcException as error:
            raise UserError(f"dvc.yaml: {error}") from error


def stage_names() -> list[str]:
    """Return the stages of dvc.yaml in its order, with each item of a matrix as `NAME@ITEM`."""
    return list(stage_groups())


def stale_stages() -> set[str]:
    """Return the stages whose own files or parameters differ from dvc.lock, as `dvc status` names them.

    When one of them runs, later stages may become stale too; then only `dvc repro` shows which.

    Raises:
        StageBusy: another dvc command runs a stage in this checkout.
    """
    with open_repo() as repo:
        try:
            return set(repo.status())
        except LockError as error:
            raise StageBusy(busy(str(error)) or str(error)) from None


def missing_inputs(names: Collection[str]) -> list[str]:
    """Return the files and folders that stages read, but that are not here and no stage writes.

    What a .dvc file names is left out: `dvc pull` brings it.
    """
    with open_repo() as repo:
        stages = [stage for stage in repo.index.stages if stage.addressing in names]
        paths = {dep.def_path for stage in stages for dep in stage.deps if not hasattr(dep, "params")}
        written = [Path(out.def_path) for stage in repo.index.stages for out in stage.outs]
    return sorted(
        path
        for path in paths
        if "://" not in path
        and not Path(path).exists()
        and not any(Path(path).is_relative_to(out) or out.is_relative_to(path) for out in written)
    )


def inputs_of_other_stages(names: Collection[str]) -> dict[str, str]:
    """Return what is not here because other stages have to write it before these stages can run.

    Returns:
        {path: the stage that writes it}; what those stages lack in turn comes after it.
    """
    with open_repo() as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
    outs = {Path(out.def_path): name for name, stage in stages.items() for out in stage.outs}
    missing: dict[str, str] = {}
    wanted = [name for name in stages if name in names]
    for name in wanted:  # grows
        for dep in stages[name].deps:
            path = Path(dep.def_path)
            if hasattr(dep, "params") or path.exists():
                continue
            for out, writer in outs.items():
                if (path.is_relative_to(out) or out.is_relative_to(path)) and writer not in names:
                    missing[str(path)] = writer
                    if writer not in wanted:
                        wanted.append(writer)
    return missing


def busy(text: str) -> str | None:
    """Return a message for the user if dvc says that another dvc command works in the checkout, else None."""
    owners = dict.fromkeys(_BUSY.findall(text))
    if not owners and _LOCKED not in text:
        return None
    names = ", ".join(f"process {number} ({command.rstrip()})" for number, command in owners)
    return (
        f"another dvc command works in this checkout{': ' if names else ''}{names}: wait until it ends, and run this "
        "again"
    )


def stages_behind(names: Iterable[str]) -> set[str]:
    """Return the stages that read what one of these stages writes, directly or through others."""
    with open_repo() as repo:
        graph = repo.index.graph  # from a stage to those whose output it reads
        todo = [stage for stage in graph if stage.addressing in set(names)]
        behind = set()
        while todo:
            readers = [stage for stage in graph.predecessors(todo.pop()) if stage not in behind]
            behind.update(readers)
            todo += readers
        return {stage.addressing for stage in behind}


def share_cache(copy: Path) -> None:
    """Let a copy of this checkout use the same DVC cache, remotes and secrets, and link its data from there.

    Data that the cache does not have stays out, as in this checkout.

    Args:
        copy: A folder with the files that git tracks.
    """
    with open_repo() as repo:
        local = Path(repo.root_dir, ".dvc", "config.local")
        cache = repo.cache.local_cache_dir
    if local.is_file():
        shutil.copy2(local, copy / ".dvc" / "config.local")
    with Repo(str(copy)) as repo:
        with repo.config.edit("local") as config:
            config.setdefault("cache", {}).update(dir=cache, type=["reflink", "hardlink", "copy"])
        repo.close()
    with Repo(str(copy)) as repo:
        repo.checkout(force=True, allow_missing=True)


def stage_files(name: str) -> StageFiles:
    """Return a stage of dvc.yaml, with its templates filled in from params.yaml."""
    with open_repo() as repo:
        stage = _stages(repo)[name]
        deps, params = [], {}
        for dep in stage.deps:
            if hasattr(dep, "params"):
                params.update(dep.read_params())
            else:
                deps.append(dep.def_path)
        return StageFiles(stage.cmd, deps, [out.def_path for out in stage.outs], params, stage.desc or "")


def stage_params() -> dict[str, list[str]]:
    """Return {stage of dvc.yaml: the keys and sections of params.yaml that it names, in `params` or as ${KEY}}."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {
        name: [*stage["params"], *_TEMPLATE.findall(yaml.safe_dump(stage))] for name, stage in stages.items()
    }


def is_current(name: str, output: Path) -> bool:
    """Tell whether an output of a stage exists, and is the one that dvc.lock records for the current parameters.

    If dvc.lock has no entry of the stage, an output that exists counts as current. Code and data that the
    stage depends on are not compared.

    Args:
        name: Name of the stage.
        output: One of the stage's outputs in dvc.yaml.

    Raises:
        UserError: the working directory is no DVC repository.
    """
    if not output.exists():
        return False
    with open_repo() as repo:
        stage = repo.stage.load_one(name=name)
        if not any(out.hash_info for out in stage.outs):
            return True
        recorded = [out for out in stage.outs if out.def_path == str(output)]
        params = [dep for dep in stage.deps if hasattr(dep, "params")]
        return bool(recorded) and not any(item.workspace_status() for item in [*recorded, *params])


def digest(path: Path | str) -> str:
    """Return the DVC digest of one path; see `digests`."""
    return digests([path])[str(path)]


def digests(paths: Iterable[Path | str]) -> dict[str, str]:
    """Return the digest that DVC gives each path.

    DVC keeps the digests of files in its state database, by path, size and modification time, so a file that
    did not change is not read again. `.dvcignore` applies.

    Args:
        paths: Files, folders, or URLs of dependencies such as s3://bucket/prefix.

    Returns:
        {path: digest}; a digest is 32 hex digits for a file, followed by `.dir` for a folder.

    Raises:
        BadRecord: a path does not exist.
    """
    with open_repo() as repo:
        return {str(path): _digest(repo, str(path)) for path in paths}


def input_digests(deps: Iterable[str]) -> dict[str, str]:
    """Return the digests of a stage's dependencies; a dependency on `data/STAGE` is listed file by file.

    The items of a matrix stage all write below `data/STAGE`. The list has their outputs, so that the lineage
    names files. Call logs and summaries are left out, because they vary from run to run.

    Args:
        deps: Dependencies of one stage.

    Returns:
        {path: digest} as `digests` has them.
    """
    paths = []
    for dep in deps:
        is_stage_folder = Path(dep).parent == Path("data")
        paths += _outputs_in(dep) if is_stage_folder else [dep]
    return digests(paths)


def _outputs_in(folder: str) -> list[str]:
    with open_repo() as repo:
        outs = [out.def_path for out in repo.index.outs]
    return [out for out in outs if out.startswith(f"{folder}/") and not out.endswith(_VARYING)]


def _digest(repo: Repo, path: str) -> str:
    if "://" in path:
        dep = next((dep for stage in repo.index.stages for dep in stage.deps if dep.def_path == path), None)
        if dep is None or not dep.exists:
            raise BadRecord(f"{path} does not exist, or no stage depends on it")
        return str(dep.get_hash().value)
    absolute = Path(path).absolute()
    if not absolute.exists():
        raise BadRecord(files.missing_message(path))
    for file in (absolute, *absolute.rglob("*")):  # DVC would wait at a pipe without end
        if file.exists() and not (file.is_file() or file.is_dir()):
            name = Path(path) / file.relative_to(absolute)
            raise BadRecord(f"{name} is a pipe or a device: remove it, and make the file again")
    _, _, tree = build(repo.cache.local, str(absolute), localfs, "md5", ignore=repo.dvcignore, dry_run=True)
    return str(tree.hash_info.value)


def fingerprint(stage: StageFiles, deps: dict[str, str]) -> str:
    """Return the sha256 of everything that determines a stage's output.

    Args:
        stage: Its command and parameters.
        deps: {path: digest} of its dependencies.
    """
    return content_hash([stage.cmd, deps, stage.params])


def bytes_of(md5: str, path: str) -> Path:
    """Return a file whose content has this digest: in DVC's cache, or else at `path` in the checkout.

    Raises:
        BadRecord: neither of them has it.
    """
    with open_repo() as repo:
        cache_file = Path(repo.cache.local.oid_to_path(md5))
    for file in (cache_file, Path(path)):
        if file.is_file() and digest(file) == md5:
            return file
    raise BadRecord(
        f"{path} with md5 {md5} is not in the DVC cache: `dvc fetch` it with the dvc.lock of that time"
    )


def try_remote() -> tuple[str | None, str]:
    """Write, read and remove a small object in DVC's default remote, with DVC's own settings and credentials.

    Returns:
        Name and URL of the remote; (None, "") if there is none.

    Raises:
        UserError: the object cannot be written, read or removed.
    """
    with open_repo() as repo:
        if (name := repo.config["core"].get("remote")) is None:
            return None, ""
        url = str(repo.config["remote"].get(name, {}).get("url", ""))
        try:
            store = repo.cloud.get_remote_odb(name)
            folder = store.fs.join(store.path, f"longwriter-doctor-{uuid.uuid4().hex}")
            path = store.fs.join(folder, "object")
            store.fs.makedirs(folder, exist_ok=True)
            try:
                store.fs.pipe_file(path, _TRIAL)
                content = store.fs.cat_file(path)
            finally:
                store.fs.rm(folder, recursive=True)
        except Exception as error:  # each storage has its own errors
            reason = without_password(str(error).partition("\n")[0]) or type(error).__name__
            raise UserError(f"{name} ({without_password(url)}): {reason}") from None
    if content != _TRIAL:
        raise UserError(f"{name} ({without_password(url)}): gives back other bytes than were written")
    return name, url


def remote_settings() -> tuple[str, dict[str, str]]:
    """Return the URL of DVC's default remote and its settings, which may hold secrets; ("", {}) if there is none."""
    with open_repo() as repo:
        values = repo.config["remote"].get(repo.config["core"].get("remote"), {})
    return str(values.get("url", "")), {key: str(value) for key, value in values.items()}


def copy_folder(digest: str, target: Path) -> None:
    """Copy the files of a folder that DVC has stored to an empty folder.

    Files that are not in DVC's cache are pulled from the default remote first.

    Args:
        digest: DVC's digest of the folder; it ends in `.dir`.
        target: An empty folder.

    Raises:
        BadRecord: a file of it is neither in cache nor in remote, or a name in it leads out of the folder.
    """
    with open_repo() as repo:
        cache = repo.cache.local
        tree = HashInfo("md5", digest)
        try:
            if not Path(cache.oid_to_path(digest)).is_file():
                repo.cloud.pull([tree])
            members = [("/".join(key), hash_info.value) for key, _, hash_info in Tree.load(cache, tree)]
            if not all(Path(cache.oid_to_path(md5)).is_file() for _, md5 in members):
                repo.cloud.pull([tree])
        except (DvcException, ObjectFormatError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise BadRecord(
                f"weights with digest {digest} are not in DVC's cache or remote ({reason})"
            ) from None
        for name, md5 in members:
            cache_file = Path(cache.oid_to_path(md5))
            if not cache_file.is_file():
                raise BadRecord(f"{name} of the weights with digest {digest} is not in DVC's cache or remote")
            path = target / name
            if not path.resolve().is_relative_to(target.resolve()):
                raise BadRecord(f"{name!r} in the weights with digest {digest} leads out of their folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cache_file, path)
