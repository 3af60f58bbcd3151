import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from longwriter.edges import process
from longwriter.errors import StageBusy

CHILD = "from longwriter.edges import process; import time; process.{call}; print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\nprint(child.pid, flush=True)\ntime.sleep(60)"
)


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("call", ["die_with_parent()", "die_with_starter()"])
def test_a_child_dies_when_its_parent_is_killed(call):
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD.format(call=call)], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(child)


def test_a_command_run_through_the_module_dies_with_its_parent():
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'longwriter.edges.process', 'sleep', '60'])\n"
        "time.sleep(3)\nprint(child.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    assert psutil.Process(child).name() == "sleep"
    parent.kill()
    parent.wait()
    assert gone(child)


def test_a_second_holder_is_refused_and_told_who_holds(tmp_path):
    code = (
        "from longwriter.edges import process; from pathlib import Path; import sys, time\n"
        "with process.only_one('plan', Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with (
        pytest.raises(StageBusy, match=f"process {holder.pid}"),
        process.only_one("plan", tmp_path, wait_s=0.2),
    ):
        pass
    holder.kill()
    holder.wait()
    with process.only_one("plan", tmp_path, wait_s=5):
        assert (tmp_path / "plan.pid").read_text() == str(os.getpid())


def test_only_a_process_that_is_surely_gone_counts_as_dead():
    own = process.identity()
    assert not process.is_dead(own)
    assert not process.is_dead({})
    assert not process.is_dead({**own, "lw.host": "elsewhere", "lw.pid": "999999999"})
    assert process.is_dead({**own, "lw.pid": "999999999"})
    assert process.is_dead({**own, "lw.pid_started": "1.00"})
    assert process.is_dead({**own, "lw.boot_id": "another boot"})
    assert own["lw.host"] == socket.gethostname()
