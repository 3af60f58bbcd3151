import errno
import os
import pwd
import sqlite3

import pytest

from longwriter.io import disk


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk full ("),
        (sqlite3.OperationalError("database or disk is full"), "disk full ("),
        (OSError("1775 requested and 0 written"), "disk full ("),  # numpy's tofile
        (
            OSError(errno.EROFS, "Read-only file system", ".lw/tmp"),
            "no access to .lw/tmp (Read-only file system)",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", ".lw/tmp"),
            ".lw/tmp is a file where a folder is needed",
        ),
        (
            IsADirectoryError(errno.EISDIR, "Is a directory", ".lw/replay.lock"),
            ".lw/replay.lock is a file where",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "n" * 900),
            f"{'n' * 80}: no such file (File name too long)",
        ),
    ],
)
def test_trouble_of_the_disk_is_one_line_also_below_other_errors(error, words):
    outer = RuntimeError("a database failed")
    outer.__cause__ = error
    for raised in (error, outer):
        assert words in disk.trouble(raised)
        assert "\n" not in disk.trouble(raised)


def test_an_error_that_is_none_of_the_disk_is_no_trouble(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert os.statvfs(".").f_bavail, "the disk has room"
    for error in (
        ValueError("a"),
        ValueError("1775 requested and 0 written"),
        sqlite3.OperationalError("disk I/O error"),
        OSError(errno.EPIPE, "Broken pipe"),
    ):
        assert disk.trouble(error) is None


def test_the_log_of_another_process_says_that_the_disk_was_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert disk.trouble_of_log(
        "OSError: [Errno 28] No space left on device\nDatasetGenerationError: x"
    ).startswith("disk full (")
    assert disk.trouble_of_log("DatasetGenerationError: x") is None
    torch_error = "RuntimeError: [enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"
    assert disk.trouble_of_log(torch_error) is None, "the disk has room"


def test_a_folder_of_another_user_is_named_with_its_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 12345)  # no test may count on being root
    message = disk.trouble(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "new" / "file")))
    owner = pwd.getpwuid(os.getuid()).pw_name
    assert (
        f"{tmp_path} belongs to {owner}, and this is user {os.getuid() + 12345}: run this as {owner}, or"
        in message
    )
