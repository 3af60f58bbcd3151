"""The stage by itself, in a checkout of its own: sources of every kind, the funnel, the judge, the errors."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import buckets
from tests import workspace as workspaces
from tests.chat_server.server import ChatServer
from tests.small import BENCHMARK
from tests.workspace import Workspace

OUT = "data/instructions"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which no stage ran, with the chats in it; each test sets the parameters that it is about."""
    folder = tmp_path_factory.mktemp("instructions") / "checkout"
    made = workspaces.make(folder, {"base_model.source": "path:nowhere", "instructions.gate.min_rows": 1})
    _write(made.path / "chats")
    _set(made)
    made.stage("benchmarks")
    return made


def _chat(prompt: Any, **fields: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": "Of course."}]
    return {"conversation": turns, "language": "English", "toxic": False, "redacted": False, **fields}


STORY = "Write a story of 280 words about {} who finds an old key below the stairs of a house by the sea."
CHATS = [
    _chat(STORY.format("a girl")),
    _chat(STORY.format("a girl")),
    _chat(STORY.format("a girl").upper()),
    _chat(STORY.format("a girl").replace("280", "9,000")),
    _chat("Write an erotic story about the sea."),
    _chat("Tell me what a lighthouse keeper does on a stormy night.", toxic=True),
    _chat("Écris une histoire sur la rivière et la vieille maison du village."),
    _chat(BENCHMARK[1][0].lower()),
    _chat("…"),
    _chat("Explain how the tides come and go, and what the moon does to the sea."),
    _chat(None),
    _chat("word " * 300),
]
FATES = {
    "duplicate": 1, "near_duplicate": 1, "too_long_for_writer": 1, "toxic": 1, "flagged_toxic": 1, "language": 1,
    "contaminated": 1, "no_words": 1, "no_instruction": 1, "malformed": 1, "prompt_too_long": 1,
}  # fmt: skip


def _write(folder: Path) -> None:
    """Put the chats into three files of three formats."""
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in [*CHATS[:4], {"prompt": 7}])
    (folder / "a.jsonl").write_text(lines)
    (folder / "b.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in CHATS[4:8]).encode())
    )
    pq.write_table(pa.Table.from_pylist(CHATS[8:]), folder / "c.parquet")


def _set(checkout: Workspace, **values: Any) -> None:
    chosen = {
        "source": "chats",
        "pattern": "**/*",
        "max_malformed_share": 0.1,
        "unstated": "keep",
        "judge.llm": None,
        **values,
    }
    checkout.set_params({f"instructions.{key}": value for key, value in chosen.items()})


def test_every_row_of_the_sources_is_chosen_or_rejected_with_its_reason(checkout: Workspace) -> None:
    _set(checkout)
    done = checkout.stage("instructions")
    assert "**/* below chats: 3 files\n" in done.stderr
    assert (
        "chats/a.jsonl: JSON Lines; instruction from: conversation (a chat: role, content), with toxic, redacted\n"
        in done.stderr
    )
    assert f'  chats/a.jsonl:1: "{STORY.format("a girl")[:80]}…"\n' in done.stderr
    chosen, rejected = checkout.rows(f"{OUT}/instructions.jsonl"), checkout.rows(f"{OUT}/rejected.jsonl")
    assert Counter(row["reason"] for row in rejected) == FATES
    assert {(row["type"], row["required_words"]) for row in chosen} == {
        ("Literature and Creative Writing", 280), ("Popular Science", None),
    }  # fmt: skip
    assert [row["instruction_id"] for row in chosen] == sorted(row["instruction_id"] for row in chosen)
    told = {row["reason"]: row["detail"] for row in rejected}
    assert told["contaminated"] == f"chats/b.jsonl.gz:4: {BENCHMARK[1][0]}"
    assert told["malformed"] == "prompt: text is needed, found int"
    assert told["no_instruction"] == "conversation: no turn of a user with a text"
    assert told["near_duplicate"].startswith("chats/a.jsonl:")
    steps = checkout.json(f"{OUT}/funnel.json")
    assert (steps[0]["rows_in"], steps[-1]["rows_out"]) == (13, 2)
    assert (checkout.path / OUT / "funnel.png").read_bytes().startswith(b"\x89PNG")
    artifacts = checkout.mlflow()[0].list_artifacts(checkout.runs()[0].info.run_id)
    assert {"funnel.json", "funnel.png", "verdict.json"} <= {item.path for item in artifacts}


def test_the_same_rows_give_the_same_bytes(checkout: Workspace) -> None:
    names = (
        "instructions.jsonl",
        "rejected.jsonl",
        "funnel.json",
        "funnel.png",
        "verdict.json",
        "metrics.json",
        "calls.jsonl.zst",
    )
    _set(checkout)
    runs = []
    for _ in range(2):
        checkout.stage("instructions")
        runs.append([(checkout.path / OUT / name).read_bytes() for name in names])
    assert runs[0] == runs[1]


