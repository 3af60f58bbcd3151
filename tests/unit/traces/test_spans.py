import json

from longwriter.records import (
    Draft,
    Generation,
    Instruction,
    Judgement,
    Plan,
    PlanStep,
    Rejection,
    Score,
    Unscored,
)
from longwriter.traces import spans
from longwriter.traces.spans import Calls, Node

INSTRUCTION = Instruction(
    instruction_id="i1", prompt="Write on tea.", type="Essay", language="en", required_words=100, origin="a:1"
)
STEPS = [PlanStep(main_point="Leaves", word_count=60), PlanStep(main_point="Cups", word_count=40)]
PLAN = Plan(instruction=INSTRUCTION, steps=STEPS, call_ids=["p0"])
DRAFT = Draft(plan=PLAN, paragraphs=["Leaves are dried.", "Cups are warm."], call_ids=["a0", "a1", "b0"])
REFUSALS = {"a0": ("loop", "60 % again")}


def line(call_id, prompt, attempt=0, seconds=2.0, **more):
    return {
        "call_id": call_id,
        "request": {"messages": [{"role": "user", "content": prompt}], "sampling": {"seed": 0}},
        "attempt": attempt, "replayed": False, "model": "m", "finish_reason": "stop", "latency_s": seconds,
        "usage": {"prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 5},
        "answer": {"choices": [{"message": {"role": "assistant", "content": f"answer {call_id}"}}]}, **more,
    }  # fmt: skip


def calls(*lines, refusals=REFUSALS):
    return Calls({row["call_id"]: row for row in lines}, refusals, lambda row: (0.25, 0.5))


ALL = calls(
    line("p0", "Plan."), line("a0", "Leaves?"), line("a1", "Leaves?", 1), line("b0", "Cups?", seconds=5.0)
)


def test_a_text_is_its_plan_and_its_paragraphs_with_the_attempts_at_each():
    trace = spans.of_draft(DRAFT, ALL, is_parallel=False)
    plan, write = trace.root.children
    assert (trace.root.inputs, trace.root.outputs) == (
        "Write on tea.",
        "Leaves are dried.\n\nCups are warm.",
    )
    assert [step["main_point"] for step in plan.outputs] == ["Leaves", "Cups"]
    assert [(node.name, node.outputs) for node in write.children] == [
        ("paragraph 1 of 2", "Leaves are dried."),
        ("paragraph 2 of 2", "Cups are warm."),
    ]
    first, second = write.children[0].children
    assert (first.name, first.error) == ("attempt 1", "loop: 60 % again")
    assert (second.name, second.error) == ("attempt 2", None)
    assert first.inputs["messages"] == [{"role": "user", "content": "Leaves?"}]
    assert first.outputs["choices"][0]["message"]["content"] == "answer a0"
    assert first.attributes["lw.call_id"] == "a0"
    assert (trace.tags["lw.row_id"], trace.tags["lw.result"]) == ("i1", "kept")


def test_paragraphs_that_were_written_at_once_stand_side_by_side():
    assert spans.of_draft(DRAFT, ALL, is_parallel=False).root.duration() == 2 + 2 + 2 + 5
    assert spans.of_draft(DRAFT, ALL, is_parallel=True).root.duration() == 2 + 5


def test_tokens_and_cost_add_up_over_the_calls():
    root = spans.of_draft(DRAFT, ALL, is_parallel=False).root
    assert spans.total(root, "mlflow.chat.tokenUsage") == {
        "input_tokens": 40, "output_tokens": 20, "total_tokens": 60, "cache_read_input_tokens": 16,
    }  # fmt: skip
    assert spans.total(root, "mlflow.llm.cost") == {"input_cost": 1.0, "output_cost": 2.0, "total_cost": 3.0}


def test_calls_without_counts_or_price_have_neither_tokens_nor_cost():
    unknown = Calls({"p0": line("p0", "Plan.", usage=None)}, {}, lambda row: None)
    root = spans.of_draft(DRAFT, unknown, is_parallel=False).root
    assert spans.total(root, "mlflow.chat.tokenUsage") == spans.total(root, "mlflow.llm.cost") == {}
    assert [node.name for node in root.children[1].children] == []


def test_a_refused_text_says_why_and_a_refused_plan_too():
    row = Rejection(row_id="i1", stage="write", reason="loop", detail="paragraph 1", call_ids=["a0"])
    trace = spans.of_refused_draft(row, PLAN, ALL, is_parallel=True)
    assert (trace.root.error, trace.root.outputs) == ("loop: paragraph 1", None)
    [paragraph] = trace.root.children[1].children
    assert paragraph.error == "loop: 60 % again"
    plan = Rejection(row_id="i1", stage="plan", reason="no_steps", detail="", call_ids=["p0"])
    refused = spans.of_refused_plan(plan, "Write on tea.", ALL)
    assert (refused.tags["lw.result"], refused.root.children[0].children[0].name) == ("no_steps", "attempt 1")


def test_a_text_in_one_answer_has_one_part():
    bare = Plan(instruction=INSTRUCTION, steps=[], call_ids=[])
    draft = Draft(plan=bare, paragraphs=["One.", "Two."], call_ids=["a0"])
    [part] = spans.of_draft(draft, ALL, is_parallel=False).root.children[1].children
    assert (part.name, part.inputs) == ("text in one answer", "Write on tea.")


def test_the_ids_follow_from_the_row_alone_and_every_span_has_its_own():
    one, two = (spans.of_draft(DRAFT, ALL, is_parallel=flag) for flag in (True, False))
    assert one.trace_id == two.trace_id == spans.trace_id("i1", ["p0", "a0", "a1", "b0"])
    dicts = spans.span_dicts(one, 10**18)
    ids = [item["span_id"] for item in dicts]
    assert len(set(ids)) == len(ids) == 9
    assert {item["parent_span_id"] for item in dicts} <= {"", *ids}
    assert [item["parent_span_id"] for item in dicts].count("") == 1
    assert json.loads(dicts[0]["attributes"]["mlflow.spanOutputs"]) == one.root.outputs
    assert dicts[0]["end_time_unix_nano"] == 10**18 + 7 * 10**9


def answer_and(quality):
    answer = Generation(
        generation_id="g1", prompt_id="q", prompt="Tea?", type="Essay", language="en", required_words=10,
        text="Tea.", words=1, finish_reason="stop", max_tokens=9, call_ids=["a1"],
    )  # fmt: skip
    score = Score(
        generation_id="g1", prompt_id="q", type="Essay", language="en", required_words=10, words=1,
        length_score=12.5, ended=True, loop=False, refusal=False, repeated_share=0.0, quality=quality,
    )  # fmt: skip
    return answer, score


def test_an_answer_has_its_scores_by_code_and_by_the_judge_with_its_reasons():
    judged = Judgement(
        dimensions={"Clarity": 4}, quality_score=75.0, analysis="Clear.", judge="gpt", call_ids=["b0"]
    )
    trace = spans.of_answer(*answer_and(judged)[:1], ALL, "sft-small", answer_and(judged)[1])
    assert [(row.name, row.value, row.judge) for row in trace.opinions] == [
        ("length_score", 12.5, None), ("ended", True, None), ("no_loop", True, None), ("no_refusal", True, None),
        ("quality_score", 75.0, "gpt"),
    ]  # fmt: skip
    assert trace.opinions[-1].rationale == "Clarity 4 (1 to 5). Clear."
    assert [node.name for node in trace.root.children] == ["attempt 2", "judge"]
    assert trace.tags["lw.model"] == "sft"


def test_an_answer_that_no_judge_read_has_the_reason_and_no_number():
    answer, score = answer_and(Unscored(reason="no_judge", detail="there is no judge"))
    trace = spans.of_answer(answer, ALL, "sft-small", score)
    assert (trace.opinions[-1].name, trace.opinions[-1].value) == ("quality_unscored", "no_judge")
    assert spans.of_answer(answer, ALL, "sft-small", None).opinions == []


def test_a_body_that_is_no_json_is_shown_as_it_came():
    odd = {**line("a0", "Leaves?"), "answer": None, "body": "<html>"}
    [node] = spans.of_answer(
        answer_and(Unscored(reason="x", detail=""))[0].model_copy(update={"call_ids": ["a0"]}),
        calls(odd, refusals={}), "sft-small", None,
    ).root.children  # fmt: skip
    assert isinstance(node, Node)
    assert node.outputs == "<html>"
