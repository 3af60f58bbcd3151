"""The exit code of infra/test.sh is that of the first check that failed, and 0 if none did."""

import shutil
import subprocess

import pytest

CHECKS = ("ruff", "shellcheck", "lint-imports", "mypy", "pytest")


@pytest.mark.parametrize(("failing", "code"), [(None, 0), ("ruff", 3), ("mypy", 4), ("pytest", 5)])
def test_the_script_ends_with_the_code_of_the_check_that_failed(tmp_path, failing, code):
    (tmp_path / "infra").mkdir()
    shutil.copy("infra/test.sh", tmp_path / "infra/test.sh")
    (tmp_path / "infra/setup.sh").write_text('set -euo pipefail; cd "$(dirname "${BASH_SOURCE[0]}")/.."\n')
    for check in CHECKS:
        command = tmp_path / "bin" / check
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\nexit {code if check == failing else 0}\n")
        command.chmod(0o755)

    ended = subprocess.run(
        ["bash", "infra/test.sh"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == code, ended.stdout + ended.stderr
