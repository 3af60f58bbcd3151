"""Seven nights of the nightly flow: with news, without, failing, cancelled, crashed; their states, messages and disk.

Before the sixth night, five made-up nights with a length score that no model reaches are committed to branches of their
own, so that it is below its band. The last row is the weekly digest.

Run in a checkout whose pipeline has run once, with a small model; it takes some minutes and restores params.yaml:
  python -m infra.bench.nights [--training-key sft.optimizer.seed]

It starts a Prefect server, a worker, a web hook and a mail server, all on loopback, and prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import httpx2
import psutil
from tabulate import tabulate

from flows import lockfile
from infra.bench import sinks
from longwriter.cli import profile
from longwriter.tracking import connection, git
from longwriter.web import door, net

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PATIENCE_S = 1800
PARAMS = Path("params.yaml")
MADE_UP = "nightly/2001-01-0"  # and the day


class Nights:
    """The server, read over HTTP, and what the nights left."""

    def __init__(self, url: str, messages: list[dict[str, str]], mails: list[str]) -> None:
        """Begin without nights; `messages` and `mails` are those of the sinks."""
        self.api = httpx2.Client(base_url=url, transport=httpx2.HTTPTransport(), timeout=60)
        self.messages, self.mails = messages, mails
        self.rows: list[tuple[Any, ...]] = []
        self.repeated: list[str] = []

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the server's answer; a body makes it a POST. A busy server of SQLite is asked again."""

        def answer() -> httpx2.Response | None:
            reply = self.api.get(path) if body is None else self.api.post(path, json=body)
            return None if reply.status_code >= 500 else reply

        return wait(answer, f"{path} is answered").raise_for_status().json()

    def night(
        self,
        what: str,
        change: dict[str, Any],
        act: Callable[[str], None] | None = None,
        flow: str = "nightly",
    ) -> None:
        """Run one night with other values in params.yaml, and note how it ended.

        Args:
            what: What happens in it.
            change: Values of params.yaml.
            act: Called with the id of the run while it trains.
            flow: The flow that runs.
        """
        before = PARAMS.read_text(encoding="utf-8")
        messages, mails = len(self.messages), len(self.mails)
        if change:
            profile.write(profile.changed(change, "the night"))
        deployment = self.ask(f"/deployments/name/{flow}/bench")["id"]
        begin = time.monotonic()
        run = self.ask(f"/deployments/{deployment}/create_flow_run", {})
        if act is not None:
            wait(lambda: any("longwriter.stages.sft" in line for line in processes()), "the training begins")
            act(run["id"])
        ended = wait(lambda: self._ended(run["id"]), f"night {run['name']} ends")
        seconds = time.monotonic() - begin
        wait(lambda: not [line for line in processes() if "longwriter.stages" in line], "its stages end")
        wait(lambda: not psutil.pid_exists(self._pid(run["id"])), "its process ends, after its messages")
        tasks = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 100})
        others = sorted({task["state_name"] for task in tasks} - {"Unchanged", "Executed", "Restored"})
        branches = git.run("for-each-ref", "--format=%(refname:short)", "refs/heads/nightly").split()
        commits = sum(
            int(git.run("rev-list", "--count", f"HEAD..{branch}"))
            for branch in branches
            if not branch.startswith(MADE_UP)
        )
        self.rows.append(
            (
                what,
                ended["state_name"],
                ", ".join(others) or "-",
                self._mlflow(run["id"]),
                round(seconds),
                len(self.messages) - messages,
                len(self.mails) - mails,
                f"{size('.lw') / 1e6:.0f}",
                f"{size('.dvc/cache') / 1e6:.0f}",
                commits,
            )
        )
        sys.stderr.write(f"{self.rows[-1]}\n")
        PARAMS.write_text(before, encoding="utf-8")

    def _ended(self, run_id: str) -> dict[str, Any] | None:
        run: dict[str, Any] = self.ask(f"/flow_runs/{run_id}")
        return run if run["state_type"] in FINAL else None

    def _mlflow(self, run_id: str) -> str:
        """Return the status of the pipeline run; a killed one is ended by the next night."""
        client, experiment = connection.client()
        runs = client.search_runs(
            [experiment], f"tags.`prefect.flow_run_id` = '{run_id}' AND tags.`lw.kind` = 'pipeline'"
        )
        return ", ".join(run.info.status for run in runs)

    def cancel(self, run_id: str) -> None:
        """Cancel a run, as the Prefect UI does."""
        self.ask(f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})

    def kill(self, run_id: str) -> None:
        """Kill the process of a run, and wait until its worker has planned the repetition."""
        os.kill(self._pid(run_id), signal.SIGKILL)
        self.repeated += wait(lambda: self.repeats() or None, "the run is repeated")

    def _pid(self, run_id: str) -> int:
        return int(self.ask(f"/flow_runs/{run_id}")["infrastructure_pid"].rpartition(":")[2])

    def repeats(self) -> list[str]:
        """Return the runs that repeat a crashed one, and remove them."""
        rows = self.ask("/flow_runs/filter", {"flow_runs": {"tags": {"all_": ["again"]}}})
        for row in rows:
            self.api.delete(f"/flow_runs/{row['id']}")
        return [row["name"] for row in rows]


