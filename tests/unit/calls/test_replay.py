import json
import random
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
import zstandard

from longwriter.calls import replay
from longwriter.calls.replay import ReplayCache, Row, Speed
from longwriter.errors import Unavailable

WRITER = """
import os, signal, sys
from pathlib import Path
from longwriter.calls.replay import ReplayCache
from tests.unit.calls.test_replay import put
cache = ReplayCache(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    put(cache, f"{sys.argv[2]}-{i}", sys.argv[2])
if sys.argv[4] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def packed(text="x"):
    """Return the stored form of an answer, as the first version of the cache wrote it."""
    stored = {"answer": {"choices": [{"message": {"content": text}}]}, "latency_s": 0.5}
    return zstandard.compress(json.dumps(stored, separators=(",", ":")).encode())


def put(cache, key, text):
    cache.put_many([Row(key, packed(text))])


def text_of(cache, key):
    stored = cache.get(key)
    return stored and stored.completion.text


def writer(path, name, n, end):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(n), end])


def test_the_first_answer_to_a_request_stays(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    assert cache.get("a") is None
    put(cache, "a", "一")
    put(cache, "a", "two")
    assert text_of(cache, "a") == "一"


def test_several_processes_start_and_write_one_fresh_cache_at_once(tmp_path):
    path = tmp_path / "r.sqlite"
    writers = [writer(path, f"w{i}", 20, "end") for i in range(3)]
    assert [w.wait(600) for w in writers] == [0, 0, 0]
    cache = ReplayCache(path)
    assert all(text_of(cache, f"w{i}-{j}") == f"w{i}" for i in range(3) for j in range(20))


def test_an_answer_that_was_stored_before_a_kill_is_read_after_it(tmp_path):
    path = tmp_path / "r.sqlite"
    assert writer(path, "w", 5, "kill").wait(600) == -9
    assert text_of(ReplayCache(path), "w-4") == "w"


def test_an_answer_is_stored_for_the_next_process_and_holds_any_text(tmp_path):
    cache = ReplayCache(tmp_path / "new" / "r.sqlite")
    put(cache, "a", "潮\n🌊\u2028")
    cache.close()
    again = ReplayCache(tmp_path / "new" / "r.sqlite")
    assert text_of(again, "a") == "潮\n🌊\u2028"
    assert again.get("b") is None


def test_two_processes_that_answer_the_same_requests_leave_one_whole_answer_each(tmp_path):
    path = tmp_path / "r.sqlite"
    code = WRITER.replace('f"{sys.argv[2]}-{i}"', 'f"same-{i}"')
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name, "20", "end"]) for name in "ab"]
    assert [one.wait(600) for one in both] == [0, 0]
    cache = ReplayCache(path)
    first = [text_of(cache, f"same-{i}") for i in range(20)]
    for i in range(20):
        put(cache, f"same-{i}", "late")
    assert set(first) <= {"a", "b"}
    assert [text_of(cache, f"same-{i}") for i in range(20)] == first


def test_many_threads_may_share_one_cache(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")

    def put_and_get(i):
        put(cache, f"k{i}", str(i))
        return text_of(cache, f"k{i}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put_and_get, range(40))) == [str(i) for i in range(40)]


def test_what_an_engine_was_last_seen_to_honour_is_kept_beside_its_answers(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    assert cache.capabilities("a") is None
    put(cache, "a", "one")
    cache.put_capabilities("a", {"seed": False, "repetition_penalty": None})
    cache.put_capabilities("a", {"seed": True, "repetition_penalty": "潮"})
    cache.close()
    again = ReplayCache(tmp_path / "r.sqlite")
    assert again.capabilities("a") == {"seed": True, "repetition_penalty": "潮"}
    assert text_of(again, "a") == "one"


def row(key, model="m", text="x", latency_s=None, prompt=None, tokens=None):
    return Row(key, packed(text), model, latency_s, prompt, tokens)


def aged(path, key, stored_at):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE answers SET stored_at = ? WHERE request_hash = ?", (stored_at, key))


def test_if_several_store_an_answer_the_late_ones_get_the_first(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    assert cache.put_many([row("a", text="one"), row("b", text="b")]) == {}
    earlier = cache.put_many([row("a", text="two"), row("c", text="c")])
    assert {key: stored.completion.text for key, stored in earlier.items()} == {"a": "one"}
    assert [text_of(cache, key) for key in "abc"] == ["one", "b", "c"]


def test_of_answers_stored_together_all_are_stored_or_none(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    with pytest.raises(sqlite3.IntegrityError):
        cache.put_many([row("a"), row("b", model=None)])
    assert cache.get("a") is None


def test_reading_does_not_wait_for_a_commit(tmp_path):
    path = tmp_path / "r.sqlite"
    cache = ReplayCache(path)
    put(cache, "a", "one")
    with closing(sqlite3.connect(path)) as slow:
        slow.execute("BEGIN IMMEDIATE")
        slow.execute("DELETE FROM answers")
        assert text_of(cache, "a") == "one"  # a reader that waited would wait for ever, and fail


def test_a_cache_from_before_models_were_noted_is_read_on_and_pruned(tmp_path):
    path = tmp_path / "r.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(replay._SCHEMA)
        body = packed("old")
        db.execute("INSERT INTO answers (request_hash, body) VALUES ('a', ?)", (body,))
    assert [(size.model, size.answers) for size in replay.sizes(path)] == [("", 1)]
    cache = ReplayCache(path)
    assert text_of(cache, "a") == "old"
    cache.put_many([row("b")])
    assert sorted(size.model for size in replay.sizes(path)) == ["", "m"]
    assert replay.prune(path, before=None, model="") == (1, len(body))
    assert cache.get("a") is None


def test_sizes_are_by_model_the_largest_first(tmp_path):
    path = tmp_path / "r.sqlite"
    rows = [row("a", "small"), row("b", "large", "y" * 50), row("c", "large", "z")]
    ReplayCache(path).put_many(rows)
    aged(path, "b", "2026-01-02T03:04:05.678Z")
    large, small = replay.sizes(path)
    assert large[:4] == ("large", 2, len(rows[1].body) + len(rows[2].body), "2026-01-02T03:04:05.678Z")
    assert small[:3] == ("small", 1, len(rows[0].body))
    assert large.newest > large.oldest


def test_without_a_cache_nothing_is_old_and_no_cache_is_made(tmp_path):
    path = tmp_path / "r.sqlite"
    assert replay.sizes(path) == []
    assert replay.prune(path, before=None, model=None) == (0, 0)
    assert replay.speeds(path, "m") == Speed(0.0, 0.0, 0.0, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "model", "left"),
    [
        (None, None, ""),
        (None, "m", "c"),
        (datetime(2026, 1, 2, tzinfo=UTC), None, "bc"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), None, "bc"),
        (datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC), None, "c"),
        (datetime(2026, 1, 2, 0, 0, 1, tzinfo=UTC), "n", "abc"),
        (datetime(2025, 1, 1, tzinfo=UTC), None, "abc"),
    ],
)
def test_pruning_removes_what_is_older_and_of_the_model(tmp_path, before, model, left):
    path = tmp_path / "r.sqlite"
    cache = ReplayCache(path)
    cache.put_many([row("a"), row("b"), row("c", "n")])
    aged(path, "a", "2026-01-01T23:59:59.999Z")
    aged(path, "b", "2026-01-02T00:00:00.000Z")
    assert replay.prune(path, before=before, model=model)[0] == 3 - len(left)
    assert "".join(key for key in "abc" if cache.get(key)) == left


def test_pruning_gives_the_room_back_to_the_disk(tmp_path):
    path = tmp_path / "r.sqlite"
    with closing(ReplayCache(path)) as cache:
        cache.put_many([Row(str(i), bytes(2000), "m") for i in range(500)])
    before = path.stat().st_size
    assert replay.prune(path, before=None, model="m") == (500, 1_000_000)
    assert path.stat().st_size < before / 10


def test_a_cache_that_is_being_written_is_not_pruned(tmp_path, monkeypatch):
    path = tmp_path / "r.sqlite"
    ReplayCache(path).put_many([row("a")])
    monkeypatch.setattr(replay, "_WAIT_S", 0.1)
    with closing(sqlite3.connect(path)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="in use"):
            replay.prune(path, before=None, model=None)


def test_speeds_are_means_over_the_answers_that_have_them(tmp_path):
    path = tmp_path / "r.sqlite"
    rows = [
        row("a", "m", "x", 1.0, 100, 10),
        row("b", "m", "x", 3.0, 300, 20),
        row("c"),
        row("d", "n", "x", 9.0, 9, 9),
    ]
    ReplayCache(path).put_many(rows)
    assert replay.speeds(path, "m") == Speed(2.0, 200.0, 15.0, 2)
    assert replay.speeds(path, "other") == Speed(0.0, 0.0, 0.0, 0)


ENDLESS = b"\x28\xb5\x2f\xfd\xe0" + (2**40).to_bytes(8, "little") + b"\x01\x00\x00"  # a frame of "1 TiB"


@pytest.mark.parametrize(
    "damage", [b"", b"\x00" * 40, zstandard.compress(b'{"text": 1}'), packed()[:-9], ENDLESS]
)
def test_a_damaged_answer_is_requested_again_and_replaced(tmp_path, caplog, damage):
    cache = ReplayCache(tmp_path / "r.sqlite")
    cache.put_many([Row("a", damage), row("b", text="whole")])
    assert cache.get("a") is None
    assert "stored answer to request a is damaged" in caplog.text
    assert cache.put_many([row("a", text="new"), row("b", text="late")]).keys() == {"b"}
    assert (text_of(cache, "a"), text_of(cache, "b")) == ("new", "whole")


def test_an_answer_that_an_earlier_version_could_not_read_again_is_replayed(tmp_path):
    odd = {
        "choices": [{"message": {"content": None, "refusal": {"message": "No."}}}],
        "usage": {"prompt_tokens": "12"},
    }
    body = json.dumps({"answer": odd, "latency_s": 0.5}, separators=(",", ":")).encode()
    cache = ReplayCache(tmp_path / "r.sqlite")
    cache.put_many([Row("a", zstandard.compress(body), "m", 0.5, "12", None)])
    completion, latency_s = cache.get("a")
    assert (completion.text, completion.refused.reason, completion.usage, latency_s) == (
        "No.",
        "refusal",
        None,
        0.5,
    )
    assert replay.speeds(tmp_path / "r.sqlite", "m").n == 0


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE owners",
        "DROP TABLE capabilities",
        "ALTER TABLE answers DROP COLUMN latency_s",
        "UPDATE answers SET model = CAST(X'ff' AS TEXT)",
        "PRAGMA user_version = 99",
    ],
)
def test_a_cache_that_lost_a_table_or_a_column_gets_a_new_one(tmp_path, change):
    path = tmp_path / "r.sqlite"
    with closing(ReplayCache(path)) as cache:
        put(cache, "a", "answer")
    with closing(sqlite3.connect(path)) as db:
        db.execute(change)
        db.commit()
    with closing(ReplayCache(path)) as cache:
        cache.put_capabilities("k", {"b": 1})
        put(cache, "b", "other")
        assert (text_of(cache, "a"), text_of(cache, "b"), cache.capabilities("k")) == (
            "answer",
            "other",
            {"b": 1},
        )
        assert cache.owner("m", "http://a.example") == "http://a.example"
    assert sum(size.answers for size in replay.sizes(path)) == 2


def test_a_cache_that_is_a_link_to_a_missing_disk_says_so_and_no_second_cache_is_begun(tmp_path):
    (tmp_path / "r.sqlite").symlink_to(tmp_path / "disk" / "r.sqlite")
    with pytest.raises(Unavailable, match=r"r\.sqlite is a link to .*, which is missing: mount its disk"):
        ReplayCache(tmp_path / "r.sqlite")


@pytest.mark.parametrize(
    "tables",
    [
        "CREATE TABLE answers (x)",
        "CREATE TABLE answers (request_hash, note)",
        "CREATE TABLE answers (request_hash, stored_at, body)",
        "CREATE VIEW answers AS SELECT 'a' AS request_hash, '' AS stored_at, x'' AS body",
        "CREATE TABLE owners (model, endpoint)",
    ],
)
def test_a_database_of_another_program_is_set_aside(tmp_path, caplog, tables):
    path = tmp_path / "r.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute(tables)
    with closing(ReplayCache(path)) as cache:
        put(cache, "a", "answer")
        assert text_of(cache, "a") == "answer"
    assert "holds other tables: kept as r.sqlite.damaged-" in caplog.text


@pytest.mark.parametrize("body", ["{", "[1]", "null", "", "7", "[" * 100_000])
def test_damaged_capabilities_count_as_unknown(tmp_path, body):
    with closing(ReplayCache(tmp_path / "r.sqlite")) as cache:
        cache.put_capabilities("k", {"a": 1})
        with closing(sqlite3.connect(tmp_path / "r.sqlite")) as db:
            db.execute("UPDATE capabilities SET body = ?", (body,))
            db.commit()
        assert cache.capabilities("k") is None


def cut(content):
    return content[: len(content) // 2]


def overwritten(content):
    middle = len(content) // 2 // 4096 * 4096
    return content[:middle] + b"\xff" * 4096 + content[middle + 4096 :]


@pytest.mark.parametrize(
    ("damage", "least"), [(cut, 40), (overwritten, 200), (lambda _: b"no database" * 900, 0)]
)
def test_a_damaged_cache_is_set_aside_and_its_whole_answers_are_used(tmp_path, caplog, damage, least):
    path = tmp_path / "r.sqlite"
    with closing(ReplayCache(path)) as cache:
        draw = random.Random(0)  # texts that hardly compress, so that the cache has many pages
        texts = {f"{number:03}": "".join(draw.choices("abcdefgh ", k=1500)) for number in range(400)}
        for key, text in texts.items():
            put(cache, key, text)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with closing(ReplayCache(path)) as cache:
        kept = {key: text_of(cache, key) for key in texts if text_of(cache, key) is not None}
        assert len(kept) >= least
        assert kept == {key: texts[key] for key in kept}
        put(cache, "new", "answer")
        assert text_of(cache, "new") == "answer"
    [line] = [message for message in caplog.messages if "kept as" in message]
    [aside] = tmp_path.glob("r.sqlite.damaged-*Z")
    assert aside.name in line
    assert aside.read_bytes() == content
    assert "sent again" in line
