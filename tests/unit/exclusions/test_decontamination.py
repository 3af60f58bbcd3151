"""Planted benchmark prompts are found; unrelated ones are left alone."""

import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.exclusions import decontamination
from tests.unit.builders import prose

BENCHMARK = [
    "Write a 3000-word guide to keeping bees on a city roof.",
    "晋祠简介，300字左右",
    "茶艺入门课9000字",
    "Bus driver interview, around 700 words please",
    "You are the curator of a small museum. Write a welcome text of 500 words for the catalogue of a show "
    "about lighthouses; mention the keepers, the lamps, and the last storm. Don't use lists.",
    "请以“守望”为题写一篇记叙文。要求：内容充实，有细节描写，语言流畅；不少于800字。",
    "Haiku",
]
INDEX = decontamination.index(BENCHMARK)
AROUND = ("Hello, here is one more task for tonight. ", " Thank you, and take your time. 谢谢你！")
PIECE = re.compile(r"[\u4e00-\u9fff]|[A-Za-z]+|\d+|.", re.DOTALL)


def variants(prompt: str) -> Iterator[str]:
    """Yield a prompt as it is, re-cased, re-spaced, with other punctuation and with each word changed."""
    yield from (prompt, prompt.upper(), prompt.lower(), re.sub(r"\s+", " \n ", prompt))
    yield re.sub(r"[,.;:，。；：]", " – ", prompt)
    yield re.sub(r"(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])", " ", prompt)
    yield re.sub(r"[^\w\s]", "", re.sub(r"(?<=\w)[-=](?=\w)", " ", prompt))
    pieces = PIECE.findall(prompt)
    places = [i for i, piece in enumerate(pieces) if piece[0].isalnum()]
    for i in places[:: 1 if len(places) < 60 else 7]:
        other = "鑫" if "\u4e00" <= pieces[i] <= "\u9fff" else "zebra"
        yield "".join([*pieces[:i], other, *pieces[i + 1 :]])


def missed(prompts: list[str]) -> list[str]:
    """Return every variant, alone and inside a longer text, that is no hit of its prompt."""
    index = decontamination.index(prompts)
    return [
        text
        for prompt in prompts
        for variant in variants(prompt)
        for text in (variant, variant.join(AROUND))
        if decontamination.hit(index, text) != prompt
    ]


def test_a_benchmark_prompt_is_found_with_other_case_spaces_or_words():
    assert missed(BENCHMARK[:-1]) == []


def test_a_prompt_of_one_word_is_found_only_as_the_whole_text():
    assert decontamination.hit(INDEX, " HAIKU!") == "Haiku"
    assert decontamination.hit(INDEX, "Write a haiku about the rain on a tin roof.") is None


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "。。。",
        "Write a 3000-word guide to keeping goats on a remote farm.",
        "泰山简介，300字左右",
        "茶艺入门课",
        "Train driver interview, 900 words please",
        "请以“远方”为题写一篇议论文。要求：观点明确，论据充实，结构完整；不少于800字。",
        "You are the curator of a large zoo. Write a farewell text of 500 words for the keepers of the "
        "elephants; mention the last storm, and the lamps.",
    ],
)
def test_a_prompt_that_only_sounds_alike_is_no_hit(prompt):
    assert decontamination.hit(INDEX, prompt) is None


def test_half_of_a_long_prompt_is_enough():
    long = prose(200, "museum")
    index = decontamination.index([long])
    words = long.split()
    assert decontamination.hit(index, " ".join(words[:110])) == long
    assert decontamination.hit(index, " ".join(words[:90])) is None


def test_a_benchmark_without_prompts_is_never_hit():
    assert decontamination.hit(decontamination.index([]), "anything") is None
    assert decontamination.hit(decontamination.index(["", "!?"]), "") is None


