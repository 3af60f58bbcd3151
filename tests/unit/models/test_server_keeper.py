"""A flow's keeper of servers, with real processes: a server that only says that it is healthy, and stages that are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from longwriter.errors import ModelUnusable
from longwriter.models import server_keeper, servers
from longwriter.params import LLMParams
from longwriter.web import net
from tests.unit.models.test_servers import LOCAL
from tests.workspace import wait_for

SERVER = """
import http.server, os, signal, socketserver, sys
from longwriter.io.process import die_with_parent

die_with_parent(signal.SIGKILL)

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(503 if os.path.exists("is_ill") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "socket"

print("is up", *sys.argv[2:], flush=True)
with socketserver.UnixStreamServer(sys.argv[1], Health) as server:
    server.serve_forever()
"""
STAGE = """
import signal, sys
from pathlib import Path
from longwriter.models import server_keeper, servers

with server_keeper.running(sys.argv[2:], Path("server.log")) as server:
    servers._wait_healthy(server, "the server", Path("server.log"))
    Path(sys.argv[1]).write_text(server.socket)
    signal.pause()
"""
FLOW = """
import subprocess, sys
from longwriter.models import server_keeper

with server_keeper.keep():
    subprocess.run([sys.executable, "stage.py", *sys.argv[1:]])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with the programs above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server_keeper, "_ANSWER_S", 120.0)
    for name, text in {"server.py": SERVER, "stage.py": STAGE, "flow.py": FLOW}.items():
        Path(name).write_text(text)
    return tmp_path


def command(*settings):
    return [sys.executable, "server.py", server_keeper.SOCKET, *settings]


def use(*settings):
    """Use a server as a stage does; return its process, and whether it was that of the stage before."""
    log = Path("server.log")
    with server_keeper.running(command(*settings), log) as server:
        servers._wait_healthy(server, "the server", log)
        return process_of(server.socket), server.is_reused


def process_of(socket):
    return next(p for p in psutil.process_iter() if socket in arguments(p) and "server.py" in arguments(p))


