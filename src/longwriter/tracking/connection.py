"""The connection to MLflow: where it is, its client, and what an error of it means for a person.

Without MLFLOW_TRACKING_URI everything is in `.lw/mlflow.db` and `.lw/mlartifacts`.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from pathlib import Path

for _name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")

from longwriter.io import startup  # noqa: E402 (the variables above must be set first)

with startup.without("pandas"):  # 0.3 of 1.2 CPU seconds, and nothing here needs data frames
    import mlflow
    from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from longwriter.errors import Unavailable, UserError, without_password  # noqa: E402
from longwriter.io import databases  # noqa: E402
from longwriter.io.files import LOCAL  # noqa: E402
from longwriter.io.process import file_lock  # noqa: E402

log = logging.getLogger(__name__)

EXPERIMENT = "longwriter"
_WHAT = (
    "Texts by AgentWrite, models trained on them, and a benchmark.\n\nTraces: each text and each answer with its "
    "prompts, tokens and scores. Training runs: the stages of dvc.yaml, and the flows that ran them."
)
UNREACHABLE = (mlflow.exceptions.MlflowException, SQLAlchemyError, OSError)
"""Errors of a server or database that cannot be reached."""
_REFUSALS = {401: "login", 403: "user"}  # by HTTP status
_OTHER_SCHEMA = re.compile(r"found version (\w{1,40}), but expected (\w{1,40})")  # MLflow's words
_MISSING = re.compile(  # words of SQLite and of PostgreSQL; MLflow makes a table that is missing with its first columns
    r"no such (?:table|column): [\w.]{1,80}|table \w{1,80} has no column named \w{1,80}"
    r"|(?:relation|column) [\w.\"]{1,80} does not exist"
)


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI; if it is not set, the URI of the checkout's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(LOCAL / 'mlflow.db').resolve()}"


def client() -> tuple[MlflowClient, str]:
    """Return a client and the id of the experiment, which is created if it is missing.

    Raises:
        UserError: the server refuses the login, the user has no right to the experiment, or the database has another
            schema.
    """
    try:
        return _client(tracking_uri())
    except (mlflow.exceptions.MlflowException, SQLAlchemyError) as error:
        if (user_error := refusal(error)) is None:
            raise
        raise user_error from None


def refusal(error: BaseException, *, has_worked: bool = False) -> UserError | None:
    """Return a UserError if an error of MLflow needs a person, else None: a login or right, or another schema.

    Args:
        error: The error.
        has_worked: This process has used the login before. Then 401 needs no person: MLflow also answers so to some
            requests (spans, artifacts) while it cannot reach its database.
    """
    if not isinstance(error, (mlflow.exceptions.MlflowException, SQLAlchemyError)):
        return None
    status = error.get_http_status_code() if isinstance(error, mlflow.exceptions.MlflowException) else None
    if status in _REFUSALS and not (status == 401 and has_worked):
        return UserError(
            f"MLflow at {without_password(tracking_uri())} refuses this {_REFUSALS[status]} ({status}): correct "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or ask its administrator"
        )
    text = str(error)
    if schema := _OTHER_SCHEMA.search(text):
        return UserError(
            f"MLflow's database at {without_password(tracking_uri())} has the schema {schema[1]}, and MLflow "
            f"{mlflow.__version__} has {schema[2]}: if the database is older, back it up and run `mlflow db upgrade URI`; "
            "if a newer MLflow wrote it, install that MLflow or restore a backup"
        )
    if missing := _MISSING.search(text):
        return UserError(
            f"MLflow's database at {without_password(tracking_uri())} is not whole ({missing[0]}): restore a backup, or "
            "without one move the database away: then the next run makes an empty one"
        )
    return None


def no_answer(error: BaseException) -> Unavailable | None:
    """Return an Unavailable if an error of MLflow says that its server did not answer, else None."""
    is_answer = isinstance(error, mlflow.exceptions.RestException)
    uri = tracking_uri()
    if not isinstance(error, mlflow.exceptions.MlflowException) or is_answer or not uri.startswith("http"):
        return None
    message = f"cannot reach MLflow at {uri} ({_reason(error)}): start it, or correct MLFLOW_TRACKING_URI"
    return Unavailable(without_password(message))


def _reason(error: BaseException) -> str:
    """Return what a connection failed at: MLflow's own message repeats the address and the counts of its retries."""
    text = str(error).partition("\n")[0]
    return text.rpartition("Caused by ")[2].removesuffix(")")


@functools.cache
def _client(uri: str) -> tuple[MlflowClient, str]:
    LOCAL.mkdir(exist_ok=True)
    mlflow.set_tracking_uri(uri)
    is_local = uri.startswith("sqlite:")
    with file_lock(LOCAL / "mlflow.lock"):
        if is_local:
            _repair(database := Path(uri.removeprefix("sqlite:///")))
            if old := databases.adopt_artifacts(database, LOCAL / "mlartifacts"):
                log.warning("MLflow's artifacts are taken from this checkout, no longer from %s", old)
        mlflow_client = MlflowClient(uri)
        own_id = _experiment(mlflow_client, is_local)
    mlflow.set_experiment(experiment_id=own_id)  # else MLflow shows our prompts in the experiment `Default`
    return mlflow_client, own_id


def _experiment(mlflow_client: MlflowClient, is_local: bool) -> str:
    """Return the id of the experiment, which is created if it is missing."""
    if experiment := mlflow_client.get_experiment_by_name(EXPERIMENT):
        return str(experiment.experiment_id)
    location = (LOCAL / "mlartifacts").resolve().as_uri() if is_local else None
    tags = {
        "mlflow.experimentKind": "genai_development",  # the UI then shows traces, tokens and cost
        "mlflow.note.content": _WHAT,
    }
    return str(mlflow_client.create_experiment(EXPERIMENT, location, tags))


def _repair(database: Path) -> None:
    """Repair a damaged database of MLflow; a log line says what is lost."""
    if message := databases.repair(database):
        log.warning("%s; runs that are missing there are lost for the MLflow UI", message)


def experiment_url() -> str:
    """Return the URL of the experiment's page in the MLflow UI, see `ui_url`."""
    return f"{ui_url()}/#/experiments/{client()[1]}"


def ui_url() -> str:
    """Return the URL of the MLflow UI: LW_MLFLOW_UI, else the tracking server, else the address of infra/ui.sh."""
    uri = tracking_uri()
    ui = os.environ.get("LW_MLFLOW_UI") or (uri if uri.startswith("http") else "http://127.0.0.1:5000")
    return without_password(ui).rstrip("/")
