"""What leaves a DVC remote that two checkouts share: neither what one of them needs, nor what came lately."""

import os
import shutil
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dvc.repo import Repo

from longwriter.errors import Unavailable, UserError
from longwriter.retention import old_remote
from tests import buckets
from tests.unit.retention.test_old_data import initialised, repo, run_with  # noqa: F401

DAY = timedelta(days=1)


@pytest.fixture
def remote(repo, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("remote")
    with Repo(".") as dvc, dvc.config.edit("repo") as config:
        config["remote"] = {"shared": {"url": str(folder)}}
        config["core"] = {**config.get("core", {}), "remote": "shared"}
    return folder


def push():
    with Repo(".") as dvc:
        dvc.push()


def contents(remote, with_lists=False):
    paths = [path for path in remote.rglob("*") if path.is_file()]
    return sorted(path.read_text() for path in paths if with_lists or path.suffix != ".dir")


def make_old(remote, days=2):
    then = time.time() - days * 86_400
    for path in remote.rglob("*"):
        os.utime(path, (then, then))


def test_branches_newest_nights_and_what_came_lately_stay_in_the_remote(remote):
    for text, branch in (
        ("first", "main"),
        ("night a", "nightly/a"),
        ("night b", "nightly/b"),
        ("lost", None),
    ):
        run_with(text, branch)
        push()
    make_old(remote)
    run_with("of today")
    push()
    run_with("first", "main")
    old = old_remote.find(1, set(), [], DAY)
    assert sorted(Path(path).read_text() for path in old.paths) == ["lost", "night a"]
    assert old.bytes == len("lost") + len("night a")
    assert old.url == f"{remote}/files/md5"
    assert len(contents(remote)) == 5
    assert old_remote.remove(1, set(), [], DAY) == old
    assert contents(remote) == ["first", "night b", "of today"]
    assert old_remote.remove(1, set(), [], DAY).paths == []


def test_what_was_removed_is_pushed_again_when_it_is_needed_again(remote):
    run_with("lost")
    push()
    make_old(remote)
    run_with("first", "main")
    old_remote.remove(1, set(), [], DAY)
    assert contents(remote) == []
    run_with("lost")
    push()
    assert contents(remote) == ["lost"]


def test_what_another_checkout_or_the_caller_needs_stays_with_the_files_of_a_folder(
    repo,  # noqa: F811
    remote,
    tmp_path_factory,
    monkeypatch,
):
    run_with("first", "main")
    other = tmp_path_factory.mktemp("other") / "checkout"
    shutil.copytree(".", other)
    Path("folder").mkdir()
    Path("folder/a.txt").write_text("a of the registry")
    with Repo(".") as dvc:
        digest = dvc.add(["folder"])[0].outs[0].hash_info.value
    push()
    Path("folder.dvc").unlink()
    (other / "in.txt").write_text("of the other")
    monkeypatch.chdir(other)
    with Repo(".") as dvc:
        dvc.reproduce()
    push()
    monkeypatch.chdir(repo)
    make_old(remote)
    shutil.rmtree(".dvc/cache/files")  # a fresh clone has no list of the folder's files
    assert old_remote.find(1, {digest}, [other], DAY).paths == []
    without = [Path(path).read_text() for path in old_remote.find(1, set(), [], DAY).paths]
    assert "of the other" in without
    assert "a of the registry" in without
    assert "first" in contents(remote)


def test_a_folder_that_is_no_checkout_and_a_missing_remote_are_reported(repo, remote, tmp_path_factory):  # noqa: F811
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.raises(UserError, match=r"--checkout .*: no folder with a \.dvc below"):
        old_remote.find(1, set(), [nowhere], DAY)
    with Repo(".") as dvc, dvc.config.edit("repo") as config:
        del config["core"]["remote"]
    with pytest.raises(UserError, match="no default remote"):
        old_remote.find(1, set(), [], DAY)


def test_in_s3_too_only_what_nothing_needs_is_removed(repo, tmp_path_factory, monkeypatch):  # noqa: F811
    with buckets.server(tmp_path_factory.mktemp("moto")) as (env, client):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        client.create_bucket(Bucket="data")
        with Repo(".") as dvc, dvc.config.edit("repo") as config:
            config["remote"] = {"s3": {"url": "s3://data/dvc", "endpointurl": env["AWS_ENDPOINT_URL"]}}
            config["core"] = {**config.get("core", {}), "remote": "s3"}

        def texts():
            keys = [item["Key"] for item in client.list_objects_v2(Bucket="data")["Contents"]]
            return sorted(client.get_object(Bucket="data", Key=key)["Body"].read().decode() for key in keys)

        run_with("needed", "main")
        push()
        run_with("lost")
        push()
        run_with("needed")
        assert texts() == ["lost", "needed"]
        assert old_remote.remove(1, set(), [], DAY).paths == []
        old = old_remote.remove(1, set(), [], timedelta())
        assert (old.url, len(old.paths), old.bytes) == ("s3://data/dvc/files/md5", 1, len("lost"))
        assert texts() == ["needed"]
    for needed in (
        set(),
        {f"{'a' * 32}.dir"},
    ):  # the list of a folder that is not in the cache is looked for in S3
        with pytest.raises(Unavailable, match=r"^s3://data/dvc/files/md5: .*check AWS_ENDPOINT_URL"):
            old_remote.find(1, needed, [], DAY)


class _Refuses(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(403)

    do_GET = do_HEAD


def test_a_remote_that_refuses_the_login_is_reported_as_such(repo):  # noqa: F811
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        keys = {"access_key_id": "a", "secret_access_key": "b"}
        with Repo(".") as dvc, dvc.config.edit("repo") as config:
            config["remote"] = {"shared": {"url": "s3://data/dvc", "endpointurl": url, **keys}}
            config["core"] = {**config.get("core", {}), "remote": "shared"}
        with pytest.raises(UserError, match=r"^s3://data/dvc/files/md5 refuses this login .*check the keys"):
            old_remote.find(1, {f"{'a' * 32}.dir"}, [], DAY)
        server.shutdown()
