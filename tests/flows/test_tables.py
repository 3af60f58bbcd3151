"""What a flow run says about its stages, at the end of its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import tables

ROWS = [
    {"stage": "sft", "how": "executed", "seconds": 61.26},
    {"stage": "report@small", "how": "unchanged", "seconds": 0.5},
]


def test_the_closing_block_has_the_seconds_the_reports_and_the_next_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my checkout"
    (folder / "data/report/small").mkdir(parents=True)
    (folder / "data/report/small/report.md").write_text("# Report", encoding="utf-8")
    monkeypatch.chdir(folder)
    text = tables.closing_block(ROWS, ["report@missing", "report@small"])
    table, _, block = text.partition("\n\n")
    assert table.splitlines()[2:] == [
        "| sft          | executed        |      61.3 |",
        "| report@small | unchanged       |       0.5 |",
        "| all          |                 |      61.8 |",
    ]
    assert block.splitlines() == [
        f"report: {folder}/data/report/small/report.md",
        "data: data/<stage>/, models: data/<model>/weights",
        f"next: cd '{folder}' && source .venv/bin/activate",
        "  bash infra/ui.sh                      MLflow, Prefect and Data Docs",
        "  longwriter serve                      the base model and the trained one side by side",
        "  longwriter lineage --benchmark small  from a number, or a row, back to its LLM calls",
        "  dvc metrics show                      all numbers",
    ]


def test_without_a_report_the_closing_block_names_no_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = tables.closing_block(ROWS, [])
    assert "report:" not in block
    assert "  longwriter lineage  from a number, or a row, back to its LLM calls\n" in block
