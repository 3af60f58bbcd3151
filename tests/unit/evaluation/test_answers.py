import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.errors import BadRecord
from longwriter.evaluation import answers as gen
from longwriter.hashing import content_hash
from longwriter.records import BenchmarkRow, Message, Rejection
from tests.unit.agentwrite.plans.test_planning import params
from tests.unit.agentwrite.scripted_llm import ScriptedLLM
from tests.unit.builders import example

PROMPT = gen.Prompt("p1", "Write 100 words on tea.", "Popular Science", "en", 100)


def answered(text="Tea is warm.", **fields):
    given_fields = {"finish_reason": "stop", "max_tokens": 300, "call_ids": ["c1"]}
    return gen.generation_of(PROMPT, text, **{**given_fields, **fields})


def row(prompt, length=100, kind="Popular Science"):
    return BenchmarkRow(prompt=prompt, type=kind, length=length)


@pytest.mark.parametrize(
    ("words", "per_word", "hard_cap", "cap"),
    [
        (100, 3.0, 1024, 300),
        (500, 3.0, 1024, 1024),
        (3, 1.5, 1024, 5),
        (1, 0.1, 9, 1),
        (30_000, 3, 32_768, 32_768),
    ],
)
def test_the_cap_is_so_many_tokens_a_word_and_never_above_the_hard_one(words, per_word, hard_cap, cap):
    assert gen.token_cap(words, per_word, hard_cap) == cap


@given(st.integers(1, 10**6), st.floats(0.01, 100), st.integers(1, 10**6))
def test_a_cap_lies_between_one_token_and_the_hard_cap(words, per_word, hard_cap):
    assert 1 <= gen.token_cap(words, per_word, hard_cap) <= hard_cap


@given(st.integers(1, 10**5), st.integers(0, 10**5), st.floats(0.01, 100), st.integers(1, 10**6))
def test_a_longer_text_never_has_a_lower_cap(words, more, per_word, hard_cap):
    assert gen.token_cap(words, per_word, hard_cap) <= gen.token_cap(words + more, per_word, hard_cap)


@pytest.mark.parametrize(("words", "per_word", "hard_cap"), [(0, 3.0, 9), (5, 0.0, 9), (5, 3.0, 0)])
def test_a_cap_of_nothing_is_refused(words, per_word, hard_cap):
    with pytest.raises(ValueError, match="above zero"):
        gen.token_cap(words, per_word, hard_cap)


def test_a_benchmark_prompt_is_known_by_the_hash_of_its_text():
    (prompt, other) = gen.benchmark_prompts([row(" Write 100 words. "), row("写200字。", 200)], "small")
    assert prompt.prompt_id == content_hash("Write 100 words.")[:16]
    assert prompt[1:] == ("Write 100 words.", "Popular Science", "en", 100)
    assert other[1:] == ("写200字。", "Popular Science", "zh", 200)


def test_a_benchmark_that_asks_a_prompt_twice_is_refused():
    with pytest.raises(BadRecord, match=r"small has the same prompt 2 times.*'Write 100 words\.'"):
        gen.benchmark_prompts([row("Write 100 words."), row("B."), row("Write 100 words.", 50)], "small")


def test_a_benchmark_without_a_prompt_is_refused():
    with pytest.raises(BadRecord, match="small has no prompt"):
        gen.benchmark_prompts([], "small")


def test_only_long_rows_of_one_turn_that_ask_for_a_length_are_sampled():
    turns = [Message(role=role, content="x") for role in ("user", "assistant", "user", "assistant")]
    rows = [
        example("a"),
        example("b", required_words=None),
        example("c", kind="general", instruction_id=None, required_words=None),
        example("d", messages=turns),
    ]
    prompts, left_out = gen.sample_prompts(rows, 10)
    assert prompts == [gen.Prompt("ia", "Write about 150 words on a.", "News Report", "en", 150)]
    assert left_out == {"no_length": 1, "general": 1, "several_turns": 1}


@given(st.permutations("abcdef"), st.integers(1, 8))
def test_the_same_instructions_are_sampled_whatever_the_order_of_the_rows(keys, limit):
    prompts, left_out = gen.sample_prompts([example(key) for key in keys], limit)
    assert [prompt.prompt_id for prompt in prompts] == [f"i{key}" for key in "abcdef"[:limit]]
    assert len(prompts) + left_out.get("over_limit", 0) == 6


def test_an_answer_is_kept_as_it_came_with_its_length():
    made = answered(" Tea, 茶.\n")
    assert (made.text, made.words, made.required_words, made.prompt) == (" Tea, 茶.\n", 2, 100, PROMPT.text)


def test_an_empty_answer_is_a_generation_of_no_words():
    assert answered("", finish_reason="length").words == 0


def test_the_id_of_an_answer_is_a_hash_of_its_content():
    assert answered() == answered()
    others = [answered("Tea is hot."), answered(call_ids=["c2"]), answered(max_tokens=9)]
    ids = {made.generation_id for made in [answered(), *others]}
    assert len(ids) == 4
    content = answered().model_dump(exclude={"generation_id", "thinking_words"})
    assert answered().generation_id == content_hash(content)[:16]


def refusal(prompt_id):
    return Rejection(
        row_id=prompt_id, stage="sample", reason="request_refused", detail="answered 400: too long"
    )


def test_all_answers_to_a_prompt_of_which_a_draw_was_refused_are_left_out_together():
    other = answered().model_copy(update={"prompt_id": "p2"})
    drawn = [answered(), other, refusal("p1"), other, refusal("p1"), refusal("p3")]
    assert gen.drop_refused_prompts(drawn) == ([other, other], [refusal("p1"), refusal("p3")])


def test_where_nothing_was_refused_every_answer_stays():
    assert gen.drop_refused_prompts([answered(), answered()]) == ([answered(), answered()], [])
    assert gen.drop_refused_prompts([]) == ([], [])


def test_the_numbers_of_answers_are_their_lengths_and_how_many_ended():
    rows = [answered("one two"), answered("one two three four", finish_reason="length")]
    assert gen.generation_numbers(rows) == {
        "generations": 2,
        "words_mean": 3,
        "words_max": 4,
        "ended_share": 0.5,
    }


def test_thinking_is_reported_by_its_length_and_changes_no_id():
    thought = answered(thinking="One two three.")
    assert (thought.text, thought.thinking_words) == ("Tea is warm.", 3)
    assert thought.generation_id == answered().generation_id
    assert gen.generation_numbers([thought, answered()])["thinking_words_mean"] == 1.5
    assert "thinking_words_mean" not in gen.generation_numbers([answered()])


def test_no_answers_have_numbers_too():
    assert gen.generation_numbers([])["words_mean"] == 0


def test_a_prompt_is_sent_without_marks_and_recorded_as_it_is():
    llm = ScriptedLLM(lambda prompt, attempt: "Tea is warm.")
    marked = PROMPT._replace(text="Write 100 words on tea.<end_of_turn>")
    sampling = params().write.sampling
    row = asyncio.run(gen.ask(llm, marked, 3.0, sampling))
    assert llm.calls[0][0] == "Write 100 words on tea.< end_of_turn>"
    assert row.prompt == marked.text
