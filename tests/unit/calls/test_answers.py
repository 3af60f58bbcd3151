import contextlib
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.calls import answers
from longwriter.calls.answers import NoCompletion, Usage
from tests.unit.llm.endpoint import completion

TIDE = "The tide came in at noon."


def body(message=None, finish="stop", **fields):
    choice = {"index": 0, "finish_reason": finish, "message": message or {"content": TIDE}}
    return json.dumps({**completion(), "choices": [choice], **fields}).encode()


def said(content, finish="stop", **message):
    return answers.read(body({"content": content, **message}, finish))


def test_a_plain_answer_is_returned_as_it_came():
    plain = answers.read(body({"content": " The tide,\tand\nthe 潮.\n"}))
    assert (plain.text, plain.thinking, plain.refused) == (" The tide,\tand\nthe 潮.\n", "", None)
    assert (plain.finish_reason, plain.usage, plain.model) == ("stop", Usage(100, 0, 10), "m")


@pytest.mark.parametrize(
    "content",
    [
        f"<think>\nA harbour, then.\n</think>\n\n{TIDE}",
        f"A harbour, then.\n</think>\n\n{TIDE}",
        f"<thinking>A harbour, then.</thinking>{TIDE}",
        f"<reasoning>A harbour, then.</reasoning>\n<answer>\n{TIDE}\n</answer>",
        f"[THINK]A harbour, then.[/THINK]{TIDE}",
        f"<|channel|>analysis<|message|>A harbour, then.<|end|><|start|>assistant<|channel|>final<|message|>{TIDE}<|return|>",
        f"analysisA harbour, then.assistantfinal{TIDE}",
        f"<|inner_prefix|>A harbour, then.<|inner_suffix|>{TIDE}",
        f"> <think>A harbour, then.</think>\n\n{TIDE}",
        f"<think>A harbour, then.</think>\\n\\n{TIDE}",
        f"<|im_start|>assistant\n<think>\nA harbour, then.</think>\n{TIDE}<|im_end|>",
        [{"type": "thinking", "thinking": [{"type": "text", "text": "A harbour, then."}]}, {"type": "text", "text": TIDE}],
        [{"text": "A harbour, then.", "thought": True}, {"text": TIDE}],
    ],
)  # fmt: skip
def test_thinking_is_split_off(content):
    answer = said(content)
    assert (answer.text, answer.thinking.strip(), answer.refused) == (TIDE, "A harbour, then.", None)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"])
def test_thinking_in_a_field_of_its_own_is_no_text(field):
    value = [{"type": "reasoning.text", "text": "A harbour."}] if field.endswith("s") else "A harbour."
    answer = said(TIDE, **{field: value})
    assert (answer.text, answer.thinking, answer.refused) == (TIDE, "A harbour.", None)


@pytest.mark.parametrize(
    ("content", "finish", "reason"),
    [
        ("<think>A harbour, and then", "length", "only_reasoning"),
        ("<think>A harbour.</think>", "stop", "only_reasoning"),
        ("A harbour.</think>\n<|im_end|>", "stop", "only_reasoning"),
        (f"{TIDE}\n<think>Now the end", "stop", "unsplit_reasoning"),
        (f"<think>A</think>{TIDE}</think>{TIDE}", "stop", "unsplit_reasoning"),
        ("<|channel|>analysis<|message|>A harbour.", "length", "only_reasoning"),
        ("analysisWe need a harbour.", "stop", "only_reasoning"),
    ],
)
def test_thinking_without_a_clear_end_or_without_a_text_after_it_is_refused(content, finish, reason):
    assert said(content, finish).refused.reason == reason


def test_reasoning_without_content_is_refused_and_says_what_to_do():
    answer = said(None, "length", reasoning_content="A harbour, then a ship.")
    assert (answer.text, answer.refused.reason) == ("", "only_reasoning")
    assert "23 characters of reasoning (finish_reason length): raise max_tokens" in answer.refused.detail
    assert said(None).refused is None  # without reasoning the writer says empty_answer


@pytest.mark.parametrize(
    "content",
    [
        "The `<think>` tag opens the reasoning of a model.",
        'Put "<thinking>" before it.',
        "First:\n```\n<think>\nnotes\n</think>\n```\nThen write.",
        "5 < 6, and [1] says the same. A <b>bold</b> word.",
        '{"analysis": "It has <think> in it."}',
    ],
)
def test_a_text_that_only_mentions_thinking_stays(content):
    answer = said(content)
    assert (answer.text, answer.thinking, answer.refused) == (content, "", None)


