from pathlib import Path

import pytest
import yaml

from longwriter.calls import prices
from longwriter.calls.prices import FREE, Price
from longwriter.errors import BadParams

PRICE = Price(input=2.5, cached_input=1.25, output=10.0)


@pytest.mark.parametrize(
    ("at", "tokens", "usd"),
    [
        (PRICE, (1_000_000, 0, 0), 2.5),
        (PRICE, (1_000_000, 400_000, 100_000), 0.6 * 2.5 + 0.4 * 1.25 + 1.0),
        (PRICE.model_copy(update={"cached_input": None}), (1_000_000, 400_000, 0), 2.5),
        (FREE, (10**9, 10**8, 10**7), 0.0),
        (PRICE, (0, 0, 0), 0.0),
    ],
)
def test_an_answer_costs_its_fresh_cached_and_written_tokens(at, tokens, usd):
    assert prices.cost(at, *tokens) == pytest.approx(usd, abs=1e-12)


def test_the_table_has_the_papers_model_and_says_where_each_price_was_read():
    paper = prices.price("gpt-4o-2024-05-13")
    assert (paper.input, paper.cached_input, paper.output) == (5.0, None, 15.0)
    assert prices.price("gpt-4o-mini").cached_input == 0.075
    for model in yaml.safe_load(prices.PRICES.read_text())["models"]:
        assert prices.price(model).read_on
        assert prices.price(model).page.startswith("https://")


def test_a_model_that_no_table_has_and_a_missing_table_have_no_price(tmp_path):
    assert prices.price("nobody/knows-it") is None
    assert prices.price("gpt-4o", tmp_path / "none.yaml") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {m: {input: 1, output: 2}}", r"prices\.yaml:1: models\.m\.cached_input: this key is missing; allowed: a number"),
        ("models: {m: {input: -1, cached_input: null, output: 2}}", r"prices\.yaml:1: models\.m\.input: found -1; allowed: a number from 0"),
        ("models: {m: {input: 1, cached_input: null, output: 2, euro: 3}}", r"prices\.yaml:1: models\.m\.euro: found a key that does not exist; .*allowed: input"),
        ("[1]", "found a list of 1; allowed: a mapping with the keys models"),
        ("models: {", r"prices\.yaml:2: not valid YAML"),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_names_each_wrong_key_with_its_line(tmp_path, text, message):
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(BadParams, match=message):
        prices.price("m", file)


def test_the_file_is_where_the_message_says():
    assert Path("infra/prices.yaml") == prices.PRICES
