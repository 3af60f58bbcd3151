import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.agentwrite.plans.plan import Bounds
from longwriter.estimate import estimate
from longwriter.estimate.estimate import Endpoint, Request, Text
from longwriter.records import PlanStep
from tests.unit.builders import instruction

PAPER = Bounds(2, 50, 200, 1000)
ANY_PREFIX = Endpoint(4, None, None, 10.0, 1, 1)
TEXT = Text(30.0, (10.0, 20.0, 30.0), (100.0, 200.0, 300.0))  # its plan has 60 + 3 * 18 = 114 tokens
TEMPLATE = [
    ("", 5.0),
    ("instruction", 0),
    ("plan", 0),
    ("text", 0),
    ("", 6.0),
    ("step", 0),
    ("main_point", 0),
]


def all_of(chains):
    return [request for chain in chains for request in chain]


def test_words_and_han_characters_have_their_factor():
    assert estimate.tokens("Write about the sea") == pytest.approx(4 * 1.33)
    assert estimate.tokens("写一篇 story") == pytest.approx(3 + 1.33)
    assert estimate.tokens("") == 0


def test_a_template_falls_into_fixed_text_and_fields():
    assert estimate.parts("Plan {instruction} now") == [
        ("", pytest.approx(1.33)),
        ("instruction", 0.0),
        ("", pytest.approx(1.33)),
    ]


def test_serial_prompts_grow_by_the_text_so_far_and_share_it_with_the_one_before():
    # 7 round the message, 5 + 30 + 114 before the text, 6 + 1 + the main point after it
    assert estimate.write_chains("serial", TEMPLATE, TEXT, 4096) == [
        [
            Request(7 + 5 + 30 + 114 + 0 + 6 + 1 + 10, 7 + 5, 100),
            Request(7 + 5 + 30 + 114 + 100 + 6 + 1 + 20, 7 + 5 + 30 + 114, 200),
            Request(7 + 5 + 30 + 114 + 300 + 6 + 1 + 30, 7 + 5 + 30 + 114 + 100, 300),
        ]
    ]


def test_parallel_prompts_hold_no_text_and_do_not_wait():
    assert estimate.write_chains("parallel", TEMPLATE, TEXT, 4096) == [
        [Request(7 + 5 + 30 + 114 + 6 + 1 + 10, 7 + 5, 100)],
        [Request(7 + 5 + 30 + 114 + 6 + 1 + 20, 7 + 5 + 30 + 114 + 6, 200)],
        [Request(7 + 5 + 30 + 114 + 6 + 1 + 30, 7 + 5 + 30 + 114 + 6, 300)],
    ]


def test_direct_is_one_request_with_the_instruction_alone():
    assert estimate.write_chains("direct", [], TEXT, 4096) == [[Request(7 + 30, 0, 600)]]


@pytest.mark.parametrize(("mode", "answers"), [("serial", [100, 150, 150]), ("direct", [150])])
def test_no_answer_is_longer_than_its_cap_nor_is_the_text_so_far(mode, answers):
    requests = all_of(estimate.write_chains(mode, TEMPLATE, TEXT, 150))
    assert [request.completion for request in requests] == answers
    if mode == "serial":
        assert requests[2].prompt - requests[1].prompt == 150 + 10  # the second paragraph, a longer point


def test_a_step_that_stands_before_the_text_leaves_only_what_precedes_it_to_the_cache():
    early = [("", 5.0), ("instruction", 0), ("step", 0), ("text", 0)]
    (chain,) = estimate.write_chains("serial", early, TEXT, 4096)
    assert [request.prefix for request in chain] == [12, 42, 42]


def test_a_planners_request_holds_the_instruction_and_the_form_of_the_answer():
    template = [("", 5.0), ("instruction", 0), ("min_steps", 0), ("max_steps", 0), ("format", 0)]
    assert estimate.plan_request(template, TEXT, 40.0, 4096) == Request(7 + 5 + 30 + 2 + 40, 12, 114)
    assert estimate.plan_request(template[:-1], TEXT, 40.0, 4096).prompt == 7 + 5 + 30 + 2 + 40  # it follows
    assert estimate.plan_request(template, TEXT, 40.0, 64).completion == 64


def test_a_judges_request_shares_its_opening_with_the_one_before():
    template = [("", 50.0), ("instruction", 0), ("text", 0), ("", 9.0)]
    asked = estimate.question(template, {"instruction": 30.0, "text": 600.0}, 250)
    assert asked == Request(7 + 50 + 30 + 600 + 9, 57, 250)


def test_totals_by_hand():
    chains = [[Request(100, 40, 50), Request(200, 150, 70)], [Request(100, 0, 30)]]
    found = estimate.total(chains, ANY_PREFIX, 0.5)
    assert found.calls == 3 * 1.5
    assert found.prompt_tokens == 400 * 1.5
    assert found.cached_tokens == 190 + 0.5 * 400  # a re-ask finds its whole prompt
    assert found.completion_tokens == 150 * 1.5
    assert found.longest_request == 270
    assert found.hours == pytest.approx(120 * 1.5 / 10 / 3600)  # longer than 150 * 1.5 / 10 / 4
    assert found.bound == "longest chain"


