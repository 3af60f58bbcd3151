import asyncio
import json

import pytest

from longwriter import params
from longwriter.errors import NoAnswer
from longwriter.stages.instructions import Judge
from tests.unit.agentwrite.scripted_llm import ScriptedLLM

YES, NO = (json.dumps({"reason": "", "long": long}) for long in (True, False))


def judged(says, form="json_schema"):
    llm = ScriptedLLM(says, form)
    judge = Judge(
        llm,
        "Is it long? {instruction}",
        params.load().instructions.judge.model_copy(update={"max_attempts": 3}),
    )
    return asyncio.run(judge.each(["Write a book."])), llm


@pytest.mark.parametrize(("answer", "said"), [(YES, True), (NO, False)])
def test_a_readable_answer_is_taken_at_once(answer, said):
    found, llm = judged(lambda prompt, attempt: answer)
    assert found == [(said, llm.call_ids)]
    assert [attempt for _, attempt, _, _ in llm.calls] == [0]


@pytest.mark.parametrize(
    ("form", "asked"),
    [("json_schema", (True, False)), ("json_object", (False, True)), ("lines", (False, False))],
)
def test_the_answer_is_asked_for_as_the_judges_server_honours_it(form, asked):
    _, llm = judged(lambda prompt, attempt: YES, form)
    assert [(schema, is_object) for _, _, schema, is_object in llm.calls] == [asked]


def test_an_unreadable_answer_is_requested_again_and_stays_undecided_in_the_end():
    found, llm = judged(lambda prompt, attempt: "Yes." if attempt < 2 else NO)
    assert found == [(False, llm.call_ids)]
    found, llm = judged(lambda prompt, attempt: "Yes.")
    assert found == [(None, llm.call_ids)]
    assert len(llm.call_ids) == 3


def test_a_prompt_that_the_judge_refuses_stays_undecided_and_stops_no_other():
    def refuse(prompt, attempt):
        raise NoAnswer("beyond the context", reason="request_refused")

    assert judged(refuse)[0] == [(None, [])]
