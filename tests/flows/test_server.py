"""Whether a flow starts a Prefect server of its own, and a flow that may not write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from filelock import FileLock
from prefect.exceptions import PrefectHTTPStatusError

from flows import server
from longwriter.errors import StageBusy, Unavailable, UserError
from tests import disks
from tests.workspace import ROOT, environment


def refused(status: int) -> Exception:
    """Return the error of Prefect's client for a status."""
    request = httpx.Request("GET", "http://x/api/admin/version")
    return PrefectHTTPStatusError("refused", request=request, response=httpx.Response(status))


@pytest.mark.parametrize(
    ("url", "profile", "configured"),
    [
        (None, None, False),
        ("http://127.0.0.1:4200/api", None, True),
        (None, 'active = "local"\n[profiles.local]\n', False),
        (None, 'active = "local"\n[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n', True),
    ],
)
def test_a_server_is_configured_by_the_environment_or_by_a_profile(
    url: str | None, profile: str | None, configured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    if url:
        monkeypatch.setenv("PREFECT_API_URL", url)
    if profile:
        (tmp_path / "profiles.toml").write_text(profile, encoding="utf-8")
    assert server.is_configured() is configured


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refused(401), UserError, "refuses this login (401): correct PREFECT_API_AUTH_STRING"),
        (refused(403), UserError, "refuses this login (403)"),
        (refused(404), UserError, "is no API of Prefect: correct PREFECT_API_URL"),
        (refused(409), None, ""),
        (refused(500), Unavailable, "answers 500"),
        (
            RuntimeError("Failed to reach API at http://x/api/"),
            Unavailable,
            "cannot reach Prefect at http://x/api",
        ),
        (RuntimeError("anything else"), None, ""),
        (httpx.ConnectError("Connection refused"), Unavailable, "cannot reach Prefect at http://x/api"),
    ],
)
def test_a_server_that_cannot_be_used_is_reported_in_one_line_without_the_password(
    error: Exception, kind: type[Exception] | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://user:hidden@x/api")
    trouble = server.trouble(error)
    assert (type(trouble) if trouble else None) is kind
    assert words in str(trouble)
    assert "hidden" not in str(trouble)


def test_a_flow_that_waits_too_long_for_the_start_of_another_server_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / ".lw/locks/prefect-server.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(StageBusy, match="another flow of this checkout has been starting"):
        server.start(wait_s=0)


def test_a_write_protected_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    with disks.disk(tmp_path / ".lw", "ro"):
        done = subprocess.run(
            [sys.executable, "-m", "flows"],
            cwd=tmp_path,
            env=environment(ROOT),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert re.fullmatch(
        r"no access to \S+ \(Read-only file system\): give this user .* run again\n", done.stderr
    )
