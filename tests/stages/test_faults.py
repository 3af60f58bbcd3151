"""AgentWrite against an endpoint that fails on purpose: killed at random moments, stopped, resumed.

`LW_FAULT_ROWS` and `LW_FAULT_KILLS` make it longer; `LW_FAULT_SEED` decides when the kills come.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from longwriter.io.files import read_zstd_lines
from tests.agentwrite_job import OUTPUTS, Job, make
from tests.chat_server import faults
from tests.chat_server.faults import TRANSPORT
from tests.chat_server.server import chat_server
from tests.workspace import PATIENCE_S, wait_for

ROWS = int(os.environ.get("LW_FAULT_ROWS", "100"))
KILLS = int(os.environ.get("LW_FAULT_KILLS", "5"))
SEED = int(os.environ.get("LW_FAULT_SEED") or random.SystemRandom().randrange(10**6))
CONCURRENCY = 32
FLAGS = ("--faults", "0.3", "--latency", "0.05")
LLM: dict[str, Any] = {"llm__max_concurrency": CONCURRENCY, "llm__timeout_s": 3, "llm__max_retries": 8}
LONG_S = PATIENCE_S + 2 * ROWS
POISON = re.compile(
    "|".join(map(re.escape, (*faults.REFUSALS, *faults.ERROR_TEXTS, *faults.META_TALK, faults.THOUGHT)))
    + "|</?think>|<\\|im_|[\\x00\\x07]|\\\\u0000|Main Point|Word Count|<html|Sign in"
)
KEY = "sk-test-0123456789abcdefghij"


class Undisturbed(NamedTuple):
    """A run under faults that nobody killed."""

    job: Job
    requests: list[dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    path = tmp_path_factory.mktemp("undisturbed")
    with chat_server(path / "requests.jsonl", *FLAGS) as server:
        job = make(path, ROWS, **LLM, llm__base_url=server.url)
        job.run(limit_s=LONG_S)
        return Undisturbed(job, server.requests())


def _id(row: dict[str, Any]) -> str:
    """Return the instruction's id of an instruction, a plan or a draft."""
    row = row.get("plan", row)
    return str(row.get("instruction", row)["instruction_id"])


def _answered(rows: list[dict[str, Any]]) -> Counter[str]:
    """Return how often each request was answered completely."""
    return Counter(row["hash"] for row in rows if row["did"] in faults.ANSWERED)


def test_every_fault_occurs_and_what_may_be_sent_again_is(undisturbed: Undisturbed) -> None:
    seen = Counter(row["did"] for row in undisturbed.requests)
    assert {*TRANSPORT, *faults.ANSWERED, "status_400"} <= seen.keys(), seen
    arrivals: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(undisturbed.requests, key=lambda row: row["at"]):
        arrivals.setdefault(row["hash"], []).append(row)
    for rows in arrivals.values():
        assert all(row["did"] in TRANSPORT for row in rows[:-1]), "what was answered is asked once"
        assert rows[-1]["did"] not in TRANSPORT, "what failed is sent again"
        for failed, again in itertools.pairwise(rows):
            waited = again["at"] - failed["done"]
            assert failed["did"] != "status_429" or waited >= faults.RETRY_AFTER_S * 0.95
    retried = sum(undisturbed.job.usage(stage)["calls_retried"] for stage in ("plan", "write"))
    assert retried == sum(seen[kind] for kind in TRANSPORT)


def test_every_instruction_ends_kept_or_rejected_with_a_reason(undisturbed: Undisturbed) -> None:
    job = undisturbed.job
    instructions, plans, drafts = (
        [_id(row) for row in job.rows(name)]
        for name in ("instructions/instructions.jsonl", "plan/plans.jsonl", "write/drafts.jsonl")
    )
    for taken, kept, stage in ((instructions, plans, "plan"), (plans, drafts, "write")):
        rejections = {row["row_id"]: row for row in job.rows(f"{stage}/rejected.jsonl")}
        assert kept == [row_id for row_id in taken if row_id not in rejections]
        assert rejections.keys() <= set(taken)
        assert all(row["reason"] and row["detail"] for row in rejections.values())
    reasons = Counter(
        row["reason"] for stage in ("plan", "write") for row in job.rows(f"{stage}/rejected.jsonl")
    )
    assert reasons["request_refused"], reasons
    assert not reasons["request_failed"], reasons
    assert len(drafts) > ROWS / 2, reasons


