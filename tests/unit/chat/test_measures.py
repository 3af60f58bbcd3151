"""What is counted of an answer."""

import pytest

from longwriter.chat.measures import Measures, measure, sentence


@pytest.mark.parametrize(
    ("prompt", "text", "measures"),
    [
        ("Write about rain in 4 words.", "Rain falls on stones.", Measures(4, 4, 100.0)),
        ("Write about rain in 40 words.", "Rain falls on stones.", Measures(4, 40, 0.0)),
        ("用四个字写雨。写4个字。", "雨落石上", Measures(4, 4, 100.0)),
        ("Write about rain.", "Rain falls.", Measures(2, None, None)),
        ("Write about rain in 40 words.", "", Measures(0, 40, 0.0)),
    ],
)
def test_an_answer_is_counted_as_the_benchmark_counts_it(prompt, text, measures):
    assert measure(prompt, text) == measures


def test_the_sentence_names_the_length_asked_for_only_where_there_is_one():
    assert sentence(Measures(1200, 2000, 20.0), 31.4, "length") == (
        "[1,200 words of 2,000 asked for, length score 20; cut off (length); 31 s]"
    )
    assert sentence(Measures(3, None, None), 0.2, "stop") == "[3 words; ended by itself; 0 s]"
