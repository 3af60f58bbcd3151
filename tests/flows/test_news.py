"""Messages to people, taken by a real web hook and a real SMTP server."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.states import Cancelling

from flows import news
from infra.bench.sinks import mail_server, web_hook


@pytest.fixture(autouse=True)
def _links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI", "http://127.0.0.1:1"
    )  # messages go out also while MLflow is down
    monkeypatch.setenv("PREFECT_API_URL", "http://user:pw@127.0.0.1:4200/api")


RUN = SimpleNamespace(name="quick-fox", id=uuid.UUID(int=7), deployment_id=uuid.UUID(int=8))
FAILED = SimpleNamespace(name="Failed", message="plan: GateStopped: too few plans are left")


def test_a_run_that_fails_is_reported_with_its_reason_and_links_to_every_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with web_hook() as (hook, messages), mail_server() as (mail, mails):
        monkeypatch.setenv("LW_NOTIFY_URLS", f"{hook}\n {mail} ")
        news.send_end(SimpleNamespace(name="nightly"), RUN, FAILED)
    [message] = messages
    assert message["title"] == "nightly quick-fox: Failed"
    assert message["message"].startswith("plan: GateStopped: too few plans are left")
    assert f"http://127.0.0.1:4200/runs/flow-run/{RUN.id}" in message["message"]
    assert "/#/experiments" in message["message"]
    [written] = mails
    assert "nightly quick-fox: Failed" in written


def test_a_run_that_is_being_cancelled_is_reported_as_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_hook() as (hook, messages):
        monkeypatch.setenv("LW_NOTIFY_URLS", hook)
        news.send_end(SimpleNamespace(name="nightly"), RUN, Cancelling())
    [message] = messages
    assert message["title"] == "nightly quick-fox: Cancelled"
    assert message["message"].startswith("somebody cancelled it\n")


def test_a_run_that_a_person_started_in_a_terminal_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_hook() as (hook, messages):
        monkeypatch.setenv("LW_NOTIFY_URLS", hook)
        by_hand = SimpleNamespace(name="quick-fox", id=uuid.UUID(int=7), deployment_id=None)
        news.send_end(SimpleNamespace(name="training"), by_hand, FAILED)
    assert messages == []


def test_numbers_below_their_band_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_hook() as (hook, messages):
        monkeypatch.setenv("LW_NOTIFY_URLS", hook)
        news.send_low("nightly fox", RUN.id, [])
        news.send_low("nightly fox", RUN.id, ["sft-a S_l is 50, below 58"])
    [message] = messages
    assert message["title"] == "nightly fox: 1 headline number below the band of the last nights"
    assert message["message"].startswith("sft-a S_l is 50, below 58\n\nPrefect: ")


def test_news_that_no_server_takes_fail_no_run_and_show_no_address(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with web_hook(status=500) as (hook, _):
        monkeypatch.setenv("LW_NOTIFY_URLS", f"no-such-service://secret {hook}")
        assert news.send("a", "b") == 0
    assert "address 1 has no form that apprise knows" in caplog.text
    assert "address 2 (json) did not accept the message" in caplog.text
    assert "secret" not in caplog.text
    monkeypatch.delenv("LW_NOTIFY_URLS")
    assert news.send("a", "b") == 0


def test_what_became_of_the_aliases_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "register.log"
    log.write_text(
        "Running stage 'register':\nregister: version 3 is candidate\nregister: version 3 is not champion: n\n"
    )
    with web_hook() as (hook, messages):
        monkeypatch.setenv("LW_NOTIFY_URLS", hook)
        news.send_promotion("nightly fox", log)
        log.write_text("Stage 'register' is cached\n")
        news.send_promotion("nightly fox", log)
    [message] = messages
    assert message["title"] == "nightly fox: version 3 is candidate"
    assert "version 3 is not champion: n" in message["message"]
