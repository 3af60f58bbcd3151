"""Makes the traces of texts: trees of spans, from records and lines of call logs.

The ids of a trace and of its spans are hashes of content, made here and not by MLflow. So the id of a trace can be
computed from its row, a stage that runs again writes the same traces, and no file has to store an id of MLflow.
Call logs say how long an answer took, but not when it came. So the durations of spans are measured, but their start
times are not. In a trace, a span starts when the span before it ends. Spans of paragraphs that were written at the
same time start together.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from longwriter.amounts import amount
from longwriter.hashing import content_hash
from longwriter.records import Draft, Generation, Plan, Rejection, Score, Unscored

Line = Mapping[str, Any]
"""A line of a call log."""
Cost = Callable[[Line], tuple[float, float] | None]
"""Returns the USD of a call's request and of its answer; None = unknown."""


class Node(NamedTuple):
    """A span: a step of a text, with the steps inside it.

    `kind` is MLflow's span type. `error` says why the result was not used. `is_parallel`: the children ran at
    the same time.
    """

    name: str
    kind: str
    inputs: Any
    outputs: Any
    children: Sequence[Node] = ()
    error: str | None = None
    seconds: float = 0.0
    attributes: Mapping[str, Any] = {}
    is_parallel: bool = False

    def duration(self) -> float:
        """Return the seconds of this step and of those inside it."""
        child_seconds = [child.duration() for child in self.children]
        return self.seconds + (max(child_seconds, default=0.0) if self.is_parallel else sum(child_seconds))


class Opinion(NamedTuple):
    """A score of a text: what MLflow calls an assessment. `judge` is None if code computed it."""

    name: str
    value: float | bool | str
    judge: str | None = None
    rationale: str = ""


class TextTrace(NamedTuple):
    """The trace of one text."""

    trace_id: str
    root: Node
    tags: Mapping[str, str]
    opinions: Sequence[Opinion] = ()


class Calls(NamedTuple):
    """The calls behind one text: their lines by id, why some answers were refused, and what calls cost."""

    lines: Mapping[str, Line]
    refusals: Mapping[str, tuple[str, str]]
    cost: Cost


def trace_id(row_id: str, call_ids: Sequence[str]) -> str:
    """Return the id of a text's trace.

    Args:
        row_id: `instruction_id` of a text that AgentWrite wrote, `generation_id` of an answer.
        call_ids: The calls that wrote it, in the order of its record; empty for an answer, because its id depends
            on them already.
    """
    return f"tr-{content_hash([row_id, *call_ids])[:32]}"


def of_draft(draft: Draft, calls: Calls, *, is_parallel: bool) -> TextTrace:
    """Return the trace of a text that AgentWrite wrote."""
    plan = draft.plan
    text = "\n\n".join(draft.paragraphs)
    parts = _paragraphs(plan, draft.call_ids, draft.paragraphs, calls)
    root = _text(plan, text, [_plan(plan, calls), _writing(parts, text, is_parallel)], None)
    call_ids = [*plan.call_ids, *draft.call_ids]
    return TextTrace(trace_id(plan.instruction.instruction_id, call_ids), root, _tags(plan, "kept"))


def of_refused_draft(row: Rejection, plan: Plan, calls: Calls, *, is_parallel: bool) -> TextTrace:
    """Return the trace of a plan whose text was refused."""
    parts = _paragraphs(plan, row.call_ids, [], calls)
    error = f"{row.reason}: {row.detail}"
    root = _text(plan, None, [_plan(plan, calls), _writing(parts, None, is_parallel)], error)
    return TextTrace(trace_id(row.row_id, row.call_ids), root, _tags(plan, row.reason))


def of_refused_plan(row: Rejection, prompt: str, calls: Calls) -> TextTrace:
    """Return the trace of an instruction for which no plan was usable."""
    error = f"{row.reason}: {row.detail}"
    plan = Node("plan", "CHAIN", prompt, None, _attempts(row.call_ids, calls), error)
    root = Node("AgentWrite", "AGENT", prompt, None, [plan], error)
    tags = {"lw.kind": "agentwrite", "lw.row_id": row.row_id, "lw.result": row.reason}
    return TextTrace(trace_id(row.row_id, row.call_ids), root, tags)


