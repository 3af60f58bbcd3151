import json
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from longwriter.errors import StageBusy
from longwriter.io import process
from tests.workspace import wait_for

CHILD = (
    "from longwriter.io import process; import time; process.{call}; print('up', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE)\n"
    "child.stdout.readline()\nprint(child.pid, flush=True)\ntime.sleep(600)"
)


def gone(pid, seconds=120):
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        return True
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
        "child = subprocess.Popen([sys.executable, '-m', 'longwriter.io.process', 'sleep', '600'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    wait_for(lambda: psutil.Process(child).name() == "sleep", "it has become the command")
    parent.kill()
    parent.wait()
    assert gone(child)


def test_a_second_holder_is_refused_with_the_name_of_the_first(tmp_path):
    code = (
        "from longwriter.io import process; from pathlib import Path; import sys, time\n"
        "with process.only_one('plan', Path(sys.argv[1])):\n print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    with (
        pytest.raises(StageBusy, match=f"process {holder.pid}"),
        process.only_one("plan", tmp_path, wait_s=0.2),
    ):
        pass
    (tmp_path / "plan.pid").write_bytes(b"\xff")
    with (
        pytest.raises(StageBusy, match="stage plan is running"),
        process.only_one("plan", tmp_path, wait_s=0.2),
    ):
        pass
    holder.kill()
    holder.wait()
    with process.only_one("plan", tmp_path, wait_s=60):
        assert (tmp_path / "plan.pid").read_text() == str(os.getpid())


def test_only_a_process_that_is_surely_gone_counts_as_dead():
    own = process.identity()
    assert not process.is_dead(own)
    assert not process.is_dead({})
    assert not process.is_dead({**own, "lw.host": "elsewhere", "lw.pid": "999999999"})
    for pid in ("", "x", "-1", "9" * 5000, "１２"):
        assert not process.is_dead({**own, "lw.pid": pid})  # no number of a process
    assert process.is_dead({**own, "lw.pid": "999999999"})
    assert process.is_dead({**own, "lw.pid_started": "1.00"})
    assert process.is_dead({**own, "lw.boot_id": "another boot"})
    assert own["lw.host"] == socket.gethostname()


def output(code, *words, **how):
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, **how)


def test_a_parent_that_died_before_the_call_is_noticed_too(tmp_path):
    alive = tmp_path / "alive"
    late = (
        "import os, sys, time\nfrom pathlib import Path\nfrom longwriter.io import process\n"
        "while os.getppid() == int(sys.argv[1]): time.sleep(0.01)\n"
        "process.die_with_parent()\ntime.sleep(0.3)\nPath(sys.argv[2]).write_text('alive')"
    )
    parent = output(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid()), sys.argv[2]])\n"
        "print(child.pid, flush=True)",
        late, str(alive), stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    child = int(parent.stdout.readline())
    parent.wait()
    assert gone(child)
    assert not alive.exists()


@pytest.mark.parametrize("new_session", [True, False])
def test_a_child_of_a_living_parent_lives_on_in_any_session(new_session):
    child = output(CHILD.format(call="die_with_parent()"), start_new_session=new_session)
    assert child.stdout.readline() == "up\n"
    child.kill()
    child.wait()


def test_a_stage_dies_with_its_dvc_even_if_a_shell_is_between_them(tmp_path):
    dvc = tmp_path / "dvc"
    dvc.write_text(
        "import subprocess, sys, time\n"
        "subprocess.Popen(['/bin/sh', '-c', '\"$0\" -c \"$1\"; true', sys.executable, sys.argv[1]])\ntime.sleep(600)"
    )
    stage = CHILD.format(call="die_with_starter()").replace("print('up'", "print(__import__('os').getpid()")
    starter = subprocess.Popen([sys.executable, str(dvc), stage], stdout=subprocess.PIPE)
    pid = int(starter.stdout.readline())
    shell = psutil.Process(pid).parent()
    assert shell.pid != starter.pid
    starter.kill()
    starter.wait()
    assert gone(pid)


def test_sigterm_ends_a_stage_in_order_with_143():
    child = output(
        "from longwriter.io import process; import time; process.exit_on_sigterm()\n"
        "try:\n print('up', flush=True); time.sleep(600)\nfinally:\n print('cleaned', flush=True)"
    )
    assert child.stdout.readline() == "up\n"
    child.terminate()
    assert (child.stdout.read(), child.wait(120)) == ("cleaned\n", 143)


def test_another_name_is_another_lock_and_a_released_one_is_free(tmp_path):
    with process.only_one("plan", tmp_path, wait_s=60), process.only_one("write", tmp_path, wait_s=60):
        pass
    with pytest.raises(RuntimeError, match="inside"), process.only_one("plan", tmp_path, wait_s=60):
        raise RuntimeError("inside")
    with process.only_one("plan", tmp_path, wait_s=60):
        assert (tmp_path / "plan.pid").read_text() == str(os.getpid())


def test_a_dying_holder_gets_time_to_let_go(tmp_path):
    holder = output(
        "from longwriter.io import process; from pathlib import Path; import sys, time\n"
        "with process.only_one('plan', Path(sys.argv[1])):\n print('held', flush=True); time.sleep(0.5)",
        str(tmp_path),
    )
    holder.stdout.readline()
    with process.only_one("plan", tmp_path, wait_s=120):
        assert holder.wait(120) == 0


def test_a_process_that_ended_is_dead_also_before_it_is_reaped():
    child = output(
        "from longwriter.io import process; import json; print(json.dumps(process.identity()), flush=True)\n"
        "import sys; sys.stdin.read()",
        stdin=subprocess.PIPE,
    )
    tags = json.loads(child.stdout.readline())
    assert tags["lw.pid"] == str(child.pid)
    assert not process.is_dead(tags)
    child.stdin.close()
    assert gone(child.pid)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert process.is_dead(tags)
    child.wait()
    assert process.is_dead(tags)


def test_a_folder_in_the_place_of_a_lock_is_renamed(tmp_path):
    for name in ("write.lock", "write.pid"):
        (tmp_path / name).mkdir()
    with process.only_one("write", tmp_path):
        assert (tmp_path / "write.pid").read_text() == str(os.getpid())
    assert len(list(tmp_path.glob("write.*.damaged-*"))) == 2
