"""A published data set of long texts goes through the filters and the gate that drafts go through."""

from __future__ import annotations

import re

from tests.unit.builders import prose
from tests.workspace import Workspace


def _chat(prompt: str, answer: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


def test_published_rows_are_filtered_gated_split_and_named_in_the_data_card(workspace: Workspace) -> None:
    good = [_chat(f"Tell me about {prose(4, i)}", prose(120, i)) for i in range(6)]
    refusals = [
        _chat("Write.", "I'm sorry, but I cannot help with that. " + prose(90)),
        _chat("Write.", "Short."),
    ]
    (workspace.path / "extra").mkdir()
    workspace.write_rows("extra/longwriter_6k.jsonl", [*good, *refusals, good[0]])
    (workspace.path / "extra" / "README.md").write_text("License: apache-2.0\n", encoding="utf-8")
    workspace.set_params({"dataset.extra_source": "extra"})
    before = workspace.json("data/dataset/metrics.json")

    workspace.stage("dataset")
    workspace.stage("validate")

    numbers = workspace.json("data/dataset/metrics.json")
    assert numbers["imported_rows"] == 6
    assert numbers["rows_in"] == before["rows_in"] + 9
    assert numbers["rows_kept"] == before["rows_kept"] + 6
    rows = workspace.rows("data/dataset/train.jsonl") + workspace.rows("data/dataset/test.jsonl")
    imported = [row for row in rows if row["kind"] == "imported"]
    assert {row["origin"] for row in imported} == {
        f"extra/longwriter_6k.jsonl:{line}" for line in range(1, 7)
    }
    assert all(row["messages"][0]["content"].count("120") == 1 for row in imported)
    rejected = {row["row_id"]: row["reason"] for row in workspace.rows("data/dataset/rejected.jsonl")}
    assert rejected["extra/longwriter_6k.jsonl:7"] == "refusal"
    assert rejected["extra/longwriter_6k.jsonl:8"] == "too_short"
    assert "duplicate" in rejected.values()
    card = (workspace.path / "data/dataset/datacard.md").read_text(encoding="utf-8")
    assert "| extra | 9 | apache-2.0 (README.md) |" in re.sub(" +", " ", card)
    assert workspace.json("data/validate/verdict.json")["passed"] is True


def test_a_poisoned_import_is_stopped_by_the_gate(workspace: Workspace) -> None:
    benchmark = workspace.rows("benchmarks/tiny.jsonl")[1]["prompt"]
    (workspace.path / "extra").mkdir()
    workspace.write_rows("extra/rows.jsonl", [_chat(benchmark.upper(), prose(60))])
    workspace.set_params({"dataset.extra_source": "extra"})
    workspace.stage("dataset")

    done = workspace.stage("validate", code=3)

    assert "1 of 18 expectations stop the data set" in done.stderr
    assert "no_benchmark_prompt: observed 1 of " in done.stderr
