"""Backup of the services and of `.lw`, and the way back into new services.

A backup is a folder with a dump of each database (`postgres/`), the bytes of each object of both buckets
(`objects/`, by their sha256), `.lw` of each named checkout as a tar file, the secrets (MLflow's logins are in its
database, so its passwords have to come back with it), and `manifest.json`. Databases are dumped before objects
are copied: each artifact that a database names was stored before, so it is in the backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.services import postgres, s3, state
from infra.services.state import State
from longwriter.amounts import amount
from longwriter.errors import UserError

_MADE_AGAIN = ("quick", "served", "services")  # folders of .lw that a run makes again


def backup(services: State, target: Path, checkouts: list[Path]) -> str:
    """Write a backup of running services; return a line that says what is in it.

    Raises:
        UserError: the target exists, a checkout has no `.lw`, or a dump failed; then nothing is left of the backup.
    """
    if target.exists():
        raise UserError(f"{target}: is there already: name a new folder")
    if missing := [str(path) for path in checkouts if not (path / ".lw").is_dir()]:
        raise UserError(f"{', '.join(missing)}: no .lw below: name checkouts")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        state.write_private(part / "secrets.json", services.secrets)
        for database in postgres.DATABASES:
            _dump(services, database, part / "postgres" / f"{database}.dump")
        objects = {bucket: dict(_fetch(services, user, bucket, part)) for user, bucket in s3.BUCKETS.items()}
        for number, checkout in enumerate(checkouts):
            _pack(checkout, part / f"lw-{number}-{checkout.resolve().name}.tar")
        files = sorted([*part.glob("postgres/*"), *part.glob("*.tar"), part / "secrets.json"])
        sums = {str(path.relative_to(part)): _sha256(path) for path in files}
        state.write_private(part / "manifest.json", {"objects": objects, "files": sums})
        part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    count = sum(map(len, objects.values()))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return f"{target}: {amount(len(postgres.DATABASES), 'database')}, {amount(count, 'object')}, {len(checkouts)} x .lw, {size / 1e6:,.1f} MB"


def restore(services: State, source: Path) -> str:
    """Fill new, empty services with a backup; PostgreSQL and S3 run, MLflow and Prefect do not yet.

    Raises:
        UserError: a file of the backup is missing or changed, or a database refuses its dump.
    """
    manifest = check(source)
    for database in postgres.DATABASES:
        words = [
            "--no-owner",
            f"--role={postgres.DATABASES[database]}",
            "--exit-on-error",
            f"--dbname={database}",
        ]
        _must(services, "pg_restore", *words, str(source / "postgres" / f"{database}.dump"))
    for user, bucket in s3.BUCKETS.items():
        client = s3.client(services, user)
        for key, digest in manifest["objects"][bucket].items():
            client.upload_file(str(_object(source, digest)), bucket, key)
    count = sum(map(len, manifest["objects"].values()))
    return f"{len(postgres.DATABASES)} databases and {count:,} objects are restored from {source}"


def restore_secrets(services: State, source: Path) -> None:
    """Take the passwords of the backup; new services make S3 keys of their own."""
    values = json.loads((source / "secrets.json").read_text())
    services.keep_secrets({name: value for name, value in values.items() if not name.startswith("s3_")})


def check(source: Path) -> dict[str, Any]:
    """Return the manifest of a backup whose files all have their sha256.

    Raises:
        UserError: a file is missing or changed.
    """
    file = source / "manifest.json"
    if not file.is_file():
        raise UserError(f"{source}: no backup: manifest.json is missing")
    manifest: dict[str, Any] = json.loads(file.read_text())
    digests = {digest for objects in manifest["objects"].values() for digest in objects.values()}
    files = {_object(source, digest): digest for digest in digests}
    files |= {source / name: digest for name, digest in manifest["files"].items()}
    for path, digest in files.items():
        if not path.is_file() or _sha256(path) != digest:
            raise UserError(f"{path}: missing or changed: take another backup")
    return manifest


def _dump(services: State, database: str, file: Path) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    _must(services, "pg_dump", "--format=custom", f"--file={file}", database)
    file.chmod(0o600)


def _must(services: State, program: str, *words: str) -> None:
    command = [str(postgres.program(program)), *words]
    env = {**state.base_env(), **postgres.admin_env(services)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{program} {words[-1]} failed: {done.stderr.strip()}")


def _fetch(services: State, user: str, bucket: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Copy the objects of a bucket; yield (key, sha256)."""
    client = s3.client(services, user)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                client.download_fileobj(bucket, item["Key"], file)
            digest = _sha256(Path(file.name))
            target = _object(folder, digest)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(file.name).replace(target)
            yield item["Key"], digest


def _object(folder: Path, digest: str) -> Path:
    return folder / "objects" / digest[:2] / digest


def _pack(checkout: Path, file: Path) -> None:
    """Write `.lw` of a checkout to a tar file; a database is copied as of one moment, also while it is written."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, os.fdopen(
        os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as out, tarfile.open(fileobj=out, mode="w") as tar:  # fmt: skip
        for path in sorted((checkout / ".lw").rglob("*")):
            name = path.relative_to(checkout)
            if name.parts[1] in _MADE_AGAIN or path.name.endswith(("-wal", "-shm", "-journal", ".lock")):
                continue
            if path.is_symlink() or not path.is_file():
                continue
            copy = path
            with path.open("rb") as head:
                is_database = head.read(16) == b"SQLite format 3\0"
            if is_database:
                copy = Path(folder) / "copy.db"
                copy.unlink(missing_ok=True)
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as new:
                    source.backup(new)
            tar.add(copy, arcname=str(name), recursive=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
