"""Two checkouts that register models at the same moment, with a real MLflow server."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mlflow.tracking import MlflowClient

from tests.flows.conftest import running
from tests.workspace import ROOT, environment

REGISTER = """
import sys
from longwriter.tracking import logged_models, runs

run = runs.start_run("register", {"lw.stage": "register"})
print("ready", flush=True)
for line in sys.stdin:
    name, digest = line.split()
    print(logged_models.register(name, run, {"dvc.md5": digest, "lw.by": sys.argv[1]}, "one of two"), flush=True)
"""


@contextlib.contextmanager
def checkout(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a process in a checkout of its own that registers what is written to it."""
    (folder / ".lw").mkdir(parents=True)
    env = environment(folder) | {
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "MLFLOW_TRACKING_URI": url,
    }
    words = [sys.executable, "-c", REGISTER, folder.name]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, env=env, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait() == 0


def test_weights_that_two_checkouts_register_at_the_same_moment_become_one_version(tmp_path: Path) -> None:
    (tmp_path / ".lw").mkdir()
    with running(tmp_path, ["mlflow"]) as servers:
        url = f"http://127.0.0.1:{servers.ports['mlflow']}"
        with checkout(tmp_path / "one", url) as one, checkout(tmp_path / "two", url) as two:
            for number in range(6):
                name, digest = f"writer{number // 3}", f"{number:032x}.dir"
                for child in (one, two):
                    assert child.stdin is not None
                    child.stdin.write(f"{name} {digest}\n")
                    child.stdin.flush()
                first, second = (child.stdout and child.stdout.readline() for child in (one, two))
                versions = MlflowClient(url).search_model_versions(
                    f"name = '{name}' and tag.`dvc.md5` = '{digest}'"
                )
                assert first == second
                assert [str(version.version) for version in versions] == [str(first).strip()]
                assert versions[0].description == "one of two"
                assert versions[0].tags["lw.by"] in ("one", "two")
