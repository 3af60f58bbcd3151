import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longwriter.exclusions import decontamination
from longwriter.hashing import content_hash
from longwriter.instructions.screening import OTHER, ScreeningLimits, screen
from longwriter.records import Instruction
from longwriter.schemas.contents import Unusable
from longwriter.schemas.rows import SourceRow
from longwriter.text.basics.counting import normalise

LIMITS = ScreeningLimits(
    languages=["en"], max_chars=200, max_required_words=1000,
    harm={"toxic.rude": ["grr+"], "scraping": ["scrape"]}, types={"Tale": ["story"]},
    benchmarks=decontamination.index(["Write a story of 300 words about a lantern that nobody can put out."]),
)  # fmt: skip
STORY = "Write a story of 500 words about a boy who finds an old key."


def one(row, limits=LIMITS):
    """Return the candidate, or (reason, detail)."""
    found, rejected = screen([("f:7", row)], limits)
    assert len(found) + len(rejected) == 1
    return found[0] if found else (rejected[0].reason, rejected[0].detail)


def test_a_chat_becomes_an_instruction_with_what_its_prompt_says():
    found = one(SourceRow(f" {STORY}\u200b\r\n"))
    assert found.instruction == Instruction(
        instruction_id=content_hash(["en", STORY])[:16], prompt=STORY, type="Tale", language="en",
        required_words=500, origin="f:7",
    )  # fmt: skip
    assert found.benchmark_hit is None


def test_what_the_source_states_is_believed():
    found = one(SourceRow("Tell us of keys.", "Letter", 900, "en")).instruction
    assert (found.type, found.required_words, found.language) == ("Letter", 900, "en")
    assert one(SourceRow("hi", language="en")).instruction.type == OTHER
    assert one(SourceRow("hi"))[0] == "language"


def test_the_same_prompt_in_another_language_is_another_instruction():
    limits = LIMITS._replace(languages=["en", "zh"])
    assert (
        len({one(SourceRow("a", language=code), limits).instruction.instruction_id for code in ("en", "zh")})
        == 2
    )


@pytest.mark.parametrize(
    ("prompt", "fate"),
    [
        ("a b", ("prompt_too_short", "f:7: 2 words")),
        ("a b c", None),
        ("a b c d", None),
        ("a b c d e", ("prompt_too_long", "f:7: 5 words")),
    ],
)
def test_a_prompt_has_as_many_words_as_the_bar_asks_for(prompt, fate):
    found = one(SourceRow(prompt, language="en"), LIMITS._replace(prompt_words=(3, 4)))
    assert found == fate or (fate is None and found.instruction.prompt == prompt)


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (Unusable("malformed", "no JSON: oh"), "malformed", "no JSON: oh"),
        (Unusable("no_instruction", "nobody"), "no_instruction", "nobody"),
        (SourceRow(""), "no_words", "f:7: ''"),
        (SourceRow("\ufeff \u00ad"), "no_words", "f:7: ''"),
        (SourceRow("…__"), "no_words", "f:7: '…__'"),
        (SourceRow("word " * 41), "prompt_too_long", "f:7: 204 characters"),
        (SourceRow("写一个关于海鸥的故事"), "language", "f:7: zh"),
        (SourceRow("a", language="fr"), "language", "f:7: fr"),
        (SourceRow(STORY, toxic=True), "flagged_toxic", "f:7: the source says so"),
        (SourceRow(STORY, redacted=True), "flagged_redacted", "f:7: the source took names out of it"),
        (SourceRow("Write GRRR.", language="en"), "toxic", "f:7: toxic.rude"),
        (SourceRow("Scrape it.", language="en"), "scraping", "f:7: scraping"),
        (SourceRow(STORY.replace("500", "1,001")), "too_long_for_writer", "f:7: 1,001 words"),
        (SourceRow(STORY, length=1001), "too_long_for_writer", "f:7: 1,001 words"),
    ],
)
def test_a_rejection_says_why_and_where(row, reason, detail):
    assert one(row) == (reason, detail)


def test_a_prompt_and_a_length_at_their_limits_are_kept():
    assert one(SourceRow("a" * 200, length=1000, language="en")).benchmark_hit is None


def test_a_prompt_of_a_benchmark_is_marked_with_it():
    found = one(SourceRow("write a STORY of 300 words  about a lantern that nobody can put out!"))
    assert found.benchmark_hit == "Write a story of 300 words about a lantern that nobody can put out."


@pytest.mark.parametrize("language", ["en", None])
def test_ten_megabytes_are_rejected_without_being_looked_through(language):
    assert one(SourceRow("a " * 5_000_000, language=language))[0] in ("prompt_too_long", "language")


ANY = st.one_of(
    st.builds(Unusable, st.sampled_from(["malformed", "no_instruction", "not_text"]), st.text(max_size=5)),
    st.builds(
        SourceRow, prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
        type=st.none() | st.just("x"), length=st.none() | st.integers(1, 10**9),
        language=st.none() | st.sampled_from(["en", "zh", "xx"]), toxic=st.booleans(), redacted=st.booleans(),
    ),
)  # fmt: skip


@settings(max_examples=30)
@given(st.lists(ANY, max_size=12))
def test_every_row_is_a_candidate_or_rejected_in_its_order(rows):
    numbered = [(f"f:{number}", row) for number, row in enumerate(rows)]
    found, rejected = screen(numbered, LIMITS)
    places = [int(item.instruction.origin[2:]) for item in found]
    assert places == sorted(places)
    others = [
        int((row.row_id if row.row_id.startswith("f:") else row.detail).split(":")[1]) for row in rejected
    ]
    assert sorted(places + others) == list(range(len(rows)))


@pytest.mark.parametrize("row", [SourceRow("Write GRRR. " * 15, language="en"), SourceRow(STORY, toxic=True)])
def test_a_rejected_row_shows_the_beginning_of_its_prompt_unless_it_is_withdrawn(row):
    [rejected] = screen([("f:7", row)], LIMITS)[1]
    assert rejected.prompt
    assert rejected.prompt == normalise(row.prompt)[:200]
    [withdrawn] = screen([("f:7", row)], LIMITS._replace(withdrawn={rejected.row_id}))[1]
    assert withdrawn == rejected.model_copy(update={"prompt": ""})
