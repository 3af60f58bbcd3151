"""No text makes a pattern or a rule take a time that grows faster than the text.

`infra/bench/text_rules.py` finds every compiled pattern and every pure function that reads a text, so a new one
is tried here too. Times are CPU times of this process. A text of `SCREENED` characters that takes less than
`FAST_S` cannot be quadratic: the growth is measured for the others.
"""

import re
import time
from pathlib import Path

import pytest

import longwriter
from infra.bench import hostile_texts, text_rules
from infra.bench.hostile_texts import repeated
from longwriter.talk import classifier

TINY, SCREENED, SHORT, LONG = 1_000, 10_000, 25_000, 100_000
TRIALS = 5
MAX_GROWTH = 6.0
FAST_S = 0.004
HOPELESS_S = 0.05
NOISE_S = 0.008  # at `LONG`; a quadratic rule takes a hundred times what it takes at `SCREENED`

COMMON = [" ", "\n", "1", "字", "a ", "[(“「"]
FOR_RULES = [
    *COMMON,
    "twenty-",
    "5 words ",
    "1,",
    "“",
    "'a ",
    "`<",
    "</s>",
    "> \n",
    "Paragraph 1 - ",
    "here is ",
]


def cpu_s(call, text):
    start = time.process_time()
    call(text)
    return time.process_time() - start


def grows_too_fast(call, make):
    """Tell whether a call is found too slow each time, in up to five trials.

    A busy machine or the first use of a model slows a trial down; a quadratic rule fails them all.
    """
    return all(looks_too_slow(call, make) for _ in range(TRIALS))


def looks_too_slow(call, make):
    """Tell whether a call takes more than six times as long for four times the text, at the best of three.

    What grows so much already between shorter texts is not tried with long ones, which could take hours.
    """
    tiny = cpu_s(call, make(TINY))
    if tiny > HOPELESS_S:
        return True
    screened = cpu_s(call, make(SCREENED))
    if screened < FAST_S:
        return False
    if screened > HOPELESS_S and screened > 3 * SCREENED / TINY * tiny:
        return True
    short = long = float("inf")
    for _ in range(3):
        screened = min(screened, cpu_s(call, make(SCREENED)))
        short = min(short, cpu_s(call, make(SHORT)))
        if short > HOPELESS_S and short > 1.8 * SHORT / SCREENED * screened:
            continue
        long = min(long, cpu_s(call, make(LONG)))
        if long <= max(NOISE_S, MAX_GROWTH * short):
            return False
    return True


def slow_texts(call, texts):
    return [name for name, make in texts.items() if grows_too_fast(call, make)]


def texts_of(pattern):
    common = {repr(unit): repeated(unit) for unit in COMMON}
    return common | hostile_texts.of_pattern(pattern, count=2)


PATTERNS = dict(text_rules.patterns())
SUMS = ("dataset.filters.trouble", "dataset.examples.example_of", "gates.examples.example_table", "agentwrite.paragraphs.drafts.check_whole",
        "text.repetition.measures")  # fmt: skip
"""Functions that only call several of the others."""
FUNCTIONS = {rule.name: rule.call for rule in text_rules.functions() if rule.name not in SUMS}


@pytest.fixture(scope="module", autouse=True)
def with_models():
    """Load the models of texts, else the first text that is timed has to load them."""
    classifier.prepare()


def rooms(names):
    return sorted({name.partition(".")[0] for name in names})


@pytest.mark.parametrize("room", rooms(PATTERNS))
def test_every_pattern_of_a_room_is_linear(room):
    own = {name: found for name, found in PATTERNS.items() if name.partition(".")[0] == room}
    slow = {
        name: slow_texts(text_rules.use(name, pattern), texts_of(pattern))
        for name, (pattern, window) in own.items()
        if window is None
    }
    assert {name: texts for name, texts in slow.items() if texts} == {}


@pytest.mark.parametrize("room", rooms(FUNCTIONS))
def test_every_rule_of_a_room_is_linear(room):
    texts = {repr(unit): repeated(unit) for unit in FOR_RULES}
    own = {name: call for name, call in FUNCTIONS.items() if name.partition(".")[0] == room}
    assert {name: slow for name, call in own.items() if (slow := slow_texts(call, texts))} == {}


def test_no_module_with_patterns_is_left_out():
    root = Path(longwriter.__file__).parent
    with_patterns = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in root.rglob("*.py")
        if re.search(r"^\w+(?:: [^=]+)? = re\.compile\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert with_patterns <= {module.__name__.removeprefix("longwriter.") for module in text_rules.modules()}
    assert len(PATTERNS) > 150


@pytest.mark.parametrize(
    "slow",
    [
        r" +x",
        r"「[^」]*」",
        r"\d+(?:,\d+)*;",
        r"a\w*\s*b",
        r"(?:^|\s)\s*!",
        r"<html[^>]*>",
    ],
)
def test_a_pattern_that_is_not_linear_is_found(slow):
    pattern = re.compile(slow)
    assert any(
        looks_too_slow(text_rules.use("planted", pattern), make) for make in texts_of(pattern).values()
    )


def test_a_rule_that_is_not_linear_is_found():
    def last_words(text):
        return [text[: match.start()].rstrip("x") for match in re.finditer("1", text)]

    assert looks_too_slow(last_words, repeated("1"))
