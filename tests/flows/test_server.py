"""Whether a flow starts a Prefect server of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import server


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
