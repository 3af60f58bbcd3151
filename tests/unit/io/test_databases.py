"""Damaged SQLite files are named and set aside, and what can be read of them is used."""

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from longwriter.errors import Unavailable
from longwriter.io import databases

PAGE = 4096


def database(path, rows=2000, suffix=""):
    """Write a database with an ordinary table, a table without rowid, and an index."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE runs (name TEXT, size INTEGER)")
        db.execute(f"CREATE TABLE answers (hash TEXT PRIMARY KEY, body BLOB){suffix}")
        db.execute("CREATE INDEX by_size ON runs (size)")
        db.execute("PRAGMA user_version = 7")
        for number in range(rows):
            db.execute("INSERT INTO runs VALUES (?, ?)", (f"run {number}", number))
            db.execute("INSERT INTO answers VALUES (?, ?)", (f"{number:06}", b"x" * 40))
        db.commit()
    return path


def counts(path):
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("runs", "answers")]


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_file_is_no_damaged_database(tmp_path, content):
    file = tmp_path / "x.db"
    if content is not None:
        file.write_bytes(content)
    assert databases.damage(file) is None
    assert databases.repair(file) is None


def test_a_whole_database_stays_unchanged(tmp_path):
    file = database(tmp_path / "x.db")
    before = file.read_bytes()
    assert databases.repair(file) is None
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.parametrize("suffix", ["", " WITHOUT ROWID"])
@pytest.mark.parametrize("page", [20, 40])
def test_the_rows_around_an_overwritten_page_are_kept(tmp_path, suffix, page):
    file = database(tmp_path / "x.db", suffix=suffix)
    content = bytearray(file.read_bytes())
    content[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    file.write_bytes(content)
    message = databases.repair(file)
    (aside,) = tmp_path.glob("x.db.damaged-*")
    assert str(file) in message
    assert aside.name in message
    assert aside.read_bytes() == content
    assert databases.damage(file) is None
    runs, answers = counts(file)
    assert runs + answers > 3000  # of 4,000
    assert f"{runs + answers:,} rows could be read" in message
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (7,)
        assert db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
        ).fetchall() == [("by_size",)]


def test_a_file_that_was_cut_gives_the_rows_before_the_cut(tmp_path):
    file = database(tmp_path / "x.db")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])
    assert "rows could be read" in databases.repair(file)
    assert sum(counts(file)) > 500


@pytest.mark.parametrize(
    "content", [b"no database at all" * 999, b"\0" * 9000, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path, content):
    file = tmp_path / "x.db"
    file.write_bytes(content)
    assert "0 rows could be read" in databases.repair(file)
    assert not file.exists()
    assert [path.read_bytes() for path in tmp_path.glob("x.db.damaged-*")] == [content]


def test_a_folder_in_the_place_of_a_database_is_set_aside(tmp_path):
    (tmp_path / "x.db").mkdir()
    assert "is no file: kept as x.db.damaged-" in databases.repair(tmp_path / "x.db")
    assert not (tmp_path / "x.db").exists()


def test_a_second_damaged_file_of_the_same_second_keeps_its_own_name(tmp_path):
    for content in (b"one" * 999, b"two" * 999):
        (tmp_path / "x.db").write_bytes(content)
        databases.set_aside(tmp_path / "x.db")
    assert len(list(tmp_path.glob("x.db.damaged-*"))) == 2


def test_a_database_that_another_process_writes_is_not_damaged(tmp_path):
    file = database(tmp_path / "x.db", rows=10)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO runs VALUES ('new', 1)")
        assert databases.damage(file) is None
        writer.execute("COMMIT")
    assert counts(file) == [11, 10]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_folder_in_the_place_of_a_file_beside_a_database_is_set_aside_and_no_row_is_lost(tmp_path, suffix):
    file = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE t (a)")
        db.execute("INSERT INTO t VALUES (5)")
        db.commit()
    (tmp_path / f"a.sqlite{suffix}").mkdir()
    message = databases.repair(file)
    assert message
    assert f"a.sqlite{suffix}.damaged-" in message
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("INSERT INTO t VALUES (6)")
        assert db.execute("SELECT a FROM t").fetchall() == [(5,), (6,)]
    assert databases.repair(file) is None


@pytest.mark.parametrize("name", ["device", "link"])
def test_a_device_in_the_place_of_a_database_is_neither_renamed_nor_replaced(tmp_path, name):
    device = tmp_path / "device"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # a node of its own, never that of /dev
    except PermissionError:
        pytest.skip("only root may make a device")
    (tmp_path / "link").symlink_to(device)
    with pytest.raises(Unavailable, match=r"is a device, or a link to one, and no database: remove it"):
        databases.repair(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "link"]
    assert device.is_char_device()
