"""The forks of the tests behave as processes of their own."""

import os
import subprocess

import psutil

from tests import forking
from tests.workspace import wait_for


def fork(code, *words, **how):
    return subprocess.run(
        [*forking.python(), "-c", code, *words], capture_output=True, text=True, check=False, **how
    )


def test_a_fork_has_the_input_the_words_the_folder_and_the_environment_of_its_command(tmp_path):
    code = "import os, sys; print(sys.argv, input(), os.getcwd(), os.environ['NAME']); sys.exit(3)"
    done = fork(code, "--word", input="a line\n", cwd=tmp_path, env={**os.environ, "NAME": "value"})
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"['-c', '--word'] a line {tmp_path} value\n"


def test_an_exception_ends_a_fork_with_its_traceback():
    done = fork("import mlflow; mlflow.no_such_name")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("AttributeError: ")


def test_a_fork_that_exits_with_a_text_prints_it_and_has_the_code_1():
    done = fork("import sys; sys.exit('what to do')")
    assert (done.returncode, done.stderr) == (1, "what to do\n")


def test_a_fork_waits_for_its_threads_and_then_does_what_was_left_for_its_end():
    code = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'left for the end')\n"
        "threading.Thread(target=lambda: (time.sleep(0.5), print('in a thread'))).start()\n"
        "print('at once')\n"
    )
    done = fork(code)
    assert done.stdout.splitlines() == ["at once", "in a thread", "left for the end"]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_that_is_killed_has_the_code_of_the_signal():
    assert fork("import os; os.kill(os.getpid(), 9)").returncode == 137


def test_a_fork_ends_with_all_that_it_started_when_its_command_is_killed():
    code = "import os, subprocess; print(os.getpid(), subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    command = [*forking.python(), "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        pids = [int(word) for word in child.stdout.readline().split()]
        child.kill()
    gone = (psutil.STATUS_ZOMBIE, None)
    wait_for(lambda: all(status(pid) in gone for pid in pids), "both have ended", 300)


def status(pid):
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None