def of_answer(answer: Generation, calls: Calls, item: str, score: Score | None) -> TextTrace:
    """Return the trace of a model's answer to a benchmark prompt, with its scores if it has them.

    Args:
        answer: The answer.
        calls: Its calls, and those of the judge.
        item: MODEL-BENCHMARK.
        score: The scores; None = not scored yet.
    """
    children = list(_attempts(answer.call_ids, calls))
    opinions: list[Opinion] = []
    if score is not None:
        opinions = _opinions(score)
        judged = _attempts(score.quality.call_ids, calls)
        children += [Node("judge", "EVALUATOR", answer.text, None, judged)] if judged else []
    root = Node(f"answer {item}", "AGENT", answer.prompt, answer.text, children)
    model, _, benchmark = item.partition("-")
    tags = {
        "lw.kind": "benchmark", "lw.row_id": answer.generation_id, "lw.prompt_id": answer.prompt_id,
        "lw.model": model, "lw.benchmark": benchmark, "lw.finish_reason": answer.finish_reason,
    }  # fmt: skip
    return TextTrace(trace_id(answer.generation_id, []), root, tags, opinions)


def _opinions(score: Score) -> list[Opinion]:
    required = "no length" if score.required_words is None else score.required_words
    length = f"{score.words} words written, {required} asked for"
    length_scores = [] if score.length_score is None else [round(score.length_score, 4)]
    repeated = f"{score.repeated_share:.1%} of the 5-grams repeat the text before them"
    rows = [
        *(Opinion("length_score", value, rationale=length) for value in length_scores),
        Opinion("ended", score.ended, rationale="whether the model ended the text by itself"),
        Opinion("no_loop", not score.loop, rationale=repeated),  # MLflow shows True in green, False in red
        Opinion("no_refusal", not score.refusal, rationale="by the rules of wording in talk/refusals.py"),
    ]
    quality = score.quality
    if isinstance(quality, Unscored):
        return [*rows, Opinion("quality_unscored", quality.reason, rationale=quality.detail)]
    points = ", ".join(f"{name} {value}" for name, value in quality.dimensions.items())
    rationale = f"{points} (1 to 5). {quality.analysis}"
    return [*rows, Opinion("quality_score", round(quality.quality_score, 4), quality.judge, rationale)]


def _tags(plan: Plan, result: str) -> dict[str, str]:
    row = plan.instruction
    return {
        "lw.kind": "agentwrite", "lw.row_id": row.instruction_id, "lw.result": result, "lw.type": row.type,
        "lw.origin": row.origin,
    }  # fmt: skip


def _text(plan: Plan, text: str | None, children: list[Node], error: str | None) -> Node:
    return Node("AgentWrite", "AGENT", plan.instruction.prompt, text, children, error)


def _plan(plan: Plan, calls: Calls) -> Node:
    steps = [step.model_dump() for step in plan.steps]
    return Node("plan", "CHAIN", plan.instruction.prompt, steps, _attempts(plan.call_ids, calls))


def _writing(parts: list[Node], text: str | None, is_parallel: bool) -> Node:
    return Node("write", "CHAIN", amount(len(parts), "paragraph"), text, parts, is_parallel=is_parallel)


def _paragraphs(plan: Plan, call_ids: Sequence[str], texts: Sequence[str], calls: Calls) -> list[Node]:
    """Return a node for each paragraph with its attempts; a text in one answer is a single node."""
    groups = list(_questions(call_ids, calls))
    nodes = []
    for position, group in enumerate(groups):
        if position < len(plan.steps):
            name = f"paragraph {position + 1} of {len(plan.steps)}"
            question: Any = plan.steps[position].model_dump()
        else:
            name, question = "text in one answer", plan.instruction.prompt
        attempts = _attempts(group, calls)
        text = texts[position] if len(texts) == len(groups) else None
        last = attempts[-1].error if attempts else None
        nodes.append(Node(name, "CHAIN", question, text, attempts, None if text is not None else last))
    return nodes


