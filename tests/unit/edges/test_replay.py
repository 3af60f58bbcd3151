import subprocess
import sys

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
