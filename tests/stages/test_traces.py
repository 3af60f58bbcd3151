"""Traces of the small pipeline in MLflow: each text with its calls, each answer with its scores."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from longwriter.traces import spans
from tests.small import ITEMS
from tests.workspace import Workspace


def _traces(finished: Workspace) -> dict[str, list[Any]]:
    """Return the traces by the stage of the run that they are linked to."""
    client, experiment = finished.mlflow()
    return {
        run.data.tags["lw.stage"]: client.search_traces(
            locations=[experiment], run_id=run.info.run_id, max_results=500
        )
        for run in finished.runs()
        if "lw.stage" in run.data.tags
    }


def test_each_row_of_the_data_set_leads_to_the_trace_with_its_calls(finished: Workspace) -> None:
    traces = {trace.info.trace_id: trace for trace in _traces(finished)["write"]}
    rows = finished.rows("data/dataset/train.jsonl") + finished.rows("data/dataset/test.jsonl")
    written = [row for row in rows if row["kind"] == "agentwrite"]
    assert written
    for row in written:
        trace = traces[spans.trace_id(row["instruction_id"], row["call_ids"])]
        calls = [span for span in trace.data.spans if span.span_type == "CHAT_MODEL"]
        assert sorted(span.attributes["lw.call_id"] for span in calls) == sorted(row["call_ids"])
        assert trace.info.tags["lw.row_id"] == row["instruction_id"]
        last = calls[-1].outputs["choices"][0]["message"]["content"]
        assert row["messages"][-1]["content"].endswith(last.strip())
        assert trace.info.token_usage["total_tokens"] > 0


def test_refused_rows_are_traced_with_their_reason_and_each_attempt_that_was_refused(
    finished: Workspace,
) -> None:
    traces = _traces(finished)
    for stage in ("plan", "write"):
        reasons = Counter(row["reason"] for row in finished.rows(f"data/{stage}/rejected.jsonl"))
        results = Counter(trace.info.tags["lw.result"] for trace in traces[stage])
        assert results - Counter(kept=results["kept"]) == reasons
    numbers = finished.json("data/write/metrics.json")
    attempts = Counter(
        span.attributes["lw.refused"]
        for trace in traces["write"]
        for part in trace.data.spans
        if part.name.startswith("paragraph")
        for span in trace.data.spans
        if span.parent_id == part.span_id and "lw.refused" in span.attributes
    )
    asked_again = {
        key.removeprefix("reasked_"): n for key, n in numbers.items() if key.startswith("reasked_")
    }
    assert {reason for reason, _ in attempts.items()} >= set(asked_again)


def test_each_benchmark_answer_is_one_trace_with_its_scores(finished: Workspace) -> None:
    traces = _traces(finished)
    for item in ITEMS:
        answered, scored = traces[f"generate@{item}"], traces[f"score@{item}"]
        scores = {row["generation_id"]: row for row in finished.rows(f"data/score/{item}/scores.jsonl")}
        ids = {trace.info.trace_id for trace in answered}
        assert ids == {trace.info.trace_id for trace in scored}
        assert ids == {spans.trace_id(generation_id, []) for generation_id in scores}
        for trace in scored:
            score = scores[trace.info.tags["lw.row_id"]]
            values = {item.name: item.value for item in trace.info.assessments}
            assert values["length_score"] == round(score["length_score"], 4)
            assert (values["ended"], values["no_loop"]) == (score["ended"], not score["loop"])
            assert values["quality_unscored"] == "no_judge"


def test_no_file_that_a_stage_reads_names_a_trace(finished: Workspace) -> None:
    ids = {trace.info.trace_id for traces in _traces(finished).values() for trace in traces}
    assert ids
    for path in finished.path.glob("data/**/*.json*"):
        text = Path(path).read_text(encoding="utf-8", errors="ignore")
        assert not [own_id for own_id in ids if own_id in text], path
    assert json.loads((finished.path / "data/lineage/write.json").read_text())["run_id"]


def test_each_run_says_what_it_is_and_a_table_of_rows_leads_to_their_traces(
    finished: Workspace, tmp_path: Path
) -> None:
    client, _ = finished.mlflow()
    runs = {run.data.tags["lw.stage"]: run for run in finished.runs() if "lw.stage" in run.data.tags}
    for name, run in runs.items():
        note = run.data.tags["mlflow.note.content"]
        has_traces = name.partition("@")[0] in ("plan", "write", "generate", "score")
        assert note.startswith("[traces of this run](") == has_traces
        assert f"\n\n**{name}**: " in note
    assert f"/runs/{runs['plan'].info.run_id}" in runs["write"].data.tags["mlflow.note.content"]
    file = client.download_artifacts(runs["dataset"].info.run_id, "rows.json", str(tmp_path))
    content = json.loads(Path(file).read_text(encoding="utf-8"))
    table = dict(zip(content["columns"], zip(*content["data"], strict=True), strict=True))
    rows = finished.rows("data/dataset/train.jsonl") + finished.rows("data/dataset/test.jsonl")
    assert set(table["row_id"]) >= {row["sample_id"] for row in rows}
    written = [row for row in rows if row["kind"] == "agentwrite"]
    links = dict(zip(table["row_id"], table["trace"], strict=True))
    for row in written:
        assert links[row["sample_id"]].endswith(spans.trace_id(row["instruction_id"], row["call_ids"]))
    version = client.get_model_version_by_alias("longwriter", "candidate")
    assert f"/runs/{runs['score@dpo-tiny'].info.run_id}/traces" in version.description