def test_no_kept_text_holds_what_a_fault_added(undisturbed: Undisturbed) -> None:
    points = [step["main_point"] for row in undisturbed.job.rows("plan/plans.jsonl") for step in row["steps"]]
    paragraphs = [text for row in undisturbed.job.rows("write/drafts.jsonl") for text in row["paragraphs"]]
    assert [text for text in (*points, *paragraphs) if POISON.search(text)] == []
    assert [text for text in paragraphs if not text.endswith(".")] == []
    sentences = [Counter(re.split(r"(?<=\.)\s+", text)) for text in paragraphs]
    assert [counts for counts in sentences if counts.most_common(1)[0][1] > 2] == []


def test_kills_change_no_byte_and_cost_no_stored_answer(undisturbed: Undisturbed, tmp_path: Path) -> None:
    seed_note = f"LW_FAULT_SEED={SEED}"
    rng = random.Random(SEED)
    with chat_server(tmp_path / "requests.jsonl", *FLAGS) as server:
        job = make(tmp_path, ROWS, **LLM, llm__base_url=server.url)
        kills: list[tuple[float, set[str]]] = []
        for number in range(KILLS):
            sent = len(server.requests())
            left = max(1, len(undisturbed.requests) - sent) // (KILLS - number + 1)
            child = job.start()
            goal = sent + rng.randint(1, max(1, left))
            while len(server.requests()) < goal and child.is_alive():
                time.sleep(0.05)
            time.sleep(rng.random() * 0.1)
            if child.exitcode == 0:  # the last one was quick
                break
            assert child.exitcode is None, f"it failed; {seed_note}\n{job.log()[-2000:]}"
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            kills.append((time.time(), job.cached_answers()))
        assert len(kills) > KILLS / 2, seed_note
        job.run(limit_s=LONG_S)
        requests = server.requests()
    for name in OUTPUTS:
        undisturbed_bytes = (undisturbed.job.path / "data" / name).read_bytes()
        assert (tmp_path / "data" / name).read_bytes() == undisturbed_bytes, f"{name}; {seed_note}"
    assert len(kills[0][1]) < len(kills[-1][1])
    ends = [at for at, _ in kills[1:]] + [time.time()]
    for (at, stored), end in zip(kills, ends, strict=True):
        answered = _answered([row for row in requests if row["at"] <= at])
        after = {row["hash"] for row in requests if at < row["at"] <= end}
        assert [name for name in after if name[:16] in stored] == [], seed_note
        assert len(after & answered.keys()) <= CONCURRENCY, seed_note


def test_a_request_that_fails_for_good_is_rejected_alone(tmp_path: Path) -> None:
    with chat_server(tmp_path / "requests.jsonl", "--fault", "always_500=0.15", "--key", KEY) as server:
        job = make(tmp_path, 24, llm__base_url=server.url, llm__max_retries=1)
        job.run(OPENAI_API_KEY=KEY)
        dead = Counter(row["hash"] for row in server.requests() if row["did"] == "always_500")
    rejected = [row for stage in ("plan", "write") for row in job.rows(f"{stage}/rejected.jsonl")]
    assert sum(row["reason"] == "request_failed" for row in rejected) == len(dead) > 0
    assert set(dead.values()) == {2}
    assert job.rows("write/drafts.jsonl")
    texts = {
        path: path.read_bytes() for part in ("data", ".lw", "job.log") for path in _files(tmp_path / part)
    }
    for path in tmp_path.glob("data/*/calls.jsonl.zst"):
        texts[path] = "".join(read_zstd_lines(path)).encode()
        assert b"chat.completion" in texts[path]
    assert [path for path, text in texts.items() if KEY.encode() in text] == []


def _files(path: Path) -> list[Path]:
    """Return a file, or the files below a folder."""
    return [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]


@pytest.mark.parametrize("flag", ["--model=there", f"--key={KEY}"])
def test_a_wrong_model_or_key_ends_at_the_first_request(tmp_path: Path, flag: str) -> None:
    wrong = "sk-wrong-9876543210zyxwvutsrq"
    with chat_server(tmp_path / "requests.jsonl", flag) as server:
        job = make(tmp_path, 4, llm__base_url=server.url, llm__model="not-there")
        job.run(code=2, OPENAI_API_KEY=wrong)
        assert len(server.requests()) + len(server.requests("probe")) == 1
    log = job.log()
    assert "ModelUnusable" in log
    assert ("not-there" if "model" in flag else "401") in log
    assert wrong not in log
    assert "Traceback" not in log


def test_a_missing_key_ends_before_the_first_request(tmp_path: Path) -> None:
    job = make(tmp_path, 4, llm__base_url="https://api.example.invalid/v1", llm__api_key_env="LW_TEST_KEY")
    job.run(code=2)  # a request to this host would end with 75
    assert "set the environment variable LW_TEST_KEY" in job.log()
    assert not (tmp_path / "data" / "plan").exists()