def _questions(call_ids: Sequence[str], calls: Calls) -> Iterator[list[str]]:
    """Yield the calls of each question: same messages, rising number of the attempt."""
    group: list[str] = []
    before: tuple[Any, int] | None = None
    for call_id in call_ids:
        line = calls.lines.get(call_id)
        if line is None:
            continue
        messages, attempt = line["request"]["messages"], line["attempt"]
        if before is not None and (messages != before[0] or attempt <= before[1]):
            yield group
            group = []
        group.append(call_id)
        before = messages, attempt
    if group:
        yield group


def _attempts(call_ids: Sequence[str], calls: Calls) -> list[Node]:
    return [_attempt(calls.lines[key], calls) for key in call_ids if key in calls.lines]


def _attempt(line: Line, calls: Calls) -> Node:
    """Return one request with its answer; `error` says why the stage asked again."""
    request = line["request"]
    refusal = calls.refusals.get(line["call_id"])
    attributes: dict[str, Any] = {
        "mlflow.llm.model": line["model"],
        "mlflow.message.format": "openai",
        "lw.call_id": line["call_id"],
        "lw.replayed": line["replayed"],
        "lw.served_model": line.get("served_model"),
        "lw.endpoint": line.get("endpoint"),
        "lw.finish_reason": line["finish_reason"],
        "lw.latency_s": line["latency_s"],
    }
    if usage := line["usage"]:
        attributes["mlflow.chat.tokenUsage"] = {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"],
            "cache_read_input_tokens": usage["cached_tokens"],
        }
    if (cost := calls.cost(line)) is not None:
        keys = ("input_cost", "output_cost", "total_cost")
        attributes["mlflow.llm.cost"] = dict(zip(keys, (*cost, sum(cost)), strict=True))
    if refusal:
        attributes["lw.refused"] = refusal[0]
    answer = line.get("answer")
    return Node(
        f"attempt {line['attempt'] + 1}",
        "CHAT_MODEL",
        {"messages": request["messages"], "sampling": request["sampling"]},
        line.get("body", line.get("body_base64")) if answer is None else {"choices": answer.get("choices")},
        error=": ".join(refusal) if refusal else None,
        seconds=line["latency_s"],
        attributes=attributes,
    )


def total(root: Node, key: str) -> dict[str, float]:
    """Return the sums of an attribute's numbers over all spans, such as of `mlflow.llm.cost`."""
    sums: dict[str, float] = {}
    for node in _walk(root):
        for name, value in node.attributes.get(key, {}).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def span_dicts(trace: TextTrace, started_ns: int) -> list[dict[str, Any]]:
    """Return the spans of a trace as `mlflow.entities.Span.from_dict` takes them, the root first.

    Args:
        trace: The trace.
        started_ns: When its first span starts, in nanoseconds since 1970.
    """
    spans: list[dict[str, Any]] = []
    _add(trace.trace_id, trace.root, "", "", started_ns, spans)
    return spans


def _add(
    text_trace_id: str, node: Node, parent: str, path: str, started_ns: int, spans: list[dict[str, Any]]
) -> None:
    span_id = _base64(content_hash([text_trace_id, path])[:16])
    attributes = {
        "mlflow.traceRequestId": text_trace_id,
        "mlflow.spanType": node.kind,
        "mlflow.spanInputs": node.inputs,
        "mlflow.spanOutputs": node.outputs,
        **node.attributes,
    }
    spans.append(
        {
            "trace_id": _base64(text_trace_id.removeprefix("tr-")),
            "span_id": span_id,
            "parent_span_id": parent,
            "name": node.name,
            "start_time_unix_nano": started_ns,
            "end_time_unix_nano": started_ns + round(node.duration() * 1e9),
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
            "status": {
                "code": "STATUS_CODE_ERROR" if node.error else "STATUS_CODE_OK",
                "message": node.error or "",
            },
        }
    )
    begin = started_ns
    for number, child in enumerate(node.children):
        _add(text_trace_id, child, span_id, f"{path}/{number}", begin, spans)
        if not node.is_parallel:
            begin += round(child.duration() * 1e9)


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode("ascii")