@pytest.mark.parametrize("thought", ["<think>Two steps.</think>\n", "Two steps.</think>\n\n"])
def test_thinking_before_json_leaves_the_json(thought):
    plan = '{"steps": [{"main_point": "The tide", "word_count": 60}]}'
    assert said(thought + plan).text == plan
    assert said(f"{plan}<|im_end|>").text == plan


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "The tide "}, {"type": "text", "text": "came in."}], "The tide came in."),
        (["The tide ", "came in."], "The tide came in."),
        ([{"type": "output_text", "text": {"value": "The tide."}}], "The tide."),
        ({"type": "text", "text": "The tide."}, "The tide."),
        ([{"type": "text", "content": "The tide."}], "The tide."),
        ([None, {"type": "Text", "text": "The tide."}, {"type": "citations", "citations": []}], "The tide."),
        ([{"type": "markdown", "text": "The tide."}], "The tide."),
        ({"steps": ["潮"]}, '{"steps": ["潮"]}'),
        ([], ""),
    ],
)
def test_parts_are_joined(content, text):
    assert said(content).text == text


def test_a_part_that_is_no_text_makes_a_refused_answer():
    answer = said([{"type": "text", "text": TIDE}, {"type": "image_url", "image_url": {"url": "x"}}])
    assert answer.refused == ("not_text", "a part of the answer is of the type image_url")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": None, "refusal": "I can't."}, "I can't."),
        ({"content": "", "refusal": {"message": "Not this."}}, "Not this."),
        ({"content": None, "refusal": {"code": 7}}, '{"code": 7}'),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
    ],
)
def test_a_refusal_of_the_server_is_the_text_and_the_answer_is_refused(message, text):
    answer = answers.read(body(message))
    assert (answer.text, answer.refused) == (text, ("refusal", text))


def test_a_refusal_beside_a_text_does_not_count():
    assert said(TIDE, refusal={"message": ""}).refused is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("The tide\x00 came\x07 in.\x7f", "The tide came in."),
        ("One\n\ttwo\x0bthree\x85four", "One\n\ttwo\nthree\nfour"),
        ("\x1b[1;31mThe tide\x1b[0m", "The tide"),
        (f"{TIDE}</s>", TIDE),
        (f"{TIDE}<|im_end|>\n", TIDE),
        (f"<s> {TIDE}<｜end▁of▁sentence｜>", TIDE),
        (f"<|start_header_id|>assistant<|end_header_id|>\n\n{TIDE}<|eot_id|>", TIDE),
        (f"{TIDE}<end_of_turn>", TIDE),
        ("The \u202etide ca\u00adme\u200b in.", "The tide came in."),
        ("<th\u200bink>a</think>The tide.", "The tide."),
        ("潮\u2028\n🌊 é ©", "潮\u2028\n🌊 é ©"),
    ],
)
def test_control_characters_and_control_tokens_around_the_text_are_removed(content, text):
    escaped = body({"content": content})
    raw = json.dumps(json.loads(escaped), ensure_ascii=False).encode()
    assert (answers.read(escaped).text, answers.read(raw).text) == (text, text)


@pytest.mark.parametrize("damaged", [b"\\ud83d", b"\\udc00 x", b"\xed\xa0\xbd", b"\xff\xfe"])
def test_damaged_characters_make_a_refused_answer(damaged):
    answer = answers.read(body({"content": "The MARK."}).replace(b"MARK", damaged))
    assert answer.refused.reason == "broken_text"
    assert not answer.is_json
    answer.text.encode()


def test_a_whole_pair_of_surrogates_is_a_character():
    assert said("🌊").text == "🌊"
    assert b"\\ud83c\\udf0a" in body({"content": "🌊"})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "length") for name in (
            "length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "token_limit", "maxTokens",
            "cut_off", "output_too_long", "interrupted", "FinishReason.MAX_TOKENS", "model_context_window_exceeded", "max_new_tokens", "truncated", "pause_turn",
        )),
        *((name, "stop") for name in ("stop", "STOP", "end_turn", "eos_token", "stop_sequence", "COMPLETE", "endoftext", "stop_token_id", "stop_str", "eos_found", "natural")),
        *((name, "content_filter") for name in (
            "content_filter", "SAFETY", "content_filtered", "RECITATION", "PROHIBITED_CONTENT", "sensitive",
            "guardrail_intervened", "BLOCKLIST", "refusal", "flagged",
        )),
        *((name, "unknown") for name in (None, "", "null", 3, {"type": "stop"})),
        ("tool_calls", "tool_calls"),
    ],
)  # fmt: skip
def test_each_meaning_of_a_finish_reason_has_one_name(name, reason):
    assert answers.read(body(finish=name)).finish_reason == reason


