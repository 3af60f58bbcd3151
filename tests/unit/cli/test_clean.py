"""`longwriter clean`: parts beside the files in .lw, which tests/unit/retention/test_leftovers.py tests."""

import re
import socketserver
import threading
from datetime import UTC, datetime

import pytest

from tests.unit.cli.checkout import store
from tests.unit.cli.test_cache import kept


def test_old_answers_are_listed_and_only_removed_if_that_is_confirmed(checkout, run):
    store(("a", "gpt-4o", "01-02", 2.0, 100), ("b", "gpt-4o", "03-04", 2.0, 100))
    days = (datetime.now(UTC) - datetime(2026, 2, 1, tzinfo=UTC)).days
    code, out, _ = run("clean", "answers", "--older-than", f"{days}d")
    assert (code, kept()) == (0, ["a", "b"])
    assert "1 stored answer" in out
    assert "can be removed: the same command with --yes" in out
    code, out, _ = run("clean", "answers", "--older-than", f"{days}d", "--yes")
    assert (code, kept()) == (0, ["b"])
    assert "0.00 GB in 1 place removed" in out


def test_a_part_that_does_not_exist_is_refused_with_those_that_do(checkout, run):
    code, _, err = run("clean", "everything")
    assert code == 2
    assert "everything: allowed are files, answers, prompts, data, remote" in err


@pytest.fixture
def mlflow_away(monkeypatch):
    """A tracking server that closes every connection; yields the connections that it got."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    calls = []

    class Closing(socketserver.BaseRequestHandler):
        def handle(self):
            calls.append(self.client_address)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_address[1]}")
        yield calls
        server.shutdown()


@pytest.mark.parametrize(
    "words",
    [
        ("clean", "prompts"),
        ("clean", "data"),
        ("clean", "remote"),
        ("fetch", "candidate", "out"),
        ("rollback", "--reason", "worse"),
    ],
)
def test_without_an_answer_of_mlflow_a_command_ends_soon_with_one_line(checkout, run, mlflow_away, words):
    code, _, err = run(*words)
    assert code == 75
    assert re.fullmatch(r"Unavailable: cannot reach MLflow at http://127\.0\.0\.1:\d+ .*\n", err)
    assert "start it, or correct MLFLOW_TRACKING_URI" in err
    assert 1 <= len(mlflow_away) <= 2
