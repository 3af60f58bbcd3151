"""An S3 server on loopback: Ceph's RADOS gateway with one monitor and one store, which is a file of the folder.

It is for one machine and for tests: one copy of the data, so a lost disk is lost data. Behind the same
variables (AWS_ENDPOINT_URL and keys) stands any other S3. Two users, and each owns only its own bucket: the
pipeline cannot change MLflow's artifacts, and MLflow cannot read data.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import boto3
import httpx2
from botocore.config import Config

from infra.services import state
from infra.services.state import State
from longwriter.errors import UserError

BUCKETS = {"pipeline": "longwriter-data", "mlflow": "longwriter-mlflow"}
"""{user: the only bucket of that user}"""
REGION = "us-east-1"
_STORE_BYTES = 64 * 2**30  # a sparse file: it takes only what is stored
_READY_S = 120.0
_CONF = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = {bytes}
osd memory target = 939524096
run dir = {folder}/run
log file = {folder}/$name.log
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
mon data = {folder}/mon
osd data = {folder}/osd
keyring = {folder}/keyring
public addr = 127.0.0.1
cluster addr = 127.0.0.1
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}/rgw
"""


def check() -> None:
    """Do nothing if Ceph is installed; else a UserError names the packages."""
    programs = ("ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
    state.need(programs, "--no-install-recommends ceph-mon ceph-osd radosgw", shutil.which)


def start(services: State) -> None:
    """Start monitor, store and gateway; the first time they are made, with users and buckets."""
    folder = services.folder / "s3"
    is_new = not (folder / "ready").exists()
    if is_new:
        _init_monitor(services, folder)
    conf = ["-c", str(folder / "ceph.conf")]
    services.start("ceph", ["ceph-mon", *conf, "-f", "-i", "a"], lambda: _ceph(folder, "status") is not None)
    if is_new:
        _init_store(folder)
    services.start("ceph_store", ["ceph-osd", *conf, "-f", "-i", "0"], lambda: _has_store(folder))
    if is_new:
        _init_users(services, folder)
        (folder / "ready").touch(mode=0o600)
    services.start("s3", ["radosgw", *conf, "-n", "client.rgw", "-f"], lambda: _answers(services))
    for user, bucket in BUCKETS.items():
        _ensure_bucket(services, user, bucket)


def client(services: State, user: str) -> Any:
    """Return a client of boto3 with the keys of a user."""
    keys = services.secrets
    return boto3.Session().client(
        "s3", endpoint_url=services.url("s3"), region_name=REGION, aws_access_key_id=keys[f"s3_{user}_id"],
        aws_secret_access_key=keys[f"s3_{user}_key"],
        config=Config(proxies={}, signature_version="s3v4", s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                      response_checksum_validation="when_required", read_timeout=60),
    )  # fmt: skip


def env(services: State, user: str) -> dict[str, str]:
    """Return the variables with which boto3, DVC and MLflow reach the server as a user."""
    return {
        "AWS_ENDPOINT_URL": services.url("s3"),
        "AWS_ACCESS_KEY_ID": services.secrets[f"s3_{user}_id"],
        "AWS_SECRET_ACCESS_KEY": services.secrets[f"s3_{user}_key"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # boto3's default breaks many S3 servers
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def _init_monitor(services: State, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a first start that was interrupted
    for name in ("mon", "osd", "rgw", "run"):
        (folder / name).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    fsid, ports = str(uuid.uuid4()), services.ports
    address = f"[v2:127.0.0.1:{ports['ceph']},v1:127.0.0.1:{ports['ceph_v1']}]"
    conf = _CONF.format(
        fsid=fsid, folder=folder, port=ports["s3"], v2=ports["ceph"], v1=ports["ceph_v1"], bytes=_STORE_BYTES
    )
    state.write_private(folder / "ceph.conf", conf)
    keyring = str(folder / "keyring")
    _run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "client.rgw", "osd.0"):
        caps = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        _run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)
    monmap = str(folder / "monmap")
    _run("monmaptool", "--create", "--clobber", "--addv", "a", address, "--fsid", fsid, monmap)
    conf_words = ("-c", str(folder / "ceph.conf"))
    _run("ceph-mon", *conf_words, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)


def _init_store(folder: Path) -> None:
    number = str(uuid.uuid4())
    _run("ceph", "-c", str(folder / "ceph.conf"), "osd", "new", number)
    _run("ceph-osd", "-c", str(folder / "ceph.conf"), "-i", "0", "--mkfs", "--osd-uuid", number)


def _init_users(services: State, folder: Path) -> None:
    for user in BUCKETS:
        words = ("user", "create", f"--uid={user}", f"--display-name={user}", "--max-buckets=1")
        made = json.loads(_run("radosgw-admin", "-c", str(folder / "ceph.conf"), "-n", "client.rgw", *words))
        keys = made["keys"][0]
        services.keep_secrets({f"s3_{user}_id": keys["access_key"], f"s3_{user}_key": keys["secret_key"]})


def _ensure_bucket(services: State, user: str, bucket: str) -> None:
    s3 = client(services, user)
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            if bucket not in [row["Name"] for row in s3.list_buckets()["Buckets"]]:
                s3.create_bucket(Bucket=bucket)
            return
        except s3.exceptions.ClientError as error:  # the first seconds after a start
            if time.monotonic() > deadline:
                raise UserError(f"the S3 server refuses the bucket {bucket} of {user}: {error}") from None
            time.sleep(0.5)


def _has_store(folder: Path) -> bool:
    status = _ceph(folder, "osd", "stat", "--format=json")
    return bool(status) and json.loads(str(status)).get("num_up_osds") == 1


def _answers(services: State) -> bool:
    try:
        return httpx2.get(services.url("s3"), timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def _ceph(folder: Path, *words: str) -> str | None:
    """Return what the monitor answers; None if it does not."""
    command = ["ceph", "-c", str(folder / "ceph.conf"), "--connect-timeout", "5", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=_env(), cwd=folder, umask=0o077
    )
    return done.stdout if done.returncode == 0 else None


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_env(), umask=0o077)
    if done.returncode:
        reason = done.stderr.strip().replace("\n", " ")[-400:]
        raise UserError(f"{' '.join(command[:4])} failed ({reason}): remove the folder s3 and start again")
    return done.stdout


def _env() -> dict[str, str]:
    """Return an environment for the programs of Ceph, some of which are scripts of the system's Python."""
    env = state.base_env()
    return {name: value for name, value in env.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
