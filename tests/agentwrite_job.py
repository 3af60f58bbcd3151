"""AgentWrite in a bare folder: the real stages `plan` and `write`, without DVC and MLflow around them.

The folder holds `params.yaml` and `data/instructions/instructions.jsonl`. A stage whose output exists is
skipped, as `dvc repro` would do. `Job.start` forks the process from one that has imported everything, so
that tests can start and kill it many times a minute.

Run: `python -m tests.agentwrite_job FOLDER`
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sqlite3
import sys
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dvc.repo import Repo

from longwriter import params as parameters
from longwriter.calls.replay import ReplayCache
from longwriter.errors import LongWriterError
from longwriter.hashing import content_hash
from longwriter.io import files, process
from longwriter.records import Instruction
from longwriter.stages import plan, write
from longwriter.tracking.runs import StageRun
from tests.small import SMALL

ROOT = Path(__file__).parents[1]
OUTPUTS = ("plan/plans.jsonl", "plan/rejected.jsonl", "write/drafts.jsonl", "write/rejected.jsonl")
_WORK = {"plan": plan.work, "write": write.work}
_FORKS = multiprocessing.get_context("forkserver")
_LATE = ("longwriter.gates.suite.gx", "longwriter.endpoints.transport")
"""What the stages import late: 2 CPU seconds of each job."""
_FORKS.set_forkserver_preload([__name__, *_LATE])
_SUBJECTS = (
    "lighthouse", "market", "orchard", "railway", "library", "bakery", "ferry", "school", "theatre", "glacier",
    "tower", "village", "mill", "bridge", "garden", "postman", "violin", "drought", "lost dog", "snowstorm",
)  # fmt: skip
_FORMS = (
    "story",
    "letter",
    "report",
    "speech",
    "review",
    "essay",
    "diary entry",
    "guide",
    "portrait",
    "fable",
)


def work() -> None:
    """Run the stages without output in the working directory; counts and usage go to `.lw/STAGE.json`."""
    params = parameters.load()
    for stage, stage_work in _WORK.items():
        if not (files.DATA / stage).exists():
            with files.published(files.DATA / stage) as folder:
                summary = stage_work(params, folder, StageRun("run", "fingerprint"))
            files.write_json(files.LOCAL / f"{stage}.json", {**summary.metrics(), **summary.execution})


def run(folder: Path, environment: dict[str, str]) -> None:
    """Run the stages in `folder` and exit with a stage's code; the output goes to `job.log` there."""
    process.die_with_parent(signal.SIGKILL)
    os.chdir(folder)
    os.environ.update(environment)
    log = os.open("job.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        work()
    except LongWriterError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)


class Job(NamedTuple):
    """A folder in which AgentWrite runs."""

    path: Path

    def set(self, **values: Any) -> None:
        """Write params.yaml: the committed one, small, with `values` (`llm__model` is llm.model)."""
        content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        changes = {key.replace("__", "."): value for key, value in values.items()}
        for dotted, value in {**SMALL, "base_model.source": "path:nowhere", **changes}.items():
            *sections, key = dotted.split(".")
            section = content
            for name in sections:
                section = section[name]
            section[key] = value
        (self.path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def start(self, **environment: str) -> BaseProcess:
        """Start the stages; the process is killed when this one ends."""
        child = _FORKS.Process(target=run, args=(self.path, environment), daemon=True)
        child.start()
        return child

    def run(self, code: int = 0, limit_s: float = 180.0, **environment: str) -> None:
        """Run the stages to their end; they must exit with `code`."""
        child = self.start(**environment)
        child.join(limit_s)
        exit_code = child.exitcode
        child.kill()
        assert exit_code == code, f"exit {exit_code} (None: not within {limit_s} s)\n{self.log()[-3000:]}"

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of data/`name`."""
        lines = (self.path / "data" / name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def usage(self, stage: str) -> dict[str, float]:
        """Return counts and usage of a stage that succeeded."""
        return json.loads((self.path / ".lw" / f"{stage}.json").read_text(encoding="utf-8"))

    def log(self) -> str:
        """Return the job's output so far."""
        return (self.path / "job.log").read_text(encoding="utf-8")

    def cached_answers(self) -> set[str]:
        """Return the ids of the answers in the replay cache, without `chatcmpl-`."""
        file = self.path / ".lw" / "replay.sqlite"
        if not file.exists():
            return set()
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as db:
            try:
                hashes = [row[0] for row in db.execute("SELECT request_hash FROM answers")]
            except sqlite3.OperationalError:  # killed before the table was made
                return set()
        with closing(ReplayCache(file)) as cache:
            stored = [cache.get(request_hash) for request_hash in hashes]
        bodies = [answer.completion.body.decode() for answer in stored if answer]
        return {match[1] for body in bodies if (match := re.search(r"chatcmpl-(\w+)", body))}


def make(path: Path, rows: int, **values: Any) -> Job:
    """Return a new job in the folder `path` with `rows` instructions; `values` are set as in `Job.set`."""
    (path / "data" / "instructions").mkdir(parents=True)
    Repo.init(str(path), no_scm=True).close()  # the gate takes digests from DVC
    for name in ("src", "infra"):
        (path / name).symlink_to(ROOT / name)
    instructions = []
    for i in range(rows):
        words = 130 + i * 7 % 160
        form, subject = _FORMS[i // len(_SUBJECTS) % len(_FORMS)], _SUBJECTS[i % len(_SUBJECTS)]
        prompt = f"Write a {form} of about {words} words about a {subject}."
        instructions.append(
            Instruction(
                instruction_id=content_hash(prompt)[:16], prompt=prompt, type=form, language="en",
                required_words=words, origin=f"made:{i}",
            )
        )  # fmt: skip
    files.write_jsonl(path / "data" / "instructions" / "instructions.jsonl", instructions)
    job = Job(path)
    job.set(**values)
    return job


if __name__ == "__main__":
    run(Path(sys.argv[1]), {})
