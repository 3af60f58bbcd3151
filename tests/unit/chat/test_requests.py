"""What a request to a served model holds, and how its answer is read."""

import pytest

from longwriter import params
from longwriter.chat.requests import _pieces, with_defaults
from longwriter.errors import ModelUnusable, UserError

PARAMS = params.load()  # generate: temperature 0.5, max_tokens 1800, 3.6 tokens a word


def messages(text):
    return {"messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize(
    ("body", "defaults"),
    [
        (messages("Write about rain in 100 words."), {"temperature": 0.5, "max_tokens": 360}),
        (messages("Write about rain in 9000 words."), {"temperature": 0.5, "max_tokens": 1800}),
        (messages("Write about rain."), {"temperature": 0.5, "max_tokens": 1800}),
        (messages("x") | {"temperature": 0.0, "max_tokens": 7}, {"temperature": 0.0, "max_tokens": 7}),
        (messages("x") | {"max_completion_tokens": 7}, {"temperature": 0.5, "max_completion_tokens": 7}),
        (messages([{"type": "text", "text": "x"}]), {"temperature": 0.5, "max_tokens": 1800}),
    ],
)
def test_what_a_request_leaves_out_is_as_in_the_benchmark(body, defaults):
    assert with_defaults(body, PARAMS) == body | defaults


def test_a_field_that_is_null_counts_as_left_out():
    body = messages("Write about rain in 100 words.")
    nulls = {"temperature": None, "max_tokens": None, "stop": None}
    assert with_defaults(body | nulls, PARAMS) == with_defaults(body, PARAMS)


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "hello"}, {"messages": ["hello"]}])
def test_a_request_without_messages_is_refused(body):
    with pytest.raises(UserError, match="messages: a list of"):
        with_defaults(body, PARAMS)


def test_the_pieces_of_a_stream_are_its_texts_and_why_it_ended():
    lines = [
        'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}',
        "",
        ": a comment",
        'data: {"choices": [{"delta": {"content": "Rain "}}]}',
        'data: {"choices": [{"delta": {"content": "falls."}, "finish_reason": null}]}',
        'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}',
        'data: {"choices": [], "usage": {}}',
        "data: [DONE]",
    ]
    assert list(_pieces(iter(lines))) == [("Rain ", None), ("falls.", None), ("", "stop")]
    assert list(_pieces(iter(lines[:4]))) == [("Rain ", None), ("", "no_end")]


def test_an_error_within_a_stream_is_reported():
    lines = ['data: {"choices": [{"delta": {"content": "Rain"}}]}', 'data: {"error": {"message": "no room"}}']
    pieces = _pieces(iter(lines))
    assert next(pieces) == ("Rain", None)
    with pytest.raises(ModelUnusable, match=r"stopped its answer with an error: .*no room"):
        next(pieces)