def test_prompts_without_a_length_are_dropped_where_that_is_wanted(checkout: Workspace) -> None:
    _set(checkout, unstated="drop")
    checkout.stage("instructions")
    assert [row["required_words"] for row in checkout.rows(f"{OUT}/instructions.jsonl")] == [280]
    assert [row["reason"] for row in checkout.rows(f"{OUT}/rejected.jsonl")][-1] == "not_stated"


def test_too_many_malformed_rows_stop_the_stage_with_the_first(checkout: Workspace) -> None:
    _set(checkout, max_malformed_share=0.05)
    done = checkout.stage("instructions", code=2)
    assert "1 of 13 rows of chats are malformed" in done.stderr
    assert "chats/a.jsonl:5: prompt: text is needed" in done.stderr


def test_a_hub_that_cannot_be_reached_can_be_tried_again(checkout: Workspace) -> None:
    _set(checkout, hub="owner/name@main")
    done = checkout.stage("instructions", code=75)
    assert "Unavailable: instructions.hub owner/name@main: no answer from the hub" in done.stderr
    assert "name its folder in instructions.source" in done.stderr
    _set(checkout, hub=None)


def test_a_bucket_is_watched_by_dvc_and_its_digest_is_in_the_lineage(
    checkout: Workspace, tmp_path: Path
) -> None:
    with buckets.server(tmp_path) as (env, client):
        client.create_bucket(Bucket="chats")
        for file in sorted((checkout.path / "chats").iterdir()):
            client.put_object(Bucket="chats", Key=f"night/{file.name}", Body=file.read_bytes())
        _set(checkout, source="s3://chats/night")
        checkout.dvc("repro", "instructions", **env)
        assert Counter(row["reason"] for row in checkout.rows(f"{OUT}/rejected.jsonl")) == FATES
        [locked] = [
            dep for dep in checkout.lock()["instructions"]["deps"] if dep["path"] == "s3://chats/night"
        ]
        inputs = checkout.json("data/lineage/instructions.json")["inputs"]
        assert inputs["s3://chats/night"] == locked["md5"]
        assert "instructions" not in json.loads(
            checkout.dvc("status", "--json", "instructions", **env).stdout
        )
        row = json.dumps(_chat("Explain in 200 words how a clock keeps its time."))
        client.put_object(Bucket="chats", Key="night/d.jsonl", Body=row.encode())
        assert "instructions" in json.loads(checkout.dvc("status", "--json", "instructions", **env).stdout)


def test_a_judge_says_which_prompts_want_a_long_text(checkout: Workspace, chat_server: ChatServer) -> None:
    """The scripted judge says yes by a coin, and the choice goes on until nobody is left who was not asked."""
    (checkout.path / "asked").mkdir()
    rows = [{"prompt": f"Tell me everything about the {word}.", "language": "en"} for word in _words(24)]
    checkout.write_rows("asked/a.jsonl", rows)
    _set(checkout, source="asked", unstated="judge", limit=4, near_duplicate=1.0)
    judge = {
        "engine": "external", "model": "scripted", "base_url": chat_server.url, "api_key_env": "NO_KEY", "extra_body": {},
        "context_tokens": 4096, "max_concurrency": 4, "requests_per_minute": None, "tokens_per_minute": None,
        "max_cost_usd": None, "timeout_s": 60, "max_retries": 1,
    }  # fmt: skip
    checkout.set_params({"instructions.judge.llm": judge, "instructions.judge.sampling.max_tokens": 64})
    checkout.stage("instructions")
    chosen, rejected = checkout.rows(f"{OUT}/instructions.jsonl"), checkout.rows(f"{OUT}/rejected.jsonl")
    calls = checkout.rows(f"{OUT}/calls.jsonl.zst")
    said = {
        row["call_id"]: json.loads(row["answer"]["choices"][0]["message"]["content"])["long"] for row in calls
    }
    fates = Counter(row["reason"] for row in rejected)
    assert len(chosen) == 4
    assert fates["not_long"] == sum(not long for long in said.values()) > 0
    assert len(said) == 4 + fates["not_long"] < 24
    assert fates["over_limit"] == 20 - fates["not_long"]
    assert all(not said[row["call_ids"][0]] for row in rejected if row["reason"] == "not_long")


def _words(count: int) -> list[str]:
    return [f"{one} {two}" for one in ("old", "new", "red", "far") for two in
            ("river", "stone", "bridge", "garden", "lantern", "market")][:count]  # fmt: skip
