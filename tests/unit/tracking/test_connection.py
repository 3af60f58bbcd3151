"""MLflow's client: a login that is refused, and a database of another MLflow."""

import re
import shutil
import sqlite3
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longwriter.errors import UserError
from longwriter.tracking import connection, runs


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
            connection.client()
        with pytest.raises(connection.UNREACHABLE) as later:
            connection.MlflowClient(url).get_experiment("1")
    assert f"refuses {words} ({status})" in str(error.value)
    assert "hidden" not in str(error.value)
    # MLflow also answers 401 while its database is away: no person can correct that in the middle of a stage
    assert (connection.refusal(later.value, has_worked=True) is None) == (status == 401)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "UPDATE alembic_version SET version_num = 'ffffffffffff'",
            "has the schema ffffffffffff, and MLflow .* run `mlflow db upgrade URI`; if a newer MLflow wrote it",
        ),
        ("DROP TABLE metrics", r"is not whole \(table metrics has no column named step\): restore a backup"),
    ],
)
def test_a_database_with_another_schema_is_for_a_person_to_correct(tmp_path, monkeypatch, change, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    connection.client()
    run_id = runs.start_run("write", {})
    with closing(sqlite3.connect(".lw/mlflow.db")) as database, database:
        database.execute(change)
    shutil.copy(".lw/mlflow.db", "copy.db")  # MLflow keeps what it has opened
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/copy.db")
    try:
        connection.client()
        runs.log_metrics(run_id, {"rows": 1.0})
    except connection.UNREACHABLE as error:
        raised = connection.refusal(error)
    except UserError as error:
        raised = error
    assert re.search(said, str(raised))
