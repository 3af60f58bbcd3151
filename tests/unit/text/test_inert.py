"""Texts are shown by Markdown, HTML, spreadsheets and terminals, and obeyed by none of them."""

import csv
import html.parser
import io
import re

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.text import inert

HOSTILE = [
    "[prize](https://shop.example)",
    "![](https://shop.example/seen.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</td></table><h1>all good</h1>",
    "see https://shop.example/now",
    "see www.shop.example",
    "<https://shop.example>",
    "a | b | c",
    "a ` b | `` c",
    "`code`",
    "[x]: https://shop.example",
    "two\n\n# lines",
    "&lt;b&gt;",
    "\\| \\",
    "\x1b]8;;https://shop.example\x07here\x1b]8;;\x07",
    "1. point",
    "- point",
    "mailto:a@shop.example",
    "",
]
MARKDOWN = mistune.create_markdown(escape=False, plugins=["table", "url", "strikethrough"])


class Page(html.parser.HTMLParser):
    """Collects the tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def in_table(text):
    return Page(MARKDOWN(f"| head | n |\n| --- | ---: |\n| {inert.markdown(text)} | 7 |\n"))


TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_a_text_in_its_cell_and_makes_nothing_of_it(text):
    page = in_table(text)
    assert page.tags <= TABLE | {"code"}
    assert "7" in page.text
    assert inert.line(text).replace("|", "¦") in page.text


@given(st.text(st.sampled_from("ab1 |`<>[]()!*_~\\&;:/.#-+=\n\r\t\x1bw@\u202e")))
def test_no_text_becomes_a_link_an_image_html_or_another_cell_in_markdown(text):
    page = in_table(text)
    assert page.tags <= TABLE | {"code", "em", "strong", "del"}
    assert len(page.text.split("7")) >= 2
    assert Page(MARKDOWN(f"A sentence about {inert.markdown(text)}.")).tags <= {"p", "code", "em", "strong"}


@pytest.mark.parametrize(
    "text", ["SFT", "base_model", "Literature and Creative Writing", "写作", "data/a.jsonl", "50 %"]
)
def test_common_labels_stay_as_they_are(text):
    assert inert.markdown(text) == text


@pytest.mark.parametrize("text", ["_sft_", "__init__", "a (_b_)"])
def test_underscores_at_the_edge_of_a_word_make_no_emphasis(text):
    assert text in in_table(text).text


@pytest.mark.parametrize("text", ["a: 1\n```\n[x](y)\n", "````", "~~~\n<b>"])
def test_no_line_ends_a_code_block(text):
    page = Page(MARKDOWN(inert.code_block(text, "yaml")))
    assert page.tags == {"pre", "code"}
    assert page.text.rstrip("\n") == text.rstrip("\n")


@given(st.text())
def test_html_shows_a_text_and_has_no_tag(text):
    page = Page(f"<td title='{inert.html(text)}'>{inert.html(text)}</td>")
    assert page.tags == {"td"}
    assert page.text == inert.terminal(text)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-cmd", "'-cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", '"\'\t=1"'),
        ("\r=1", "\\x0d=1"),
        ('=HYPERLINK("http://shop.example","x")', '"\'=HYPERLINK(""http://shop.example"",""x"")"'),
        ("-3.5", "-3.5"),
        ("+1e6", "+1e6"),
        ("\n=1", '"\'\n=1"'),
        ("＝1+1", "'＝1+1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("a,b", '"a,b"'),
        ("plan: refused", "plan: refused"),
        ("", ""),
    ],
)
def test_a_csv_cell_is_no_formula_and_a_number_stays_one(text, cell):
    assert inert.csv_cell(text) == cell


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_csv_cells_keep_their_columns(texts):
    [row] = csv.reader(io.StringIO(",".join(map(inert.csv_cell, texts)) + ",7\n", newline=""))
    assert [cell.removeprefix("'") for cell in row[:-1]] == [
        inert.terminal(text).removeprefix("'") for text in texts
    ]
    assert not [cell for cell in row if cell[:1] in ("=", "@")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("done\rfail", r"done\x0dfail"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202egpj.exe", r"abc\u202egpj.exe"),
        ("a\u200b\u2028\ufeff", r"a\u200b\u2028\ufeff"),
        ("\ud800", r"\ud800"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("写作 👩‍👩‍👧 é", "写作 👩‍👩‍👧 é"),
    ],
)
def test_a_terminal_shows_controls_and_obeys_none(text, shown):
    assert inert.terminal(text) == shown


@given(st.text(st.characters()))
def test_no_control_character_reaches_a_terminal(text):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", inert.terminal(text))
    assert "\n" not in inert.line(text)


def test_keys_tokens_and_passwords_are_masked_by_name_look_or_place_and_counts_are_not():
    settings = {
        "api_key": "abc",
        "apiKey": "abc",
        "X-Auth-Token": "abc",
        "user": {"password": 7, "name": "Ann"},
        "headers": [{"Authorization": "Bearer abc"}, {"x": "Bearer abc"}],
        "provider": {"note": "sk-live-12345"},
        "proxy": "http://ann:pw@proxy.example/",
        "max_tokens": 100,
        "stop_token_ids": [1, 2],
        "eos_token": "</s>",
        "monkey": "banana",
        "api_key_env": "OPENAI_API_KEY",
        "token": None,
        "secret": False,
    }
    assert inert.masked(settings) == {
        "api_key": "***",
        "apiKey": "***",
        "X-Auth-Token": "***",
        "user": {"password": "***", "name": "Ann"},
        "headers": [{"Authorization": "***"}, {"x": "***"}],
        "provider": {"note": "***"},
        "proxy": "http://proxy.example/",
        "max_tokens": 100,
        "stop_token_ids": [1, 2],
        "eos_token": "</s>",
        "monkey": "banana",
        "api_key_env": "OPENAI_API_KEY",
        "token": None,
        "secret": False,
    }
    assert inert.masked("abc", "llm.extra_body.token") == "***"
