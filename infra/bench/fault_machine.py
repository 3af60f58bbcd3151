"""Lets the machine fail while each stage runs, and shows what the stage says and how the next run goes on.

The small pipeline of the tests runs once, on a tmpfs of its own. Then each stage runs again by `dvc repro --force`,
and as soon as its MLflow run has begun, the machine fails:

    disk       the disk is filled to the last byte, and freed after the stage has ended
    read-only  `.lw` is mounted read-only, before the stage starts
    forward    the clock of all its processes goes a day forward (a library of ours; libfaketime breaks sleeps)
    back       the clock goes a day back

Four more drills take the checkout as a whole:

    night      the nightly deployment runs under a worker, while one person runs `python -m flows training` and another
               one `dvc repro dpo`; DPO is stale
    together   two people run `python -m flows write`, and one runs `dvc repro write`, at the same time
    push       `dvc push` is killed (SIGKILL) when a large file is half copied, and runs again

Every row has the exit code and the last words, how often a request was sent although its answer was stored, what is
left (processes, MLflow runs that are RUNNING), whether dvc.lock names the same data as before (outputs on which
other stages depend), and the exit code of the next run.

Run as root: `python -m infra.bench.fault_machine`; exit code 1 if a row is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from tabulate import tabulate

from longwriter.errors import UserError
from longwriter.web import door, net
from tests import tiny_model
from tests import workspace as workspaces
from tests.chat_server.server import ChatServer, chat_server
from tests.small import STAGES
from tests.workspace import Workspace, wait_for

OF_STAGES = ("disk", "read-only", "forward", "back")
OF_CHECKOUT = ("night", "together", "push")
HEAD = ("failure", "in", "exit code and last words", "asked again", "left", "dvc.lock", "next run")
_LIMIT_S = 1800.0
_LARGE = "large.bin"
_DAYS = {"forward": 86_400, "back": -86_400}
_CLOCK = """\
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long moved(void) {
  char text[32] = "";
  const char *path = getenv("CLOCK_FILE");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
  close(file);
  return atol(text);
}
int clock_gettime(clockid_t id, struct timespec *t) {
  int code = syscall(SYS_clock_gettime, id, t);
  if (!code && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += moved();
  return code;
}
int gettimeofday(struct timeval *t, void *zone) {
  int code = syscall(SYS_gettimeofday, t, zone);
  if (!code) t->tv_sec += moved();
  return code;
}
time_t time(time_t *out) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
"""
"""A library for LD_PRELOAD: it moves the time of day, and no other clock, by the seconds in a file."""


class Bench(NamedTuple):
    """The checkout whose pipeline has run, its disk, and the server that answers it."""

    checkout: Workspace
    disk: Path
    server: ChatServer


class Row(NamedTuple):
    """A row of the table, and whether everything is as it should be."""

    cells: list[str]
    is_right: bool


def of_stage(bench: Bench, failure: str, stage: str) -> Row:
    """Run a stage while the machine fails, then again on a healthy machine."""
    checkout, before = bench.checkout, len(bench.server.requests())
    data, words = _data(checkout), ("dvc", "repro", "--force", "--single-item", stage)
    (bench.disk / "clock").write_text("0")
    env = _clock_env(bench) if failure in _DAYS else {}
    mount = _read_only(checkout.path / ".lw") if failure == "read-only" else contextlib.nullcontext()
    with mount, checkout.start(*words, **env) as child:
        assert child.stderr is not None
        lines: list[str] = []
        for line in child.stderr:
            lines.append(line)
            if failure != "read-only" and line.startswith(f"{stage}: http"):
                _fail(bench, failure)
                break
        lines += child.stderr
        code = child.wait(_LIMIT_S)
    (bench.disk / "ballast").unlink(missing_ok=True)
    is_expected = code != 0 if failure == "read-only" else code == 0 or failure == "disk"
    is_same = _data(checkout) == data
    force = ("--force",) if failure == "disk" else ()
    again = checkout.dvc("repro", *force, "--single-item", stage, code=None, limit_s=_LIMIT_S)
    left, repeated = _left(checkout), _repeated(bench, before)
    own_code = _own_code(lines) if code else "0"
    has_traceback = any("Traceback" in line for line in lines)
    is_clear = own_code == "0" or (own_code in ("2", "dvc") and not has_traceback)
    is_right = is_expected and is_clear and is_same and not left and not repeated and not again.returncode
    is_right &= _data(checkout) == data
    if not is_right:
        sys.stderr.write("".join(lines[-40:]) + again.stderr[-1500:])
    last = f"{own_code}: {_reason(stage if own_code == '2' else 'ERROR', lines)}" if code else "0"
    same = "same data" if is_same and _data(checkout) == data else "OTHER DATA"
    return Row(
        [failure, stage, last, str(repeated), left or "nothing", same, str(again.returncode)], is_right
    )


def _fail(bench: Bench, failure: str) -> None:
    if failure == "disk":
        with (bench.disk / "ballast").open("wb") as out:
            while free := shutil.disk_usage(bench.disk).free:
                size = os.fstat(out.fileno()).st_size
                with contextlib.suppress(OSError):  # the stage has just taken a part of it
                    os.posix_fallocate(out.fileno(), size, free)
    else:
        (bench.disk / "clock").write_text(str(_DAYS[failure]))


def _clock_env(bench: Bench) -> dict[str, str]:
    """Return the variables with which a process has the clock of a file, which may change while it runs."""
    library = bench.disk / "clock.so"
    if not library.exists():
        words = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(words, input=_CLOCK, text=True, check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_FILE": str(bench.disk / "clock")}


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"mount {' '.join(words)}: {done.stderr.strip()}: run this as root")


def together(bench: Bench) -> Row:
    """Start two flows and a `dvc repro` of the same stale stage at once."""
    checkout, before = bench.checkout, len(bench.server.requests())
    checkout.set_params({"write.sampling.seed": 4321})
    flow = (sys.executable, "-m", "flows", "write")
    with contextlib.ExitStack() as stack:
        commands = [flow, flow, ("dvc", "repro", "--single-item", "write")]
        children = [stack.enter_context(checkout.start(*words)) for words in commands]
        outputs = [child.communicate(timeout=_LIMIT_S) for child in children]
    ends = []
    for child, (out, err) in zip(children, outputs, strict=True):
        ends.append("0" if not child.returncode else f"{child.returncode}: {(err or out).splitlines()[-1]}")
    again = checkout.run(*flow, code=None, limit_s=_LIMIT_S)
    left, repeated = _left(checkout), _repeated(bench, before)
    status = checkout.dvc("status", "write").stdout
    is_clean = "up to date" in status
    has_traceback = any("Traceback" in err for _, err in outputs)
    is_right = is_clean and not again.returncode and not left and not repeated and not has_traceback
    is_right &= any(child.returncode == 0 for child in children)
    if not is_right:
        sys.stderr.write("\n".join(err[-2000:] for _, err in outputs) + again.stderr[-2000:] + status)
    same = "up to date" if is_clean else "STALE"
    cells = ["together", "write", "; ".join(ends), str(repeated), left or "nothing", same]
    return Row([*cells, str(again.returncode)], is_right)


def night(bench: Bench) -> Row:
    """Start the nightly deployment, and at once a flow and a `dvc repro` of people."""
    checkout, before, began_ms = bench.checkout, len(bench.server.requests()), int(time.time() * 1000)
    checkout.set_params({"dpo.optimizer.seed": 4321})
    port = net.free_port()
    api = httpx2.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=60, trust_env=False)
    env = {"PREFECT_API_URL": str(api.base_url).rstrip("/"), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    worker = ("prefect", "worker", "start", "--pool", "longwriter", "--limit", "1")
    people = (sys.executable, "-m", "flows", "training"), ("dvc", "repro", "dpo")
    with _service(checkout, door.command("prefect", port), env):
        wait_for(lambda: net.is_healthy(f"{env['PREFECT_API_URL']}/health"), "Prefect answers", _LIMIT_S)
        checkout.run(sys.executable, "-m", "flows.deployments", "--cron", "0 2 29 2 *", **env)
        with _service(checkout, worker, env), contextlib.ExitStack() as stack:
            deployment = api.get("/deployments/name/nightly/nightly").raise_for_status().json()["id"]
            run_id = api.post(f"/deployments/{deployment}/create_flow_run", json={}).json()["id"]
            children = [stack.enter_context(checkout.start(*words, **env)) for words in people]
            outputs = [child.communicate(timeout=_LIMIT_S) for child in children]
            run = wait_for(lambda: _ended(api, run_id), "the night ends", _LIMIT_S)
    ends = [f"nightly: {run['state_name']} {run['state'].get('message') or ''}"[:200].strip()]
    for words, child, (out, err) in zip(people, children, outputs, strict=True):
        last = f": {(err or out).strip().splitlines()[-1]}"[:200] if child.returncode else ""
        ends.append(f"{' '.join(words[-2:])}: {child.returncode}{last}")
    again = checkout.run(sys.executable, "-m", "flows", code=None, limit_s=_LIMIT_S)
    left, repeated, status = _left(checkout), _repeated(bench, before), checkout.dvc("status").stdout
    trained = [
        item
        for item in checkout.runs()
        if item.data.tags.get("lw.stage") == "dpo" and item.data.tags.get("lw.status") == "executed"
        and item.info.start_time >= began_ms
    ]  # fmt: skip
    ends.append(f"DPO ran {len(trained)} times")
    has_traceback = any("Traceback" in err for _, err in outputs)
    is_clean = "up to date" in status
    is_right = is_clean and len(trained) == 1 and not (again.returncode or left or repeated or has_traceback)
    if not is_right:
        sys.stderr.write("\n".join(err[-3000:] for _, err in outputs) + again.stderr[-2000:] + status)
    cells = ["night", "dpo", "; ".join(ends), str(repeated), left or "nothing"]
    return Row([*cells, "up to date" if is_clean else "STALE", str(again.returncode)], is_right)


def _ended(api: httpx2.Client, run_id: str) -> dict[str, Any] | None:
    run: dict[str, Any] = api.get(f"/flow_runs/{run_id}").raise_for_status().json()
    return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None


@contextlib.contextmanager
def _service(checkout: Workspace, words: Sequence[str], env: dict[str, str]) -> Iterator[None]:
    """Run a server in the checkout until the block ends."""
    child = subprocess.Popen(
        words, cwd=checkout.path, env={**checkout.env, **env}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def push(bench: Bench) -> Row:
    """Kill `dvc push` while a large file is copied, and push again."""
    checkout = bench.checkout
    (checkout.path / _LARGE).write_bytes(os.urandom(200 * 2**20))
    checkout.dvc("add", _LARGE)
    remote = checkout.path / ".lw/remote"
    with checkout.start("dvc", "push", _LARGE) as child:
        wait_for(lambda: child.poll() is not None or _size(remote) > 2**25, "a part is copied", _LIMIT_S)
        is_killed = child.poll() is None
        child.kill()
    again = checkout.dvc("push", code=None, limit_s=_LIMIT_S)
    state = checkout.dvc("status", "--cloud").stdout.strip().splitlines()[-1]
    (checkout.path / _LARGE).unlink()
    shutil.rmtree(checkout.path / ".dvc/cache/files")
    pulled = checkout.dvc("pull", code=None, limit_s=_LIMIT_S)
    left = _left(checkout)
    parts = [path for path in remote.rglob("*.tmp") if path.is_file()]
    is_right = (
        is_killed and "in sync" in state and not again.returncode and not pulled.returncode and not left
    )
    if parts:
        left = f"{left} {len(parts)} part of a file in the remote".strip()
    if not is_right:
        sys.stderr.write(again.stderr[-2000:] + pulled.stderr[-2000:] + state)
    cells = ["push", "dvc push", "killed" if is_killed else "was done before the kill", "0"]
    return Row(
        [*cells, left or "nothing", "in sync", f"{again.returncode}; pull {pulled.returncode}"], is_right
    )


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _data(checkout: Workspace) -> dict[str, str]:
    """Return the digests in dvc.lock of the outputs on which other stages depend."""
    lock = checkout.lock()
    read = {dep["path"] for stage in lock.values() for dep in stage.get("deps", ())}
    outs = [out for stage in lock.values() for out in stage.get("outs", ())]
    return {out["path"]: out["md5"] for out in outs if out["path"] in read}


def _own_code(lines: list[str]) -> str:
    """Return the exit code of the stage itself, as dvc names it; `dvc` if the stage was done and dvc failed."""
    codes = re.findall(r"exited with (\d+)", "".join(lines))
    return codes[-1] if codes else "dvc"


def _reason(stage: str, lines: list[str]) -> str:
    own = [line for line in lines if line.startswith(f"{stage}: ") and ": http" not in line]
    return re.sub(r"\s+", " ", (own or lines)[-1]).strip()[:200]


def _repeated(bench: Bench, before: int) -> int:
    hashes = Counter(row["hash"] for row in bench.server.requests())
    new = {row["hash"] for row in bench.server.requests()[before:]}
    return sum(hashes[name] - 1 for name in new)


def _left(checkout: Workspace) -> str:
    """Return the processes and the MLflow runs that a drill left; a stage may need a moment to end."""
    deadline = time.monotonic() + 60
    while (alive := checkout.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    running = [run for run in checkout.runs() if run.info.status == "RUNNING"]
    words = [f"{len(alive)} processes"] if alive else []
    return ", ".join([*words, *([f"{len(running)} runs RUNNING"] if running else [])])


@contextlib.contextmanager
def _tmpfs(size: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", name)
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def _stages() -> list[str]:
    """Return the stages, with one item for each matrix stage."""
    return list({name.partition("@")[0]: name for name in STAGES}.values())


def _drills(options: argparse.Namespace) -> Iterator[Callable[[Bench], Row]]:
    for failure in options.drills:
        if failure in OF_CHECKOUT:
            yield {"night": night, "together": together, "push": push}[failure]
            continue
        for stage in options.stages:
            yield lambda bench, failure=failure, stage=stage: of_stage(bench, failure, stage)


def main() -> int:
    """Run the drills; print the table."""
    parser = argparse.ArgumentParser(description="Lets the machine fail while each stage runs.")
    parser.add_argument(
        "--drills", nargs="*", choices=(*OF_STAGES, *OF_CHECKOUT), default=[*OF_STAGES, *OF_CHECKOUT]
    )
    parser.add_argument("--stages", nargs="*", choices=STAGES, default=_stages())
    options = parser.parse_args()
    rows, is_right = [], True
    with (
        tempfile.TemporaryDirectory() as base,
        _tmpfs("2g") as disk,
        chat_server(Path(base) / "requests") as server,
    ):
        tiny_model.write(Path(base) / "tiny")
        params = {"base_model.source": f"path:{Path(base) / 'tiny'}", "llm.base_url": server.url}
        bench = Bench(workspaces.make(disk / "checkout", params), disk, server)
        bench.checkout.dvc("repro", limit_s=_LIMIT_S)
        for drill in _drills(options):
            row = drill(bench)
            rows.append(row.cells)
            is_right &= row.is_right
            sys.stderr.write(f"{'right' if row.is_right else 'WRONG'}: {row.cells}\n")
    sys.stdout.write(tabulate(rows, HEAD, tablefmt="github") + "\n")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
