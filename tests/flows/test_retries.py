"""What of a failed stage is tried again."""

from __future__ import annotations

import mlflow
import pytest

from flows import repro


def _failed(stage_code: int | None) -> repro.DvcFailed:
    return repro.DvcFailed(["repro"], repro.CommandResult(1, stage_code, ["ERROR: it failed"]))


@pytest.mark.parametrize(
    ("error", "can_help"),
    [
        (_failed(75), True),
        (_failed(2), False),
        (_failed(3), False),
        (_failed(None), False),
        (mlflow.exceptions.MlflowException("connection refused"), True),
        (ConnectionResetError("reset by peer"), True),
        (KeyError("stage"), False),
    ],
    ids=str,
)
def test_only_what_could_not_be_reached_is_tried_again(error: Exception, can_help: bool) -> None:
    from prefect.states import Failed  # takes seconds

    from flows import pipeline

    assert pipeline._can_help(None, None, Failed(data=error)) is can_help
