"""Traces in a real MLflow store: written in batches, found by their run, never twice."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longwriter.traces import spans, traces
from longwriter.traces.spans import Node, Opinion, TextTrace
from longwriter.tracking import connection
from longwriter.tracking import runs as tracking


def text(number, opinions=(), error=None):
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    cost = {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75}
    call = Node(
        "attempt 1", "CHAT_MODEL", {"messages": [{"role": "user", "content": "Tea? 茶"}]}, "Tea.", seconds=2.0,
        attributes={"mlflow.chat.tokenUsage": usage, "mlflow.llm.cost": cost, "mlflow.llm.model": "m"},
    )  # fmt: skip
    root = Node("AgentWrite", "AGENT", "Write.\x1b[31m", None if error else "Tea.", [call], error)
    return TextTrace(spans.trace_id(f"row{number}", []), root, {"lw.row_id": f"row{number}"}, opinions)


def write(run_id, texts, writer=None, max_seconds=100):
    return traces.write(
        run_id, texts, started_s=1.7e9, max_seconds=max_seconds, writer=writer or traces.Writer(run_id)
    )


def search(store, run_id):
    experiment = connection.client()[1]
    return store.search_traces(locations=[experiment], run_id=run_id, max_results=500)


def test_traces_are_found_by_their_run_with_prompt_answer_tokens_cost_and_time(store):
    run = tracking.start_run("write", {})
    assert write(run, [text(1), text(2, error="loop: again")])[:2] == (2, 0)
    found = {trace.info.tags["lw.row_id"]: trace for trace in search(store, run)}
    good, bad = found["row1"], found["row2"]
    assert good.data.spans[1].inputs["messages"][0]["content"] == "Tea? 茶"
    assert good.data.spans[1].outputs == "Tea."
    assert good.info.token_usage == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert good.info.cost["total_cost"] == 0.75
    assert (good.info.request_time, good.info.execution_duration) == (1_700_000_000_000, 2000)
    assert (good.info.state, bad.info.state) == ("OK", "ERROR")
    assert good.info.request_preview == "Write.\\x1b[31m"
    assert bad.info.response_preview == "loop: again"


def test_the_ids_of_a_run_are_those_of_the_traces_that_were_written(store):
    run = tracking.start_run("write", {})
    texts = [text(number) for number in range(100, 105)]
    write(run, texts[:3])
    write(run, texts[3:], max_seconds=-1)
    assert traces.ids_of(run) == {item.trace_id for item in texts[:3]}
    assert traces.ids_of("0" * 32) == set()


def test_a_trace_that_is_written_again_exists_once_and_is_linked_to_both_runs(store):
    first, second = (tracking.start_run("write", {}) for _ in range(2))
    for run in (first, first, second):
        write(run, [text(3), text(4)])
    for run in (first, second):
        shown = search(store, run)
        assert len(shown) == 2
        assert {len(trace.data.spans) for trace in shown} == {2}
        assert {trace.info.token_usage["total_tokens"] for trace in shown} == {15}


def test_a_later_stage_adds_its_opinions_to_the_trace_of_the_run_that_answered(store):
    answered, scored = (tracking.start_run(name, {}) for name in ("generate", "score"))
    write(answered, [text(5)])
    opinions = [Opinion("ended", True), Opinion("quality_score", 75.0, "gpt", "Clear.")]
    for value in (70.0, 75.0):
        newest = [opinions[0], opinions[1]._replace(value=value)]
        write(scored, [text(5, newest)], traces.Writer(answered))
    [trace] = search(store, scored)
    assert trace.info.trace_metadata["mlflow.sourceRun"] == answered
    by_name = {item.name: item for item in trace.info.assessments}
    assert len(trace.info.assessments) == len(by_name) == 2
    assert (by_name["ended"].value, by_name["ended"].source.source_type) == (True, "CODE")
    judged = by_name["quality_score"]
    assert (judged.value, judged.source.source_type, judged.source.source_id) == (75.0, "LLM_JUDGE", "gpt")
    assert judged.rationale == "Clear."


def test_when_the_time_is_spent_the_rest_is_left_out_and_counted(store):
    run = tracking.start_run("write", {})
    many = [text(number) for number in range(100, 160)]
    assert write(run, many, max_seconds=1e-9)[:2] == (0, 60)
    assert search(store, run) == []


def test_more_than_one_batch_is_written(store):
    run = tracking.start_run("write", {})
    assert write(run, (text(number) for number in range(200, 253)))[:2] == (53, 0)
    assert len(search(store, run)) == 53


def test_a_server_that_does_not_say_its_version_cannot_be_reached(monkeypatch):
    """MLflow asks for it once, waits three seconds, and then says that the function is not supported."""

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            body = (
                b'{"experiment": {"experiment_id": "1", "name": "longwriter", "lifecycle_stage": "active"}}'
            )
            self.send_response(200 if "experiments" in self.path else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(connection.UNREACHABLE) as ended:
            write("0" * 32, [text(1)])
        server.shutdown()
    assert "could not identify MLflow server version" in str(ended.value)