def test_nothing_to_do_takes_nothing():
    assert estimate.total([], ANY_PREFIX, 0.1)[:5] == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("endpoint", "bound", "seconds"),
    [
        (Endpoint(1, None, None, 10.0, 1, 1), "max_concurrency", 100 * 60 / 10),
        (Endpoint(64, None, None, 10.0, 1, 1), "max_concurrency", 100 * 60 / 10 / 64),
        (Endpoint(100, None, None, 10.0, 1, 1), "max_concurrency", 6),
        (Endpoint(1000, None, None, 10.0, 1, 1), "longest chain", 6),
        (Endpoint(64, 30, None, 10.0, 1, 1), "requests_per_minute", 200),
        (Endpoint(64, 3000, 1000, 10.0, 1, 1), "tokens_per_minute", 100 * 100 / 1000 * 60),
    ],
)
def test_hours_are_the_most_of_four_bounds(endpoint, bound, seconds):
    found = estimate.total([[Request(40, 0, 60)]] * 100, endpoint, 0.0)
    assert (found.bound, found.hours * 3600) == (bound, pytest.approx(seconds))


@pytest.mark.parametrize(("prefix", "served"), [(1023, 0), (1024, 1024), (1151, 1024), (1152, 1152)])
def test_a_provider_serves_a_prefix_from_1024_tokens_in_steps_of_128(prefix, served):
    endpoint = Endpoint(1, None, None, 10.0, estimate.CACHED_FROM, estimate.CACHED_STEP)
    assert estimate.total([[Request(2000, prefix, 1)]], endpoint, 0.0).cached_tokens == served


@pytest.mark.parametrize(
    ("required", "words"),
    [
        (100, [200, 200]),  # the fewest the bounds allow
        (1200, [600, 600]),
        (6000, [600] * 10),
        (10_000, [10_000 / 17] * 17),
        (90_000, [1000] * 50),  # the most
        (None, [600] * 10),  # 10 = the root of 2 * 50
    ],
)
def test_the_plan_to_expect_has_paragraphs_of_the_middle_length(required, words):
    assert estimate.expected_words(PAPER, required) == pytest.approx(words)


def test_a_plan_that_exists_is_used_as_it_is():
    steps = [
        PlanStep(main_point="The sea", word_count=300),
        PlanStep(main_point="A storm comes", word_count=200),
    ]
    found = estimate.expected_text(instruction("Write a story", 500), PAPER, steps)
    assert found.instruction == pytest.approx(3 * 1.33)
    assert found.points == pytest.approx((2 * 1.33, 3 * 1.33))
    assert found.paragraphs == pytest.approx((300 * 1.33, 200 * 1.33))
    assert found.plan == pytest.approx(5 * 1.33 + 2 * 18)


def test_a_text_without_steps_has_those_that_are_to_be_expected():
    row = instruction("Write a story", 1200)
    assert estimate.expected_text(row, PAPER, []) == estimate.expected_text(row, PAPER)
    assert len(estimate.expected_text(row, PAPER).paragraphs) == 2


def test_a_chinese_character_of_the_text_is_one_token():
    found = estimate.expected_text(instruction("写故事", 1200, language="zh"), PAPER)
    assert found.paragraphs == (600, 600)
    assert found.instruction == 3


MODES = st.sampled_from(["serial", "parallel", "direct"])
LENGTHS = st.lists(st.one_of(st.none(), st.integers(1, 60_000)), max_size=6)
BOUNDS = st.builds(
    lambda steps, more, words, wider: Bounds(steps, steps + more, words, words + wider),
    st.integers(1, 8), st.integers(0, 40), st.integers(10, 400), st.integers(0, 900),
)  # fmt: skip


def of_rows(mode, bounds, lengths, cap):
    texts = [estimate.expected_text(instruction("Write a story", length), bounds) for length in lengths]
    chains = [chain for text in texts for chain in estimate.write_chains(mode, TEMPLATE, text, cap)]
    endpoint = Endpoint(8, 500, 100_000, 50.0, 1, 1)
    return estimate.total(chains, endpoint, 0.1), estimate.total(
        [[estimate.plan_request(TEMPLATE, text, 40.0, cap)] for text in texts], endpoint, 0.1
    )


def no_less(more, less):
    return all(a >= b or a == pytest.approx(b) for a, b in zip(more, less, strict=True))


@given(MODES, BOUNDS, LENGTHS, st.integers(1, 60_000), st.integers(64, 8000))
def test_one_more_row_never_takes_less(mode, bounds, lengths, length, cap):
    for more, less in zip(
        of_rows(mode, bounds, [*lengths, length], cap), of_rows(mode, bounds, lengths, cap), strict=True
    ):
        assert no_less(more[:5], less[:5])
        assert more.calls > less.calls


@given(MODES, BOUNDS, LENGTHS, st.integers(1, 60_000), st.integers(1, 60_000), st.integers(64, 8000))
def test_more_words_never_take_fewer_calls_or_tokens(mode, bounds, lengths, one, other, cap):
    low, high = sorted((one, other))
    for more, less in zip(
        of_rows(mode, bounds, [*lengths, high], cap), of_rows(mode, bounds, [*lengths, low], cap), strict=True
    ):
        assert no_less([more.calls, more.prompt_tokens, more.completion_tokens],
                       [less.calls, less.prompt_tokens, less.completion_tokens])  # fmt: skip
        if mode == "serial":
            assert no_less([more.hours], [less.hours])
