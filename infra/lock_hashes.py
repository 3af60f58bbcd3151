"""Writes infra/hashes.txt: every package of constraints.txt and of the extras, with the sha256 of its files.

uv resolves the project with the versions of constraints.txt; the packages that PyTorch's default build needs on
a GPU come with it. The extra `vllm` is left out: it brings its own PyTorch. Only files for Linux on x86-64 with
Python 3.11 are kept, because constraints.txt is for these.

Run it after constraints.txt has changed: python infra/lock_hashes.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

_HEAD = """\
# Every package of constraints.txt and of the extras (without vllm), and what PyTorch's build for GPUs needs, with the
# sha256 of its files; for Linux on x86-64 with Python 3.11. pip refuses any other file:
# python -m pip install --require-hashes --no-deps -r infra/hashes.txt
# Made again by: python infra/lock_hashes.py
"""
_PLATFORMS = [*(f"manylinux_2_{minor}_x86_64" for minor in range(5, 40)), "linux_x86_64"]
_PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
_TAGS = {
    *cpython_tags((3, 11), platforms=_PLATFORMS),
    *compatible_tags((3, 11), "cp311", platforms=_PLATFORMS),
}


def lock() -> list[dict[str, Any]]:
    """Return the packages of uv's lock, with the versions of constraints.txt."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    lines = Path("infra/constraints.txt").read_text().splitlines()
    pins = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    extras = project["optional-dependencies"]
    requirements = [
        *project["dependencies"],
        *extras["dev"],
        *extras["dask"],
        *extras["lm-eval"],
        *extras["openlineage"],
        *extras["postgres"],
        "uv",
        "setuptools",
    ]
    requirements = [line for line in requirements if not line.startswith(f"{project['name']}[")]
    text = f"""
[project]
name = "lock"
version = "0"
requires-python = ">=3.11,<3.12"
dependencies = {json.dumps(requirements)}
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
constraint-dependencies = {json.dumps(pins)}
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(text)
        words = ["uv", "lock", "--quiet", "--python", sys.executable, "--index-strategy", "unsafe-best-match"]
        subprocess.run(words, cwd=folder, check=True, env={**os.environ, "UV_NO_CONFIG": "1"})
        packages = tomllib.loads((Path(folder) / "uv.lock").read_text())["package"]
    return [package for package in packages if package["name"] != "lock"]


def hashes(package: dict[str, Any]) -> list[str]:
    """Return the hashes of a package's wheels for this platform; of its source if it has none."""
    wheels = package.get("wheels", [])
    matches = [
        wheel["hash"]
        for wheel in wheels
        if parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))[3] & _TAGS
    ]
    return sorted(set(matches or [package["sdist"]["hash"]]))


def main() -> None:
    """Write the file."""
    blocks = []
    for package in sorted(lock(), key=lambda package: str(package["name"])):
        version = package["version"].partition("+")[0]
        rows = [f"{package['name']}=={version}", *(f"--hash={value}" for value in hashes(package))]
        blocks.append(" \\\n    ".join(rows) + "\n")
    Path("infra/hashes.txt").write_text(_HEAD + "".join(blocks))


if __name__ == "__main__":
    main()
