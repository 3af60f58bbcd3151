import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from longwriter.errors import BadParams, BadRecord, Unavailable
from longwriter.io import fetch

CONTENT = b'{"prompt": "Write 300 words on rain."}\n'
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = "benchmarks.files.own.source"


class _Files(BaseHTTPRequestHandler):
    """/own.jsonl is a file, /moved leads to it, /big is too large, /cut breaks off, /busy and /gone are errors."""

    requests: ClassVar[list[str]] = []

    def do_GET(self):
        self.requests.append(self.path)
        status = {"/moved": 302, "/busy": 503, "/gone": 404}.get(self.path, 200)
        body = bytes(fetch.MAX_BYTES + 1) if self.path == "/big" else CONTENT
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/own.jsonl")
        self.send_header("Content-Length", str(len(body) + 9 * (self.path == "/cut")))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            return

    def log_message(self, *words):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The URL of a file server, and the paths that were asked for; the test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    _Files.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}", _Files.requests
        http.shutdown()


def test_a_file_is_fetched_once_and_kept(server):
    url, requests = server
    first = fetch.by_hash(f"{url}/own.jsonl", SHA256, KEY)
    assert first.read_bytes() == CONTENT
    assert fetch.by_hash(f"{url}/own.jsonl", SHA256, KEY) == first
    assert requests == ["/own.jsonl"]


def test_a_kept_file_that_was_changed_is_fetched_again(server):
    url, requests = server
    fetch.by_hash(f"{url}/own.jsonl", SHA256, KEY).write_bytes(b"other")
    assert fetch.by_hash(f"{url}/own.jsonl", SHA256, KEY).read_bytes() == CONTENT
    assert len(requests) == 2


def test_a_file_that_moved_is_followed(server):
    assert fetch.by_hash(f"{server[0]}/moved", SHA256, KEY).read_bytes() == CONTENT


def test_a_file_with_another_hash_is_refused_in_one_sentence_and_not_kept(server, tmp_path):
    url = f"{server[0]}/own.jsonl"
    with pytest.raises(BadParams) as refused:
        fetch.by_hash(url, "0" * 64, KEY)
    assert str(refused.value) == (
        f"{KEY}: {url} has sha256 {SHA256}, but {'0' * 64} is expected: the file is not used; check the source, "
        "or correct the hash if you trust the file"
    )
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/gone", BadParams, "answers with status 404, not 200"),
        ("/busy", Unavailable, "answers with status 503"),
        ("/big", BadRecord, "has more than 104,857,600 bytes"),
        ("/cut", Unavailable, "cannot fetch"),
    ],
)
def test_a_server_that_gives_no_file_is_named(server, path, error, message):
    with pytest.raises(error, match=f"{KEY}: .*{message}"):
        fetch.by_hash(server[0] + path, SHA256, KEY)


def test_a_server_that_cannot_be_reached_can_be_tried_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unavailable, match="name a copy of the file by its path"):
        fetch.by_hash("http://127.0.0.1:9/own.jsonl", SHA256, KEY)
