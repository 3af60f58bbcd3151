"""Tells people how a nightly run ended: by web hook, e-mail, Slack, and whatever else apprise reaches.

LW_NOTIFY_URLS names the addresses, divided by white space, in apprise's form: `json://host/path`, `slack://…`,
`mailto://…`. They hold passwords, so they come from the environment and are not logged. A night sends a message
only if it failed or was cancelled, if it decided about an alias, or if a headline number fell below its band. The
flow `weekly` sends a digest.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longwriter.amounts import amount
from longwriter.errors import without_password
from longwriter.text import inert
from longwriter.tracking import connection

log = logging.getLogger(__name__)
logging.getLogger("apprise").setLevel(
    logging.CRITICAL
)  # its lines name addresses; a line here says what failed

URLS = "LW_NOTIFY_URLS"
_REASON_CHARS = 1500  # characters of a reason: some services refuse longer messages


def send(title: str, body: str) -> int:
    """Send a message to each address of LW_NOTIFY_URLS; return how many addresses accepted it.

    A message that cannot be sent is a warning in the log and never fails a run.
    """
    if not (urls := os.environ.get(URLS, "").split()):
        return 0
    import apprise  # 0.2 s, for those who want messages

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines name addresses; ours do not
    accepted = 0
    for number, url in enumerate(urls, 1):
        address = apprise.Apprise()
        if not address.add(url):
            log.warning(
                "%s: address %d has no form that apprise knows: no message was sent to it", URLS, number
            )
        elif address.notify(title=inert.line(title), body=inert.terminal(body)):
            accepted += 1
        else:
            kind = url.partition(":")[0]
            log.warning("%s: address %d (%s) did not accept the message %r", URLS, number, kind, title)
    return accepted


def send_end(flow: Any, flow_run: Any, state: Any) -> None:
    """Send how a flow run ended, why, and where to look; Prefect calls this as a hook.

    A run that no deployment started sends nothing, because the person who started it sees the end. For a cancelled
    run, Prefect calls this after the run's process has ended and before it sets the last state.
    """
    if flow_run.deployment_id is None:
        return
    is_cancelled = state.name == "Cancelling"
    reason = state.message or ("somebody cancelled it" if is_cancelled else "no reason is known")
    title = f"{flow.name} {flow_run.name}: {'Cancelled' if is_cancelled else state.name}"
    send(title, f"{without_password(str(reason))[:_REASON_CHARS]}\n\n{_links(flow_run.id)}")


def send_promotion(run: str, register_log: Path) -> None:
    """Send what the stage `register` said of the aliases: which were moved, and why others were not."""
    lines = register_log.read_text(encoding="utf-8", errors="replace").splitlines()
    decisions = [line.removeprefix("register: ") for line in lines if line.startswith("register: version ")]
    if decisions:
        send(f"{run}: {decisions[0]}", "\n".join([*decisions, "", f"MLflow: {connection.ui_url()}/#/models"]))


def send_low(run: str, flow_run_id: Any, sentences: Sequence[str]) -> None:
    """Send which headline numbers are below their band."""
    if sentences:
        title = f"{run}: {amount(len(sentences), 'headline number')} below the band of the last nights"
        send(title, "\n".join([*sentences, "", _links(flow_run_id)]))


def _links(flow_run_id: Any) -> str:
    ui = os.environ.get("LW_PREFECT_UI") or os.environ.get("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    ui = without_password(ui).rstrip("/").removesuffix("/api")
    return f"Prefect: {ui}/runs/flow-run/{flow_run_id}\nMLflow: {connection.ui_url()}/#/experiments"
