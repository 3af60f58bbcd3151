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
    files.write_json(LINEAGE / "write.json", {"stage": "write", "run_id": write, "inputs": {}, "outputs": {}})
    own_id = spans.trace_id("a", ["c" * 64])
    trace = TextTrace(own_id, Node("AgentWrite", "AGENT", "", "", []), {"lw.row_id": "a"}, ())
    traces.write(write, [trace], started_s=1.7e9, max_seconds=9, writer=traces.Writer(write))

    table = tables.rows("dataset", dataset)

    assert [(row["row_id"], row["trace"]) for row in table] == [
        ("r", None), ("a", traces.url(own_id)), ("b", None),
    ]  # fmt: skip


def _of_table(row_id, trace=None, result="kept", prompt="Write.", words=3):
    return {
        "row_id": row_id, "result": result, "prompt": prompt, "first_words": "One two three.",
        "words": words, "S_l": None, "trace": trace,
    }  # fmt: skip


def test_the_page_of_rows_links_their_traces_and_texts_are_only_texts():
    rows = [
        _of_table("a1", "http://127.0.0.1:5000/#/t", words=1234),
        _of_table("b2", result="too_short: 3", prompt="[x](http://evil.example) | y", words=None),
    ]
    assert tables.page(rows).splitlines()[2:] == [
        "| [trace](http://127.0.0.1:5000/#/t) | a1 | kept | 1,234 | Write. | One two three. |",
        "|  | b2 | too_short: 3 |  | `[x](http://evil.example) ¦ y` | One two three. |",
    ]
    assert tables.page([]) == ""


def test_the_page_of_many_rows_says_how_many_it_leaves_out():
    page = tables.page([_of_table(str(n)) for n in range(1001)])
    assert "\n|  | 499 | " in page
    assert "\n|  | 500 | " not in page
    assert page.endswith("\n\nThese are the first 500 of 1,001 rows; `rows.json` has them all.\n")
