"""The table of rows of a stage's run links the traces that MLflow has, and no others."""

from longwriter.execution import tables
from longwriter.io import files
from longwriter.records import Message, Rejection
from longwriter.traces import spans, traces
from longwriter.traces.spans import Node, TextTrace
from longwriter.tracking import runs as tracking
from longwriter.tracking.provenance import LINEAGE
from tests.unit.builders import example


def test_a_row_whose_trace_was_left_out_has_no_link(store):
    folder = files.DATA / "dataset"
    for path in (folder, files.DATA / "instructions", LINEAGE):
        path.mkdir(parents=True, exist_ok=True)
    messages = [Message(role="user", content="Write."), Message(role="assistant", content="One two three.")]
    rows = [
        example(name, sample_id=name, instruction_id=name, call_ids=["c" * 64], messages=messages)
        for name in "ab"
    ]
    files.write_jsonl(folder / "train.jsonl", rows)
    files.write_jsonl(folder / "test.jsonl", [])
    rejected = Rejection(row_id="r", stage="dataset", reason="too_short", detail="", call_ids=[])
    files.write_jsonl(folder / "rejected.jsonl", [rejected])
    files.write_jsonl(files.DATA / "instructions" / "instructions.jsonl", [])
    write, dataset = (tracking.start_run(stage, {}) for stage in ("write", "dataset"))
    files.write_json(LINEAGE / "write.json", {"run_id": write})
    own_id = spans.trace_id("a", ["c" * 64])
    trace = TextTrace(own_id, Node("AgentWrite", "AGENT", "", "", []), {"lw.row_id": "a"}, ())
    traces.write(write, [trace], started_s=1.7e9, max_seconds=9, writer=traces.Writer(write))

    table = tables.rows("dataset", dataset)

    assert [(row["row_id"], row["trace"]) for row in table] == [
        ("r", None), ("a", traces.url(own_id)), ("b", None),
    ]  # fmt: skip
