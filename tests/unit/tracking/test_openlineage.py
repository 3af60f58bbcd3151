"""Events of a stage in OpenLineage's form, taken by a real HTTP server."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longwriter.errors import GateStopped
from longwriter.tracking import openlineage

STAGE = openlineage.Stage("plan", "0" * 31 + "1", "0" * 31 + "2", {"data/in.jsonl": "a" * 32})


@contextmanager
def catalogue(monkeypatch, status=200):
    """Yield the events that a server gets."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words):
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield received
        server.shutdown()


def test_a_stage_sends_its_start_and_its_end_with_the_digests_of_its_data(monkeypatch):
    with catalogue(monkeypatch) as received, openlineage.events(STAGE) as outputs:
        outputs["data/out.jsonl"] = "b" * 32
    start, end = received
    assert [event["eventType"] for event in received] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"] == "00000000-0000-0000-0000-000000000001"
    assert end["run"]["facets"]["parent"]["run"]["runId"] == "00000000-0000-0000-0000-000000000002"
    assert end["job"] == {"namespace": "longwriter", "name": "plan", "facets": {}}
    assert start["outputs"] == []
    [source], [result] = end["inputs"], end["outputs"]
    assert (source["name"], source["facets"]["version"]["datasetVersion"]) == ("data/in.jsonl", "a" * 32)
    assert (result["name"], result["facets"]["version"]["datasetVersion"]) == ("data/out.jsonl", "b" * 32)


@pytest.mark.parametrize(
    ("error", "state"), [(GateStopped("too few plans"), "FAIL"), (SystemExit(143), "ABORT")]
)
def test_a_stage_that_fails_or_is_killed_says_so_and_names_no_output(monkeypatch, error, state):
    with (
        catalogue(monkeypatch) as received,
        pytest.raises(type(error)),
        openlineage.events(STAGE) as outputs,
    ):
        outputs["data/out.jsonl"] = "b" * 32
        raise error
    end = received[-1]
    assert (end["eventType"], end["outputs"]) == (state, [])
    assert end["run"]["facets"]["errorMessage"]["message"] == f"{type(error).__name__}: {error}"


def test_a_catalogue_that_takes_nothing_is_a_line_in_the_log(monkeypatch, caplog):
    with catalogue(monkeypatch, status=400), openlineage.events(STAGE):
        pass
    assert "the OpenLineage event COMPLETE was not sent to http://127.0.0.1:" in caplog.text


def test_without_an_address_nothing_is_sent(monkeypatch):
    with catalogue(monkeypatch) as received:
        monkeypatch.delenv("OPENLINEAGE_URL")
        with openlineage.events(STAGE) as outputs:
            outputs["data/out.jsonl"] = "b" * 32
    assert received == []
