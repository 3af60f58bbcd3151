import re
import time

from hypothesis import given
from hypothesis import strategies as st

from longwriter.text.basics.quotations import Kind, Quotations

ROUND = Kind("「", re.compile("(?P<end>」)"))
QUOTES = Quotations([Kind('[“"]', re.compile('(?P<end>[”"])|“')), ROUND])


def quoted(quotations, text):
    return [text[start:end] for start, end in quotations.spans(text)]


def test_quotations_are_in_order_and_do_not_overlap():
    assert quoted(QUOTES, "a “b 「c” d」 「e “f」 ”") == ["“b 「c”", "「e “f」"]


def test_a_quotation_that_opens_again_before_it_closes_begins_at_the_last_opening():
    assert quoted(QUOTES, "“a “b”") == ["“b”"]


def test_an_opening_that_nothing_closes_is_no_quotation():
    assert quoted(QUOTES, "「a “b” 「c") == ["“b”"]


def test_a_quotation_has_no_fewer_and_no_more_characters_than_its_kind_allows():
    kind = Kind("'", re.compile("(?P<end>')"), least=1, most=3)
    assert quoted(Quotations([kind]), "'' 'ab' 'abcd'") == ["' '", "' '"]
    assert quoted(Quotations([kind]), "x 'abc' y") == ["'abc'"]


def test_only_what_is_quoted_is_replaced():
    assert QUOTES.replaced("a 「b\nc」 d", re.compile(r"\S"), "¤") == "a ¤¤\n¤¤ d"
    assert QUOTES.replaced("plain", re.compile(r"\S"), "¤") == "plain"


@given(st.text('“”"「」ab\n'))
def test_the_spans_are_those_of_the_regular_expression(text):
    expected = re.compile('[“"][^“”"]*[”"]|「[^」]*」').finditer(text)
    assert list(QUOTES.spans(text)) == [match.span() for match in expected]


@given(st.text("“”\"「」ab\n'"))
def test_the_signs_of_the_openings_change_no_span(text):
    kinds = [
        Kind('[“"](?!“)', re.compile('(?P<end>[”"])|“')),
        ROUND,
        Kind(r"(?<!\w)'(?=\w)", re.compile("(?P<end>')")),
    ]
    assert list(Quotations(kinds, signs="“\"「'").spans(text)) == list(Quotations(kinds).spans(text))


def test_a_text_is_one_quotation_only_if_it_begins_and_ends_with_its_marks():
    assert QUOTES.is_one("「a “b」")
    assert not QUOTES.is_one("「a」「b」")
    assert not QUOTES.is_one("a「b」")
    assert not QUOTES.is_one("「a")
    assert not QUOTES.is_one("")


def test_openings_that_nothing_closes_take_a_time_that_grows_with_the_text():
    start = time.process_time()
    assert quoted(QUOTES, "「" * 300_000 + "“" * 300_000) == []
    assert time.process_time() - start < 300  # by the regular expression: half an hour
