import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from longwriter.edges.replay import ReplayCache

WRITER = """
import os, signal, sys
from pathlib import Path
from longwriter.edges.replay import ReplayCache
cache = ReplayCache(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    cache.put(f"{sys.argv[2]}-{i}", {"text": sys.argv[2]})
if sys.argv[4] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def writer(path, name, n, end):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(n), end])


def test_the_first_answer_to_a_request_stays(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    assert cache.get("a") is None
    cache.put("a", {"text": "一"})
    cache.put("a", {"text": "two"})
    assert cache.get("a") == {"text": "一"}


def test_several_processes_start_and_write_one_fresh_cache_at_once(tmp_path):
    path = tmp_path / "r.sqlite"
    writers = [writer(path, f"w{i}", 20, "end") for i in range(3)]
    assert [w.wait(60) for w in writers] == [0, 0, 0]
    cache = ReplayCache(path)
    assert all(cache.get(f"w{i}-{j}") == {"text": f"w{i}"} for i in range(3) for j in range(20))


def test_what_was_put_before_a_kill_is_there_after(tmp_path):
    path = tmp_path / "r.sqlite"
    assert writer(path, "w", 5, "kill").wait(60) == -9
    assert ReplayCache(path).get("w-4") == {"text": "w"}


def test_an_answer_is_there_in_the_next_process_and_holds_any_text(tmp_path):
    answer = {"text": "潮\n🌊\u2028\u0000", "tokens": [1, 2.5, None]}
    cache = ReplayCache(tmp_path / "new" / "r.sqlite")
    cache.put("a", answer)
    cache.close()
    again = ReplayCache(tmp_path / "new" / "r.sqlite")
    assert again.get("a") == answer
    assert again.get("b") is None


def test_two_processes_that_answer_the_same_requests_leave_one_whole_answer_each(tmp_path):
    path = tmp_path / "r.sqlite"
    code = WRITER.replace('f"{sys.argv[2]}-{i}"', 'f"same-{i}"')
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name, "20", "end"]) for name in "ab"]
    assert [one.wait(60) for one in both] == [0, 0]
    cache = ReplayCache(path)
    first = [cache.get(f"same-{i}") for i in range(20)]
    for i in range(20):
        cache.put(f"same-{i}", {"text": "late"})
    assert all(answer in ({"text": "a"}, {"text": "b"}) for answer in first)
    assert [cache.get(f"same-{i}") for i in range(20)] == first


def test_many_threads_may_share_one_cache(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")

    def put_and_get(i):
        cache.put(f"k{i}", {"i": i})
        return cache.get(f"k{i}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put_and_get, range(40))) == [{"i": i} for i in range(40)]


def test_what_an_engine_was_last_seen_to_honour_is_kept_beside_its_answers(tmp_path):
    cache = ReplayCache(tmp_path / "r.sqlite")
    assert cache.capabilities("a") is None
    cache.put("a", {"text": "one"})
    cache.put_capabilities("a", {"seed": False, "repetition_penalty": None})
    cache.put_capabilities("a", {"seed": True, "repetition_penalty": "潮"})
    cache.close()
    again = ReplayCache(tmp_path / "r.sqlite")
    assert again.capabilities("a") == {"seed": True, "repetition_penalty": "潮"}
    assert again.get("a") == {"text": "one"}
