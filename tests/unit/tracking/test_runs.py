"""MLflow's client: a login that is refused."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longwriter.errors import UserError
from longwriter.tracking import runs


@contextmanager
def server(status):
    """Serve `status` for every request; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_words):
            """Write nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://user:hidden@127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()


@pytest.mark.parametrize(("status", "words"), [(401, "this login"), (403, "this user")])
def test_a_login_that_is_refused_is_for_a_person_to_correct(tmp_path, monkeypatch, status, words):
    monkeypatch.chdir(tmp_path)
    with server(status) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD") as error:
            runs.client()
    assert f"refuses {words} ({status})" in str(error.value)
    assert "hidden" not in str(error.value)
