"""`longwriter chat`, `serve` and `fetch` in a checkout with a random model."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from longwriter.cli import chat
from longwriter.errors import UserError
from tests import forking
from tests.unit.cli.checkout import PARAMS, set_params

COMMAND = [sys.executable, "-c", "from longwriter.cli.main import main; main()"]


@pytest.fixture
def with_model(checkout, tiny_model):
    """A checkout whose base model is random; answers have at most 12 tokens."""
    set_params(PARAMS, generate={"sampling": PARAMS["generate"]["sampling"] | {"max_tokens": 12}})
    weights = Path("data/base_model/weights")
    weights.parent.mkdir(parents=True)
    weights.symlink_to(tiny_model)
    return checkout


def chat_fork():
    return [*forking.python(), "-m", "longwriter.cli.main", "chat"]


def test_a_line_is_answered_with_its_words_and_the_words_asked_for(with_model):
    done = subprocess.run(
        chat_fork(),
        input="Write 50 words.\n\n/new\nSay it.\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "base_model is ready" in done.stderr
    assert "at most 12 tokens (generate.sampling.max_tokens)" in done.stderr
    measures = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(measures) == 2
    assert "of 50 asked for, length score" in measures[0]
    assert "asked for" not in measures[1]


def test_ctrl_c_ends_the_chat_and_its_server_without_a_traceback(with_model):
    with subprocess.Popen(
        [*COMMAND, "chat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A background job of a shell ignores the signal, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        while " is ready " not in (line := child.stderr.readline()):
            assert line
        os.killpg(child.pid, signal.SIGINT)  # as a terminal does
        assert child.wait() == 130
        assert "Traceback" not in child.stderr.read()  # at its end no server holds the pipe


def test_a_message_beyond_the_context_ends_a_script_with_one_sentence(with_model):
    text = "word " * 3000
    done = subprocess.run(chat_fork(), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    [said] = [line for line in done.stderr.splitlines() if line.startswith("ModelUnusable: ")]
    assert "the model refuses the request" in said
    assert "(serving.context_tokens): shorten the message, or begin a new conversation with /new" in said


def test_a_person_goes_on_after_a_message_beyond_the_context(monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    chat._refuse("too long", 2048)
    assert capsys.readouterr().err.startswith("too long. Message and answers together may have 2,048 tokens")


def test_a_message_that_is_not_utf8_is_reported_in_one_line(monkeypatch):
    for errors in ("strict", "surrogateescape"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), "utf-8", errors))
        with pytest.raises(UserError, match="the message is not UTF-8"):
            chat._line()


def test_serve_answers_until_it_is_stopped(with_model):
    with subprocess.Popen([*COMMAND, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True) as child:
        try:
            lines = [child.stdout.readline() for _ in range(4)]
            own = lines[1].split()[-1]
            end = time.monotonic() + 300
            while True:
                try:
                    reply = httpx2.get(f"{own}/v1/models").json()
                    break
                except httpx2.TransportError:
                    assert time.monotonic() < end
                    time.sleep(0.1)
            assert [row["id"] for row in reply["data"]] == ["base_model"]
        finally:
            child.send_signal(signal.SIGINT)
        assert (child.wait(300), child.stdout.read()) == (0, "serve: stopped\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chat", "gpt-4o"], "no model gpt-4o: models with weights in data/ are base_model"),
        (["serve", "--port", "0", "gpt-4o"], "no model gpt-4o"),
        (["chat", "../../etc"], "../../etc is not a folder with"),
        (["serve", "--port", "0", "base_model", "../../etc"], "../../etc is not a folder with"),
    ],
)
def test_an_unknown_model_is_reported_in_one_line_before_anything_starts(with_model, run, words, message):
    code, out, err = run(*words)
    assert code == 2
    assert "starting" not in out + err
    assert err.splitlines()[-1].startswith(f"UserError: {message}")


def test_fetch_of_an_unknown_alias_writes_nothing(with_model, with_mlflow, run):
    code, _, err = run("fetch", "candidate", "OUT")
    assert code == 2
    assert err.splitlines()[-1] == (
        "UserError: longwriter has no version or alias candidate in MLflow; it has none"
    )
    assert not Path("OUT").exists()


def test_a_port_that_is_taken_is_named_before_a_model_is_started(with_model, run):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = run("serve", "--port", str(port))
    assert (code, out) == (2, "")
    assert err == (
        f"UserError: cannot serve on port {port} (Address already in use): name a free one with --port\n"
    )