def arguments(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def has_ended(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_stages_that_need_the_same_server_get_one_and_it_ends_with_the_flow(folder):
    with server_keeper.keep():
        first, was_there = use("--slots", "2")
        assert not was_there
        assert not has_ended(first)
        assert use("--slots", "2") == (first, True)
    assert has_ended(first)


def test_a_stage_with_other_settings_gets_another_server_and_the_first_one_ends(folder):
    with server_keeper.keep():
        first, _ = use("--slots", "2")
        second, is_reused = use("--slots", "3")
        assert not is_reused
        assert has_ended(first)
        assert Path("server.log").read_text().splitlines()[0] == "is up --slots 3"
    assert has_ended(second)


def test_the_same_command_in_another_folder_is_another_server(folder, monkeypatch):
    with server_keeper.keep():
        first, _ = use()
        other = folder / "other"
        other.mkdir()
        (other / "server.py").write_text(SERVER)
        monkeypatch.chdir(other)
        second, is_reused = use()
        assert not is_reused
        assert has_ended(first)
        assert second.cwd() == str(other)


def test_without_a_flow_a_server_ends_with_its_stage(folder):
    first, is_reused = use()
    assert not is_reused
    assert has_ended(first)


def test_a_stage_that_needs_two_servers_at_once_gets_both_and_only_the_first_stays(folder):
    log = Path("server.log")
    with server_keeper.keep():
        with server_keeper.running(command("writer"), log) as writer:
            servers._wait_healthy(writer, "the server", log)
            judge, is_reused = use("judge")
            assert not is_reused
            assert has_ended(judge)
            assert writer.poll() is None
            first = process_of(writer.socket)
        assert use("writer") == (first, True)


def test_the_server_ends_before_a_stage_that_needs_the_memory(folder):
    with server_keeper.keep():
        first, _ = use()
        server_keeper.end()
        assert has_ended(first)
        assert not use()[1]
        server_keeper.end()
        server_keeper.end()
    server_keeper.end()


@pytest.mark.parametrize("trouble", ["dies", "is_ill"])
def test_a_kept_server_that_has_died_or_is_not_healthy_is_started_again(folder, trouble):
    with server_keeper.keep():
        first, _ = use()
        if trouble == "dies":
            first.kill()
        else:
            Path("is_ill").touch()
        with server_keeper.running(command(), Path("server.log")) as server:
            assert not server.is_reused
            assert has_ended(first)
            Path("is_ill").unlink(missing_ok=True)
            servers._wait_healthy(server, "the server", Path("server.log"))


def test_a_server_that_does_not_start_in_a_flow_says_how_it_ended_and_names_its_log(folder):
    dies = [sys.executable, "-c", "import os; print('loading', flush=True); os.kill(os.getpid(), 9)"]
    log = Path("server.log")
    with (
        server_keeper.keep(),
        pytest.raises(ModelUnusable, match=r"ended by SIGKILL: somebody.*; see server.log: loading"),
        server_keeper.running(dies, log) as server,
    ):
        servers._wait_healthy(server, "the server", log)


def test_requests_that_are_no_requests_do_not_end_the_keeper(folder):
    with server_keeper.keep():
        first, _ = use()
        address = os.environ[server_keeper._ADDRESS]
        for data in (
            b"",
            b"\xff{",
            b"[]",
            b"3",
            b'{"command": 3}',
            b'{"command": ["no-such-file"], "folder": "."}',
        ):
            with server_keeper.Client(address, "AF_UNIX") as connection:
                connection.send_bytes(data)
                assert b"error" in connection.recv_bytes()
        server_keeper.Client(address, "AF_UNIX").close()
        assert use()[0].is_running()
    assert has_ended(first)


def test_a_keeper_that_has_ended_leaves_a_stage_with_a_server_of_its_own(folder, monkeypatch, caplog):
    monkeypatch.setenv(server_keeper._ADDRESS, str(folder / "gone.sock"))
    first, is_reused = use()
    assert not is_reused
    assert has_ended(first)
    assert "this stage starts one of its own" in caplog.text
    server_keeper.end()


def test_only_the_user_of_a_flow_can_reach_its_keeper(folder):
    with server_keeper.keep():
        private = Path(os.environ[server_keeper._ADDRESS]).parent
        assert private.stat().st_mode & 0o777 == 0o700
    assert not private.exists()


def test_a_stage_that_is_killed_leaves_its_server_to_the_next_one(folder):
    with server_keeper.keep():
        with subprocess.Popen([sys.executable, "stage.py", "is_up", *command()]) as stage:
            wait_for(lambda: Path("is_up").is_file() and Path("is_up").read_text(), "the server answers")
            stage.kill()
        first, is_reused = use()
        assert is_reused
    assert has_ended(first)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_flow_that_is_killed_leaves_no_server(folder, signal_number):
    with subprocess.Popen([sys.executable, "flow.py", "is_up", *command()]) as flow:
        wait_for(lambda: Path("is_up").is_file() and Path("is_up").read_text(), "the server answers")
        server = process_of(Path("is_up").read_text())
        [stage] = [p for p in psutil.Process(flow.pid).children() if "stage.py" in p.cmdline()]
        assert server.ppid() == flow.pid
        flow.send_signal(signal_number)
    try:
        wait_for(lambda: has_ended(server), "the server ends")
    finally:
        stage.kill()  # here it is no stage of longwriter, which ends with its flow


def test_a_real_server_is_reused_with_the_same_weights_and_settings_only(tiny_model, tmp_path, caplog):
    caplog.set_level("INFO")
    params = LLMParams.model_validate(LOCAL | {"model": str(tiny_model)})
    with server_keeper.keep():
        with servers.serve(params, tmp_path) as endpoint:
            first = endpoint
        with servers.serve(params, tmp_path) as endpoint:
            assert endpoint == first
            assert net.is_healthy("http://localhost/health", endpoint.socket)
        assert "reuses the llama.cpp server of the stage before (saved a start)" in caplog.text
        with servers.serve(params.model_copy(update={"max_concurrency": 3}), tmp_path) as endpoint:
            assert endpoint.socket != first.socket
    assert not net.is_healthy("http://localhost/health", endpoint.socket)
