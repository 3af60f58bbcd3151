"""Takes the pictures of MLflow that the README shows, in a headless Chromium: a run's page, and a text's trace.

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
from collections.abc import Iterator
from pathlib import Path

from longwriter.io import door, net
from longwriter.traces import traces
from longwriter.tracking import runs
from tests.flows import clicks

_STAGE = "write"
_START_S = 180


@contextlib.contextmanager
def mlflow(port: int) -> Iterator[str]:
    """Yield the URL of MLflow's UI."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(door.command("mlflow", port), stdout=subprocess.DEVNULL) as child:
        try:
            end = time.monotonic() + _START_S
            while not net.is_healthy(f"{url}/health"):
                if child.poll() is not None or time.monotonic() > end:
                    sys.exit("screenshots: MLflow's UI did not start")
                time.sleep(0.5)
            yield url
        finally:
            child.terminate()


def newest_run() -> str:
    """Return the id of the newest finished run that wrote texts."""
    client, experiment = runs.client()
    words = (
        f"tags.`lw.stage` = '{_STAGE}' and tags.`lw.status` = 'executed' and attributes.status = 'FINISHED'"
    )
    found = client.search_runs([experiment], words, max_results=1, order_by=["attributes.start_time DESC"])
    if not found:
        sys.exit(f"screenshots: no finished run of {_STAGE} here: run `bash infra/demo.sh` first")
    return str(found[0].info.run_id)


def take(folder: Path) -> None:
    """Write mlflow-run.png and mlflow-trace.png into a folder."""
    run_id = newest_run()
    trace_id = min(traces.ids_of(run_id))
    _, experiment = runs.client()
    with (
        tempfile.TemporaryDirectory() as profile,
        mlflow(net.free_port()) as url,
        clicks.chromium(Path(profile), f"MAP 127.0.0.1:5000 {url.removeprefix('http://')}") as page,
    ):
        base = f"{url}/#/experiments/{experiment}"
        for name, address, word, width in (
            ("mlflow-run", f"{base}/runs/{run_id}", "each plan step by step", 1110),
            ("mlflow-trace", f"{base}/traces?selectedEvaluationId={trace_id}", "paragraph 1", 1050),
        ):
            page.open(address)
            page.wait_for(word)
            time.sleep(5)  # the page moves until its last part has come
            page.picture(folder / f"{name}.png", width, 800)  # without MLflow's assistant at the right


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    take(parser.parse_args().folder)