def wait(look: Callable[[], Any], what: str) -> Any:
    """Return what `look` returns as soon as it is true."""
    end = time.monotonic() + PATIENCE_S
    while (value := look()) in (None, False):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.5)
    return value


def processes() -> list[str]:
    """Return the command lines of the processes that run in this checkout."""
    lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            if Path(process.cwd()) == Path.cwd():
                lines.append(" ".join(process.cmdline()))
    return lines


def size(folder: str) -> int:
    """Return the bytes of a folder."""
    return sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file())


def make_up_nights() -> None:
    """Commit five nights with length scores of 1,001 to 1,005, older than all others; data/ stays as it is."""
    texts = {path: path.read_text(encoding="utf-8") for path in Path("data/score").glob("*/headline.json")}
    for day in range(1, 6):
        for path in texts:
            path.write_text(json.dumps({"S_l": 1000 + day}), encoding="utf-8")
        lockfile.commit_tree(
            f"refs/heads/{MADE_UP}{day}", [git.run("rev-parse", "HEAD")], "A made-up night",
            [str(path) for path in texts], code="HEAD", env={"GIT_COMMITTER_DATE": f"2001-01-0{day}T00:00:00Z"},
        )  # fmt: skip
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def running(*words: str, log: str) -> Iterator[None]:
    """Run a command until the block ends."""
    with Path(log).open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out) as child:
        try:
            yield
        finally:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(30)
            child.kill()  # a worker on a busy machine did not end for minutes


def main() -> None:
    """Run the nights and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--training-key", default="sft.optimizer.seed", help="a number that makes SFT run again"
    )
    section, *path = parser.parse_args().training_key.split(".")

    def training(value: int) -> dict[str, Any]:
        inner: Any = value
        for key in reversed(path):
            inner = {key: inner}
        return {section: inner}

    logs = Path(".lw/logs")
    logs.mkdir(parents=True, exist_ok=True)
    port = net.free_port()
    url = f"http://127.0.0.1:{port}/api"
    os.environ |= {"PREFECT_API_URL": url, "PREFECT_WORKER_QUERY_SECONDS": "2"}
    with (
        sinks.web_hook() as (hook, messages),
        sinks.mail_server() as (mail, mails),
        running(*door.command("prefect", port), log=".lw/logs/bench-server.log"),
    ):
        os.environ["LW_NOTIFY_URLS"] = f"{hook} {mail}"
        nights = Nights(url, messages, mails)
        wait(lambda: net.is_healthy(f"{url}/health"), "the Prefect server answers")
        for flow in ("nightly", "weekly"):
            words = ("-m", "flows.deployments", "--flow", flow, "--name", "bench", "--cron", "0 2 29 2 *")
            subprocess.run([sys.executable, *words], check=True, stdout=sys.stderr)
        worker = [
            shutil.which("prefect") or "prefect",
            "worker",
            "start",
            "--pool",
            "longwriter",
            "--limit",
            "1",
        ]
        with running(*worker, log=".lw/logs/bench-worker.log"):
            nights.night("with news", {"report": {"seed": 101}})
            nights.night("without", {"report": {"seed": 101}})
            nights.night("failing gate", {"validate": {"min_rows": 100_000}})
            nights.night("cancelled in SFT", training(102), nights.cancel)
            nights.night("killed in SFT", training(103), nights.kill)
            make_up_nights()
            low = {"score": {"sampling": {"seed": 104}}}  # scores anew; no judge reads the seed
            nights.night("below its band", low)
            nights.night("without", low)
            nights.night("weekly digest", {}, flow="weekly")
    head = ("night", "Prefect", "tasks", "MLflow", "s", "messages", "mails", ".lw MB", "cache MB", "commits")
    table = tabulate(nights.rows, head, tablefmt="pipe")
    titles = [message["title"] for message in messages]
    subjects = [message_from_string(text, policy=policy.default)["subject"] for text in mails]
    sys.stdout.write(
        f"{table}\n\nmessages: {titles}\nmails: {subjects}\nrepeated: {nights.repeated}\ngit status: {git.run('status', '--short')}\n"
    )


if __name__ == "__main__":
    main()
