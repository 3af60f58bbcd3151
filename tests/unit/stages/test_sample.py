import asyncio

import pytest

from longwriter.errors import NoAnswer
from longwriter.evaluation import answers
from longwriter.evaluation.answers import Prompt
from longwriter.records import Generation, Rejection
from longwriter.stages import sample
from tests.unit.agentwrite.plans.test_planning import params
from tests.unit.agentwrite.scripted_llm import ScriptedLLM

PROMPT = Prompt("p1", "Write 100 words on tea.", "Popular Science", "en", 100)


def drawn(says):
    return asyncio.run(sample.sample_one(ScriptedLLM(says), params(), PROMPT, 3))


def test_an_answer_is_a_generation_and_its_draw_is_the_attempt():
    row = drawn(lambda prompt, attempt: f"Tea {attempt}.")
    assert isinstance(row, Generation)
    assert (row.prompt_id, row.text) == ("p1", "Tea 3.")


def test_a_prompt_that_the_engine_refuses_is_a_row_left_out_and_not_the_end():
    row = drawn(lambda prompt, attempt: NoAnswer("answered 400: too long", "request_refused"))
    assert row == Rejection(
        row_id="p1", stage="sample", reason="request_refused", detail="answered 400: too long"
    )


def test_a_request_that_failed_may_pass_and_is_not_left_out():
    with pytest.raises(NoAnswer, match="answered 500"):
        drawn(lambda prompt, attempt: NoAnswer("answered 500", "request_failed"))


@pytest.mark.parametrize(
    "repeated", ["", "The tide.\n", "The tide."]
)  # what llama.cpp puts before a continuation
def test_a_continuation_is_requested_after_its_beginning_and_stored_with_it(repeated):
    llm = ScriptedLLM(lambda prompt, attempt: f"{repeated}\nIt came in. ")
    start = answers.Start("The tide.", "\n", ["w1"])
    row = asyncio.run(sample.sample_one(llm, params(), PROMPT, 0, start))
    assert (row.text, row.prefix, row.words) == ("The tide.\n\nIt came in.", "The tide.", 5)
    assert llm.openings == ["The tide.\n"]
    assert row.call_ids == [*llm.call_ids, "w1"]
    whole = asyncio.run(sample.sample_one(llm, params(), PROMPT, 0))
    assert whole.max_tokens - row.max_tokens == 2


def test_a_whole_answer_is_written_as_before_there_were_continuations():
    assert "prefix" not in drawn(lambda prompt, attempt: "Tea.").model_dump_json()
