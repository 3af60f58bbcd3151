"""Folders for temporary files, with processes that are killed."""

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from longwriter.io import scratch

OWNER = """
import signal, sys
from longwriter.io import scratch

with scratch.folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    signal.pause()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The system's folder for temporary files, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def owner():
    """Start a process that has a folder; return both."""
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_empty_only_for_its_user_and_removed_after_its_block(place):
    with scratch.folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not list(folder.iterdir())
        (folder / "file").touch()
    assert not list(place.iterdir())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one_and_that_of_a_living_one_is_kept():
    (killed, left), (living, used) = owner(), owner()
    with killed, living:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "file").exists()
        with scratch.folder():
            assert not left.exists()
            assert (used / "file").exists()
        living.terminate()


def test_what_is_no_folder_of_this_user_is_kept(place):
    prefix = f"longwriter-{os.geteuid()}-"
    kept = place / "kept"
    (kept / "inner").mkdir(parents=True)
    (place / f"{prefix}link").symlink_to(kept)
    (place / f"{prefix}file").touch()
    (place / "longwriter-services-1").mkdir()
    before = sorted(place.rglob("*"))
    with scratch.folder():
        pass
    assert sorted(place.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_the_folder_of_another_user_is_kept(place):
    folder = place / f"longwriter-{os.geteuid()}-other"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with scratch.folder():
        pass
    assert folder.exists()


def test_each_of_many_at_once_has_a_folder_of_its_own(place):
    def use(number):
        with scratch.folder() as folder:
            (folder / str(number)).touch()
            return [file.name for file in folder.iterdir()]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(use, range(200))) == [[str(number)] for number in range(200)]
    assert not list(place.iterdir())