@given(st.lists(st.text(max_size=80), max_size=5), st.text(max_size=80))
def test_a_hit_is_a_prompt_of_the_benchmark_and_each_prompt_hits_itself(prompts, other):
    index = decontamination.index(prompts)
    assert decontamination.hit(index, other) in [None, *prompts]
    for prompt in prompts:
        found = decontamination.hit(index, prompt)
        assert found is not None or not re.search("[a-zA-Z0-9\u4e00-\u9fff]", prompt)


def unrelated(count: int) -> list[str]:
    """Return prompts in the manner of a benchmark, on other matters."""
    pick = random.Random(0)
    things = [
        "sourdough",
        "tidal power",
        "my late uncle",
        "a stolen bicycle",
        "chess",
        "Lisbon",
        "knitting",
        "rust",
    ]
    kinds = ["essay", "story", "report", "speech", "letter", "blog post", "lesson plan", "press release"]
    turns = [
        "for children",
        "in a dry tone",
        "as a dialogue",
        "with a twist",
        "for my boss",
        "in the first person",
    ]
    topics = ["乡村教育", "外卖骑手", "二手书店", "海洋塑料", "相声艺术", "老城改造", "家庭预算", "夜间公交"]
    forms = ["散文", "小说", "报告", "演讲稿", "书信", "教案", "新闻稿", "读后感"]
    ends = ["左右", "以上", "以内", ""]
    prompts = []
    for i in range(count):
        words = pick.choice([200, 300, 500, 800, 1000, 2000, 3000, 5000])
        if i % 2:
            prompts.append(
                f"写一篇关于{pick.choice(topics)}和{pick.choice(topics)}的{pick.choice(forms)}，{words}字{pick.choice(ends)}"
            )
        else:
            prompts.append(
                f"Write a {words}-word {pick.choice(kinds)} about {pick.choice(things)} {pick.choice(turns)}."
            )
    return prompts


def test_unrelated_prompts_are_no_hits_and_that_is_decided_quickly():
    prompts = unrelated(10_000)
    started = time.process_time()
    hits = [prompt for prompt in prompts if decontamination.hit(INDEX, prompt)]
    assert time.process_time() - started < 60  # seconds; half of one on an idle core
    assert len(hits) <= 10


@pytest.mark.skipif("LW_LONGBENCH_WRITE" not in os.environ, reason="LW_LONGBENCH_WRITE names no file")
def test_each_prompt_of_longbench_write_is_found_and_unrelated_ones_are_not():
    lines = Path(os.environ["LW_LONGBENCH_WRITE"]).read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    assert len(prompts) == 120
    assert missed(prompts) == []
    index = decontamination.index(prompts)
    assert sum(decontamination.hit(index, prompt) is not None for prompt in unrelated(10_000)) <= 10


PROMPTS = [
    "Tell the tale of a lighthouse keeper in about 150 words.",
    "Describe the harbour of a small town in winter in 300 words.",
    "写一篇八百字的文章，谈谈你对家乡的河的记忆。",
    "Describe the harbour of a small town in winter in 900 words.",
]


def test_matches_are_the_benchmark_prompts_that_texts_repeat_in_their_order():
    texts = [PROMPTS[2] + "谢谢！", "A poem, please.", PROMPTS[0].upper(), PROMPTS[0]]
    assert decontamination.matches(PROMPTS, texts) == [PROMPTS[0], PROMPTS[2]]
    assert decontamination.matches(PROMPTS, ["A poem, please."]) == []
    assert decontamination.matches([], texts) == []


WORDS = " ".join(PROMPTS[:2]).split()


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map(" ".join), max_size=4))
def test_an_index_of_the_matches_alone_gives_every_text_the_same_hit(texts):
    whole = decontamination.index(PROMPTS)
    texts = [*texts, PROMPTS[3]]
    few = decontamination.index(decontamination.matches(PROMPTS, texts))
    assert [decontamination.hit(few, text) for text in texts] == [
        decontamination.hit(whole, text) for text in texts
    ]
