import contextlib
import hashlib
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from longwriter.errors import BadParams, BadRecord, Unavailable
from longwriter.io import fetch

CONTENT = b'{"prompt": "Write 300 words on rain."}\n'
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = "benchmarks.files.own.source"


class _Files(BaseHTTPRequestHandler):
    """/own.jsonl is a file, /moved leads to it, /big is too large, /cut breaks off, /busy and /gone are errors.

    /to?URL leads to that URL.
    """

    requests: ClassVar[list[str]] = []

    def do_GET(self):
        self.requests.append(self.path)
        path, _, target = self.path.partition("?")
        status = {"/moved": 302, "/to": 302, "/busy": 503, "/gone": 404}.get(path, 200)
        body = bytes(fetch.MAX_BYTES + 1) if self.path == "/big" else CONTENT
        self.send_response(status)
        if status == 302:
            self.send_header("Location", target or "/own.jsonl")
        self.send_header("Content-Length", str(len(body) + 9 * (self.path == "/cut")))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            return

    def log_message(self, *words):
        pass


@contextlib.contextmanager
def serving(certificate=None):
    """Yield the URL of a file server that runs until the block ends; with a certificate it speaks TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as http:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http{'s' if certificate else ''}://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


@pytest.fixture
def certificate(tmp_path_factory, monkeypatch):
    """A file with the certificate of 127.0.0.1 and its key, which httpx trusts."""
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=test"
    words += f" -addext subjectAltName=IP:127.0.0.1 -keyout {file}.key -out {file}"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.key").read_text())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The URL of a file server, and the paths that were asked for; the test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    _Files.requests = []
    with serving() as url:
        yield url, _Files.requests


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


@pytest.mark.parametrize("hash_", [SHA256, "0" * 64])
def test_a_redirect_to_another_host_is_followed_and_its_file_has_to_have_the_hash(server, hash_):
    url = f"{server[0]}/to?{server[0].replace('127.0.0.1', 'localhost')}/own.jsonl"
    if hash_ == SHA256:
        assert fetch.by_hash(url, hash_, KEY).read_bytes() == CONTENT
    else:
        with pytest.raises(BadParams, match="is expected: the file is not used"):
            fetch.by_hash(url, hash_, KEY)


def test_a_redirect_from_https_to_http_is_refused_before_it_is_followed(server, certificate):
    plain, requests = server
    with serving(certificate) as encrypted:
        assert fetch.by_hash(f"{encrypted}/moved", SHA256, KEY).read_bytes() == CONTENT
        del requests[:]
        with pytest.raises(BadParams) as refused:
            fetch.by_hash(f"{encrypted}/to?{plain}/own.jsonl", "1" * 64, KEY)
    assert str(refused.value) == (
        f"{KEY}: {encrypted}/to?{plain}/own.jsonl leads to {plain}/own.jsonl, which is not encrypted: name another "
        "address, or a copy of the file by its path"
    )
    assert requests == [f"/to?{plain}/own.jsonl"]


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(server, tmp_path):
    (tmp_path / "own.jsonl").write_bytes(CONTENT)
    with pytest.raises(Unavailable, match="cannot fetch"):
        fetch.by_hash(f"{server[0]}/to?file://{tmp_path}/own.jsonl", SHA256, KEY)


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
