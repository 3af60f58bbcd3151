"""The page of the last flows, and the numbers behind it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import history

ROWS = [
    {
        "stage": "plan",
        "how": "executed",
        "seconds": 60.0,
        "kept": 12,
        "prompt_tokens": 100.0,
        "cost_usd": 0.25,
    },
    {"stage": "write", "how": "unchanged", "seconds": 1.0, "kept": 11, "prompt_tokens": 7.0},
    {"stage": "score@sft-a", "how": "executed", "seconds": 30.0, "kept": 4, "prompt_tokens": 50.0},
    {"stage": "pack", "how": "executed", "seconds": 2.0, "kept": 3},
]


def test_the_numbers_of_a_flow_are_those_of_the_stages_that_ran() -> None:
    assert history.metrics(ROWS) == {
        "seconds/plan": 60.0, "seconds/score/sft-a": 30.0, "seconds/pack": 2.0,
        "rows/plan": 12.0, "rows/score/sft-a": 4.0, "rows/pack": 3.0,
        "prompt_tokens": 150.0, "completion_tokens": 0, "cost_usd": 0.25, "seconds": 93.0, "stages_executed": 3,
    }  # fmt: skip
    assert history.metrics([])["seconds"] == 0


def test_tokens_and_dollars_come_from_the_summary_of_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/score/sft-a")
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(
        json.dumps({"seconds": 3, "prompt_tokens": 5, "completion_tokens": 2, "cost_usd": None})
    )
    assert history.usage("score@sft-a") == {"prompt_tokens": 5.0, "completion_tokens": 2.0}
    assert history.usage("pack") == {}


def test_the_page_has_a_row_for_each_flow_also_for_one_that_ended_before_its_numbers() -> None:
    info = SimpleNamespace(
        run_name="nightly fox|x", run_id="r1", status="FINISHED", start_time=1_700_000_000_000
    )
    killed = SimpleNamespace(
        run_name="nightly owl", run_id="r2", status="KILLED", start_time=1_700_000_000_000
    )
    page = history.page(
        [
            SimpleNamespace(info=info, data=SimpleNamespace(metrics=history.metrics(ROWS))),
            SimpleNamespace(info=killed, data=SimpleNamespace(metrics={})),
        ],
        "http://m/{}".format,
    )
    first, second = (" ".join(line.split()) for line in page.splitlines()[2:])
    assert first.startswith("| 2023-11-14 22:13 | [nightly fox")
    assert first.endswith("| FINISHED | 1.6 | 3 | 150 | 0 | 0.25 | plan 1.0 min |")
    assert second.endswith("| KILLED | | 0 | 0 | 0 | 0.00 | |")
    assert "fox|x" not in first