@pytest.mark.parametrize(
    "name",
    [
        "error",
        "abort",
        "network_error",
        "insufficient_system_resource",
        "USER_CANCEL",
        "malformed_model_output",
    ],
)
def test_an_answer_that_the_server_broke_off_is_no_completion(name):
    with pytest.raises(NoCompletion, match="failed"):
        answers.read(body(finish=name))


@pytest.mark.parametrize(
    "usage",
    [
        None, "many", [], {}, {"prompt_tokens": "12", "completion_tokens": 3}, {"prompt_tokens": 12},
        {"prompt_tokens": -1, "completion_tokens": 3}, {"prompt_tokens": 2**63, "completion_tokens": 3},
        {"prompt_tokens": 12.5, "completion_tokens": 3}, {"prompt_tokens": True, "completion_tokens": 3},
        {"prompt_tokens": 12, "completion_tokens": None}, {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 12, "completion_tokens": 10**400}, {"prompt_tokens": float("nan"), "completion_tokens": 3},
    ],
)  # fmt: skip
def test_impossible_or_missing_counts_make_the_usage_unknown(usage):
    answer = answers.read(body(usage=usage))
    assert (answer.usage, answer.text, answer.refused) == (None, TIDE, None)


@pytest.mark.parametrize("digits", ["9" * 5000, "1e999", "NaN", "-Infinity"])
def test_a_number_that_python_or_json_does_not_take_makes_the_usage_unknown(digits):
    wide = body(usage={"prompt_tokens": 7, "completion_tokens": 3}).replace(b": 7", f": {digits}".encode())
    assert (answers.read(wide).usage, answers.read(wide).text) == (None, TIDE)


@pytest.mark.parametrize("cached", [None, "7", -1, 101, 2**70])
def test_an_impossible_count_of_cached_tokens_counts_none(cached):
    usage = {"prompt_tokens": 100, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": cached}}
    assert answers.read(body(usage=usage)).usage == Usage(100, 0, 3)


def test_a_byte_order_mark_and_raw_line_ends_in_strings_are_read():
    assert answers.read(b"\xef\xbb\xbf" + body()).text == TIDE
    assert answers.read(body({"content": "A.X B."}).replace(b"X", b"\n")).text == "A.\n B."


@pytest.mark.parametrize("message", [None, {"role": "assistant"}])
def test_a_blocked_answer_is_an_empty_one_with_its_reason(message):
    choice = {"finish_reason": "content_filter: PROHIBITED_CONTENT", "message": message}
    completion = answers.read(json.dumps({"choices": [choice]}).encode())
    assert (completion.text, completion.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"", "broken JSON"),
        (b"<html>", "a web page"),
        (b"[" * 100_000, "broken JSON"),
        (b'{"a":' * 5000, "broken JSON"),
        (b"[]", "not a chat completion"),
        (
            b'data: {"choices": [{"delta": {"content": "The lamp"}}]}\n\ndata: [DONE]\n\n',
            "an event stream, although",
        ),
        (b'\n: keep-alive\n\ndata: {"choices": []}\n', "an event stream, although"),
        (b"event: message_start\r\ndata: {}", "an event stream, although"),
        (b"database: down", "broken JSON"),
        (b'{"error": {"message": "x"}}', "an error"),
        (b'{"choices": []}', "no chat completion"),
        (b'{"choices": [7]}', "a failed completion"),
        (
            b'{"choices": [{"message": {"content": "The lamp"}, "finish_reason": "stop", "error": {"code": 502}}]}',
            "a failed completion",
        ),
        (b'{"choices": [{"message": {"content": 7}}]}', "not text"),
    ],
)
def test_what_is_no_chat_completion_says_what_it_is(reply, message):
    with pytest.raises(NoCompletion, match=message):
        answers.read(reply)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "text", "thinking"]), inner),
    max_leaves=6,
)  # fmt: skip
FIELDS = st.dictionaries(
    st.sampled_from(["content", "refusal", "reasoning_content", "reasoning", "tool_calls"]), JSON
)


@given(FIELDS, JSON, JSON)
def test_any_message_is_read_or_named_and_its_text_can_be_stored(message, finish, usage):
    reply = body({"content": TIDE, **message}, finish, usage=usage)
    try:
        answer = answers.read(reply)
    except NoCompletion:
        return
    assert answer.body is reply
    texts = [answer.text, answer.thinking, answer.finish_reason, answer.model, *(answer.refused or ())]
    orjson.dumps(texts)  # fails at a lone surrogate


@given(st.binary())
def test_any_bytes_are_read_or_named(reply):
    with contextlib.suppress(NoCompletion):
        answers.read(reply)
