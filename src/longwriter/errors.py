"""Every exception that this project raises on purpose, and its exit code.

    LongWriterError                 1
    ├── UserError                   2   params, files or arguments: a person must change something
    │   ├── BadParams                   params.yaml, a profile, prices or rules hold what is not allowed
    │   ├── BadRecord                   a row of a file is not what the record says
    │   ├── BudgetReached               the LLM calls of a stage have cost the budget
    │   └── ModelUnusable               a model or an endpoint cannot do what the params ask
    ├── NoAnswer                 2, 75  one request is refused or fails, while others are answered
    ├── GateStopped                 3   the data did not pass its validation, or too few rows are left
    ├── TrainingFailed              1   a rank of a training raised
    └── Unavailable                75   something outside cannot be reached now: another try can help
        ├── EndpointUnavailable         an LLM endpoint does not answer
        └── StageBusy                   another process holds the stage
    (Unavailable itself: a rank was killed, or MLflow cannot be reached.)

The flows read the exit codes: they retry only 75 (EX_TEMPFAIL of sysexits.h).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

_LOGIN = re.compile(r"//[^/@\s]*@")


class LongWriterError(Exception):
    """An expected failure; its message says what was found and what to do."""

    exit_code = 1


class UserError(LongWriterError):
    """A person must change something before another try can succeed."""

    exit_code = 2


class BadParams(UserError):
    """Settings (params.yaml, a profile, prices, rules) cannot be read, or have values that are not allowed.

    The message has one line for each value: file, line, key, what was found, what is allowed.
    """


class BadRecord(UserError):
    """A row of an input file cannot be read as the record it should be."""


class BudgetReached(UserError):
    """The answers of a stage cost `max_cost_usd` or more.

    They are stored, so the stage continues when the limit is raised.
    """


class ModelUnusable(UserError):
    """A model folder, an endpoint or its account cannot do what the parameters need."""


class NoAnswer(LongWriterError):
    """One request has no answer although its endpoint answers others; `reason` says why.

    `request_refused`: the server will not answer this request (400, 413, 422: too long, or against
    a policy). `request_failed`: every retry failed. Stages turn a `NoAnswer` into a rejected or unscored row.
    """

    def __init__(self, message: str, reason: Literal["request_refused", "request_failed"]) -> None:
        """Set the exit code: 2 for a refusal (needs a person), 75 for a failure (another try can help)."""
        super().__init__(message)
        self.reason = reason
        self.exit_code = 2 if reason == "request_refused" else 75


class GateStopped(LongWriterError):
    """A gate did not let a data set pass, or a stage kept too few rows; the files in `artifacts` show why."""

    exit_code = 3

    def __init__(self, message: str, artifacts: tuple[Path, ...] = ()) -> None:
        """Create the error; `artifacts` are files that the stage's MLflow run will show."""
        super().__init__(message)
        self.artifacts = artifacts


class TrainingFailed(LongWriterError):
    """A rank raised an error that another try would raise too; the message quotes the error."""


class Unavailable(LongWriterError):
    """Something outside this process cannot be reached now; another try can help."""

    exit_code = 75


class EndpointUnavailable(Unavailable):
    """An LLM endpoint does not answer, or answers with errors only."""


class StageBusy(Unavailable):
    """Another live process is executing the same stage in this checkout."""


def without_password(text: str) -> str:
    """Return a text without user and password in its URLs, so that it can be logged."""
    return _LOGIN.sub("//", text)
