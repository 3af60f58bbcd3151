"""Takes the pictures of the README, and more, in a headless Chromium: MLflow, the report's page, `longwriter review`.

Run in a checkout with runs, such as after `bash infra/demo.sh`: `python -m infra.bench.screenshots OUT`. Needs
Chromium (Debian: apt install chromium).
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from longwriter import params
from longwriter.io import files
from longwriter.traces import traces
from longwriter.tracking import connection
from longwriter.web import door, net
from tests.flows import clicks

_STAGE = "write"
_START_S = 180
_WINDOW_HEIGHT = 1000
_SETTLED_S = 5  # a page of MLflow moves until its last part has come


class Shot(NamedTuple):
    """A picture: its name, the page, a text that the page shows when it is there, and the size in pixels."""

    name: str
    url: str
    shows: str
    width: int = 1300
    height: int = 800
    is_first: bool = False
    """Whether MLflow still shows a new browser what its buttons are for, and its assistant at the right."""


@contextlib.contextmanager
def served(command: Sequence[str], url: str, path: str) -> Iterator[str]:
    """Yield the URL of a web server that runs until the block ends; it is up when it answers at the path."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        try:
            end = time.monotonic() + _START_S
            while not net.is_healthy(f"{url}{path}"):
                if child.poll() is not None or time.monotonic() > end:
                    sys.exit(f"screenshots: {' '.join(command)} did not start")
                time.sleep(0.5)
            yield url
        finally:
            child.terminate()


def newest_run() -> str:
    """Return the id of the newest finished run that wrote texts."""
    client, experiment = connection.client()
    words = (
        f"tags.`lw.stage` = '{_STAGE}' and tags.`lw.status` = 'executed' and attributes.status = 'FINISHED'"
    )
    found = client.search_runs([experiment], words, max_results=1, order_by=["attributes.start_time DESC"])
    if not found:
        sys.exit(f"screenshots: no finished run of {_STAGE} here: run `bash infra/demo.sh` first")
    return str(found[0].info.run_id)


def of_mlflow(url: str) -> list[Shot]:
    """Return the pictures of MLflow: the experiment, a run, the trace of a text, the newest version of the model."""
    run_id = newest_run()
    client, experiment = connection.client()
    base = f"{url}/#/experiments/{experiment}"
    trace = f"{base}/traces?selectedEvaluationId={min(traces.ids_of(run_id))}"
    shots = [
        Shot("mlflow-overview", f"{base}/overview/usage", "Cost", is_first=True),
        Shot("mlflow-run", f"{base}/runs/{run_id}", "each plan step by step"),
        Shot("mlflow-trace", trace, "paragraph 1"),
    ]
    model = params.load().register_.name
    versions = client.search_model_versions(f"name = '{model}'")
    if versions:
        newest = max(int(version.version) for version in versions)
        shots.append(Shot("mlflow-model", f"{url}/#/models/{model}/versions/{newest}", "training data"))
    return shots


def take(folder: Path) -> None:
    """Write the pictures of MLflow, of the report's page and of the page of `longwriter review` into a folder."""
    benchmark = params.load().generate.benchmarks[0]
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.ExitStack() as stack,
    ):
        mlflow, docs, review = (f"http://127.0.0.1:{net.free_port()}" for _ in range(3))
        rule = f"MAP 127.0.0.1:5000 {mlflow.removeprefix('http://')}"
        page = stack.enter_context(clicks.chromium(Path(scratch) / "profile", rule))
        with served(door.command("mlflow", _port(mlflow)), mlflow, "/health"):
            for shot in of_mlflow(mlflow):
                _picture(page, shot, folder)
        report = f"/report@{benchmark}/"
        if not (files.LOCAL / "data_docs" / report.strip("/") / "index.html").is_file():
            sys.exit(f"screenshots: no report of {benchmark} here: run `bash infra/demo.sh` first")
        with served(door.command("docs", _port(docs)), docs, report):
            _picture(page, Shot("report", f"{docs}{report}", "length score", 1500), folder)
        words = ["review", "--port", str(_port(review)), "--votes", str(Path(scratch) / "votes")]
        with served([sys.executable, "-m", "longwriter.cli.main", *words], review, "/"):
            page.open(review)
            page.wait_for("Your name")
            page.write("rater", "Ann")
            page.click("Start")
            page.wait_for("Left is better")
            page.picture(folder / "review.png", 1500, 800)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _picture(page: clicks.Page, shot: Shot, folder: Path) -> None:
    page.resize(shot.width, _WINDOW_HEIGHT)
    page.open(shot.url)
    if shot.is_first:
        page.click("Got it")
        page.click_label("Close")
    page.wait_for(shot.shows)
    time.sleep(_SETTLED_S)
    page.picture(folder / f"{shot.name}.png", shot.width, shot.height)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    take(arguments.folder)