def test_an_endpoint_that_goes_down_ends_the_stage_and_the_stage_resumes(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with chat_server(log, "--latency", "0.2") as server:
        job = make(tmp_path, 24, llm__base_url=server.url, llm__timeout_s=60)
        child = job.start()
        wait_for(lambda: sum(row["kind"] == "write" for row in server.requests()) >= 8, "it writes")
    child.join(PATIENCE_S)
    assert child.exitcode == 75, job.log()[-2000:]
    assert "EndpointUnavailable" in job.log()
    assert "Traceback" not in job.log()
    stored, sent = job.cached_answers(), len(server.requests())
    assert stored
    port = server.url.split(":")[2].split("/")[0]
    with chat_server(log, "--port", port) as server:
        job.run()
        assert [row for row in server.requests()[sent:] if row["hash"][:16] in stored] == []
    assert job.rows("write/drafts.jsonl")


def test_a_budget_stops_the_stage_and_a_higher_one_resumes_it(tmp_path: Path) -> None:
    with chat_server(tmp_path / "requests.jsonl", "--latency", "0.02") as server:
        here: dict[str, Any] = {"llm__base_url": server.url, "llm__model": "gpt-4o-2024-05-13"}
        job = make(tmp_path, 24, **here, llm__max_cost_usd=0.02)
        job.run(code=2)
        stored, sent = job.cached_answers(), len(server.requests())
        assert "BudgetReached" in job.log()
        assert len(stored) == sent > 0
        job.set(**here, llm__max_cost_usd=100.0)
        job.run()
        assert [row for row in server.requests()[sent:] if row["hash"][:16] in stored] == []
        assert len(server.requests()) > sent
    assert job.usage("write")["cost_usd"] > 0
    assert job.rows("write/drafts.jsonl")


@pytest.mark.parametrize(
    ("budget", "spent", "message"),
    [
        ("5", "budget", "Budget has been exceeded!"),  # within `plan`; the others within `write`
        ("40", "budget", "Budget has been exceeded!"),
        ("100", "key", "answered 401: Incorrect API key provided"),  # revoked in mid-run
        pytest.param("40", "credit", "answered 402: Insufficient Balance", marks=pytest.mark.services),
        pytest.param(
            "40", "quota", "answered 429: You exceeded your current quota", marks=pytest.mark.services
        ),
    ],
)
def test_an_account_that_ends_in_mid_run_ends_the_stage_and_rejects_nothing_and_a_filled_one_resumes_it(
    tmp_path: Path, budget: str, spent: str, message: str
) -> None:
    log = tmp_path / "requests.jsonl"
    flags = ("--latency", "0.02", "--faults", "0.3", "--budget", budget, "--spent", spent)
    with chat_server(log, *flags) as server:
        job = make(tmp_path, 24, **LLM, llm__base_url=server.url)
        job.run(code=2)
        did = [row["did"] for row in server.requests()]
        stored = job.cached_answers()
    assert 1 <= did.count("spent") <= CONCURRENCY
    assert message in job.log()
    assert "no row is rejected" in job.log()
    assert "Traceback" not in job.log()
    assert not (tmp_path / "data" / "write").exists()
    port, sent = server.url.split(":")[2].split("/")[0], len(did)
    with chat_server(log, "--faults", "0.3", "--port", port) as server:
        job.run()
        assert [row for row in server.requests()[sent:] if row["hash"][:16] in stored] == []
    rejected = [row for stage in ("plan", "write") for row in job.rows(f"{stage}/rejected.jsonl")]
    assert not [row for row in rejected if message.rpartition(": ")[2] in row["detail"]]
    assert job.rows("write/drafts.jsonl")


LIMIT = 200  # the first start of each process takes about 75 of them for probes


def test_requests_a_minute_are_kept_by_two_processes_together(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    with chat_server(tmp_path / "requests.jsonl") as server:
        children = []
        for name in ("one", "two"):
            job = make(
                tmp_path / name, 60, llm__base_url=server.url, llm__requests_per_minute=LIMIT,
                plan__sampling__seed=len(children),
            )  # fmt: skip
            (job.path / ".lw").mkdir()
            (job.path / ".lw" / "limits").symlink_to(tmp_path / "shared")
            children.append(job.start())

        def arrivals() -> list[float]:
            return sorted(row["at"] for row in (*server.requests(), *server.requests("probe")))

        wait_for(lambda: len(arrivals()) >= LIMIT, "a minute's requests")
        time.sleep(2)  # more could come now
        exit_codes = [(child.exitcode, child.kill(), child.join())[0] for child in children]
        first, *others = arrivals()
    assert exit_codes == [None, None], "both had more to ask"
    assert (
        sum(at < first + 50 for at in others) < LIMIT
    )  # a request may arrive some seconds after its permission
