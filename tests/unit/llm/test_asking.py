import asyncio
from collections import Counter

import pytest

from longwriter.errors import EndpointUnavailable, NoAnswer
from longwriter.llm.asking import Outcome, Unanswered, ask_until_usable
from longwriter.params import Sampling
from longwriter.text.basics.prompts import Refused
from tests.unit.agentwrite.scripted_llm import ScriptedLLM

SAMPLING = Sampling(temperature=0.5, max_tokens=8, top_p=None, repetition_penalty=None, stop=[], seed=0)


async def number(answer):
    return int(answer.text) if answer.text.isdigit() else Refused("no_number", answer.text)


def asked(*answers, read=number, form="json_schema", **options):
    llm, reasked = ScriptedLLM(lambda prompt, attempt: answers[attempt], form), Counter()
    options = {"max_attempts": 3, "reasked": reasked, **options}
    outcome = asyncio.run(ask_until_usable(llm, "How many?", SAMPLING, read, **options))
    return outcome, llm, reasked


def test_the_first_usable_answer_ends_the_asking():
    outcome, llm, reasked = asked("a", "7", "8")
    assert outcome == Outcome(7, llm.call_ids, 2)
    assert [attempt for _, attempt, _, _ in llm.calls] == [0, 1]
    assert reasked == {"no_number": 1}


def test_an_answer_that_no_stage_can_use_is_not_read_but_requested_again():
    outcome, llm, reasked = asked(Refused("only_reasoning", "no text"), Refused("broken_text", "?"), "7")
    assert outcome == Outcome(7, llm.call_ids, 3)
    assert reasked == {"only_reasoning": 1, "broken_text": 1}
    outcome, _, _ = asked(*[Refused("only_reasoning", "no text")] * 3)
    assert outcome.result == Refused("only_reasoning", "no text")


def test_an_answer_that_is_too_long_for_its_tokens_is_not_read_but_requested_again():
    outcome, _, reasked = asked("7" * 8_001, "7")
    assert outcome.result == 7
    assert reasked == {"too_long_answer": 1}
    outcome, _, _ = asked(*["a" * 2_000_000] * 3)
    assert outcome.result == Refused("too_long_answer", f"2,000,000 characters, at most 8,000: {'a' * 200}")
    _, _, reasked = asked("a" * 8_000, "7")  # more than eight tokens, but soon read
    assert reasked == {"no_number": 1}


def test_after_all_attempts_the_last_refusal_is_the_result_and_is_not_counted():
    outcome, llm, reasked = asked("a", "b", "c")
    assert outcome == Outcome(Refused("no_number", "c"), llm.call_ids, 3)
    assert reasked == {"no_number": 2}
    assert llm.refusals == dict(
        zip(llm.call_ids, [Refused("no_number", text) for text in "abc"], strict=True)
    )


@pytest.mark.parametrize(
    ("form", "options", "sent"),
    [
        ("json_schema", {"schema": {"type": "integer"}}, (True, False)),
        ("json_object", {"schema": {"type": "integer"}}, (False, True)),
        ("lines", {"schema": {"type": "integer"}}, (False, False)),
        ("json_schema", {"schema": {"type": "integer"}, "answer_format": "json_object"}, (False, True)),
        ("json_schema", {}, (False, False)),
    ],
)
def test_the_format_is_the_one_that_the_endpoint_honours_and_none_without_a_schema(form, options, sent):
    _, llm, _ = asked("7", form=form, **options)
    assert [(schema, is_object) for _, _, schema, is_object in llm.calls] == [sent]


def test_a_request_without_an_answer_ends_the_asking_and_keeps_the_calls_before_it():
    outcome, llm, _ = asked("a", NoAnswer("too long", "request_refused"), "7")
    assert outcome == Outcome(Unanswered("request_refused", "too long"), llm.call_ids[:1], 1)
    assert isinstance(outcome.result, Unanswered)
    assert len(llm.calls) == 2


def test_a_reader_without_an_answer_of_its_own_model_ends_the_attempts():
    async def read(answer):
        return Unanswered("request_failed", "down")

    outcome, llm, reasked = asked("7", "8", read=read)
    assert outcome == Outcome(Refused("request_failed", "down"), llm.call_ids, 1)
    assert not reasked


def test_asking_continues_after_earlier_attempts_with_their_reason_calls_and_numbers():
    earlier = Outcome(Refused("repeats", "x"), ["before"], 2)
    outcome, llm, reasked = asked("a", "b", "7", earlier=earlier)
    assert outcome == Outcome(7, ["before", *llm.call_ids], 3)
    assert [attempt for _, attempt, _, _ in llm.calls] == [2]
    assert reasked == {"repeats": 1}
    outcome, llm, reasked = asked(earlier=earlier._replace(attempts=3))
    assert outcome == Outcome(Refused("repeats", "x"), ["before"], 3)
    assert not llm.calls
    assert not reasked


def test_call_ids_are_added_to_a_list_that_is_given():
    call_ids = ["planner"]
    outcome, llm, _ = asked("7", call_ids=call_ids)
    assert outcome.call_ids is call_ids
    assert call_ids == ["planner", *llm.call_ids]


def test_an_endpoint_that_is_down_ends_everything():
    with pytest.raises(EndpointUnavailable):
        asked(EndpointUnavailable("down"))
