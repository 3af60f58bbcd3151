"""The table of rows of a stage's run links the traces that MLflow has, and no others."""

from longwriter.execution import tables
from longwriter.io import files
from longwriter.records import Generation, Message, PreferencePair, RejectedInstruction, Rejection
from longwriter.traces import spans, traces
from longwriter.traces.spans import Node, TextTrace
from longwriter.tracking import runs as tracking
from longwriter.tracking.provenance import LINEAGE
from tests.unit.builders import draft, example, instruction


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


def _write(stage, **rows):
    folder = files.DATA / stage
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in rows.items():
        files.write_jsonl(folder / f"{name}.jsonl", records)


def test_a_written_text_shows_its_words_and_its_length_score_also_in_chinese(store):
    chinese = draft(["海" * 100, "港" * 100], "写一篇文章", required_words=200, language="zh")
    _write("instructions", instructions=[chinese.plan.instruction])
    _write("write", drafts=[chinese], rejected=[])
    row = tables.rows("write", tracking.start_run("write", {}))[0]
    assert (row["words"], row["S_l"]) == (200, 100.0)


def test_a_text_that_became_no_training_row_shows_its_words_its_score_and_the_trace_that_wrote_it(store):
    text = draft(["One two three."], required_words=6)
    source, calls = text.plan.instruction, [*text.plan.call_ids, *text.call_ids]
    refused = Rejection(
        row_id=source.instruction_id, stage="dataset", reason="too_short", detail="3 words", call_ids=calls
    )
    _write("instructions", instructions=[source])
    _write("write", drafts=[text], rejected=[])
    _write("dataset", train=[], test=[], rejected=[refused])
    write, dataset = (tracking.start_run(stage, {}) for stage in ("write", "dataset"))
    LINEAGE.mkdir(parents=True, exist_ok=True)
    files.write_json(LINEAGE / "write.json", {"stage": "write", "run_id": write, "inputs": {}, "outputs": {}})
    own_id = spans.trace_id(source.instruction_id, calls)
    trace = TextTrace(own_id, Node("AgentWrite", "AGENT", "", "", []), {"lw.row_id": "a"}, ())
    traces.write(write, [trace], started_s=1.7e9, max_seconds=9, writer=traces.Writer(write))
    assert tables.rows("dataset", dataset) == [
        {
            "row_id": source.instruction_id, "result": "too_short: 3 words", "prompt": "Write a story.",
            "first_words": "One two three.", "words": 3, "S_l": 50.0, "trace": traces.url(own_id),
        }
    ]  # fmt: skip


def test_a_training_row_is_scored_by_the_length_of_its_instruction_not_by_the_measured_one(store):
    source = instruction(required_words=300)
    row = example("k", words=150, instruction_id=source.instruction_id)
    _write("instructions", instructions=[source])
    _write("dataset", train=[row], test=[], rejected=[])
    LINEAGE.mkdir(parents=True, exist_ok=True)
    files.write_json(LINEAGE / "write.json", {"stage": "write", "run_id": "r", "inputs": {}, "outputs": {}})
    assert tables.rows("dataset", "r")[0]["S_l"] == 50.0


def _sample(**fields):
    base = {
        "generation_id": "g", "prompt_id": "i", "prompt": "Write 4 words.", "type": "Essay", "language": "en",
        "required_words": 4, "text": "One two three four.", "words": 4, "finish_reason": "stop",
        "max_tokens": 9, "call_ids": [],
    }  # fmt: skip
    return Generation(**{**base, **fields})


def test_the_samples_have_a_table_that_says_which_were_cut_off(store):
    _write("instructions", instructions=[])
    _write("sample", generations=[_sample(), _sample(generation_id="h", finish_reason="length")])
    table = tables.rows("sample", "r")
    assert [(row["row_id"], row["result"], row["S_l"]) for row in table] == [
        ("g", "kept", 100.0), ("h", "cut off", 100.0),
    ]  # fmt: skip


def test_the_pairs_have_a_table_of_chosen_texts_and_of_prompts_that_gave_no_pair(store):
    source = instruction("Write on rivers.")
    asked = [Message(role="user", content="Write 4 words.")]
    begun = [*asked, Message(role="assistant", content="One two")]
    answers = {
        "chosen": [Message(role="assistant", content="three four")],
        "rejected": [Message(role="assistant", content="three")],
        "chosen_score": 100.0, "rejected_score": 75.0,
    }  # fmt: skip
    pair = PreferencePair(
        pair_id="p", instruction_id="i", language="en", required_words=4, prompt=begun, call_ids=[], **answers
    )
    refused = Rejection(
        row_id=source.instruction_id, stage="preferences", reason="no_gap", detail="scores 1, 2"
    )
    _write("instructions", instructions=[source])
    _write("preferences", train=[pair], test=[], rejected=[refused])
    table = tables.rows("preferences", "r")
    assert [(row["result"], row["prompt"], row["first_words"], row["S_l"]) for row in table] == [
        ("no_gap: scores 1, 2", "Write on rivers.", "", None),
        ("kept", "Write 4 words.", "One two three four", 100.0),
    ]


def _of_table(row_id, trace=None, result="kept", prompt="Write.", words=3, score=None):
    return {
        "row_id": row_id, "result": result, "prompt": prompt, "first_words": "One two three.",
        "words": words, "S_l": score, "trace": trace,
    }  # fmt: skip


def test_a_rejected_row_of_a_source_shows_the_beginning_of_its_prompt_as_text(store):
    prompt = "Write <img src=x onerror=alert(7)>\n| a [link](http://x.example) " + "about rain " * 40
    rejected = RejectedInstruction(
        row_id="r", stage="instructions", reason="toxic", detail="a.jsonl:1: x", prompt=prompt
    )
    _write("instructions", instructions=[], rejected=[rejected])
    [row] = tables.rows("instructions", tracking.start_run("instructions", {}))
    assert row["prompt"].startswith("Write <img")
    assert len(row["prompt"]) == 200
    assert "\n" not in row["prompt"]
    assert "| `Write <img src=x onerror=alert(7)> ¦ a [link]" in tables.page([row])  # a code span


def test_the_page_of_rows_links_their_traces_and_texts_are_only_texts():
    rows = [
        _of_table("a1", "http://127.0.0.1:5000/#/t", words=1234, score=89.9),
        _of_table("b2", result="too_short: 3", prompt="[x](http://evil.example) | y", words=None),
    ]
    assert tables.page(rows).splitlines()[2:] == [
        "| [trace](http://127.0.0.1:5000/#/t) | a1 | kept | 1,234 | 90 | Write. | One two three. |",
        "|  | b2 | too_short: 3 |  |  | `[x](http://evil.example) ¦ y` | One two three. |",
    ]
    assert tables.page([]) == ""


def test_the_page_of_many_rows_says_how_many_it_leaves_out():
    page = tables.page([_of_table(str(n)) for n in range(1001)])
    assert "\n|  | 499 | " in page
    assert "\n|  | 500 | " not in page
    assert page.endswith("\n\nThese are the first 500 of 1,001 rows; `rows.json` has them all.\n")
