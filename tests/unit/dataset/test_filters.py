import pytest

from longwriter import params
from longwriter.dataset import filters
from longwriter.text.basics.counting import count_words
from tests.unit.builders import prose

LIMITS = filters.Limits(
    min_words=50,
    max_words=200,
    max_repeated_share=0.2,
    repetition=params.load().dataset.repetition,
    max_section_overlap=0.3,
    max_other_script_share=0.2,
    require_ending=True,
    require_stated_length=True,
    min_length_score=80.0,
)
HAN = "".join(chr(0x4E00 + i) for i in range(90))
FRENCH = (
    "Le vieux facteur savait qui attendait une lettre et qui avait peur d'en recevoir. Pendant quarante ans, il avait"
    " marché par tous les temps, et le jour de son dernier tour, il trouva devant chaque porte une petite enveloppe."
)


def text(*sections, language="en", required=100, steps=()):
    answer = "\n\n".join(sections)
    return filters.Text(sections, answer, count_words(answer), language, required, steps)


CLEAN = text(prose(50, "a"), prose(50, "b"))

DEFECTS = {
    "reasoning_text": text("<think>A harbour.</think> " + prose(98, "a")),
    "control_token": text(prose(50, "a") + "\x00", prose(50, "b")),
    "error_text": text(prose(100, "a") + "\n\nInternal server error"),
    "refusal": text(prose(50, "a"), "I'm sorry, but I cannot go on. " + prose(43, "b")),
    "plan_line": text(
        prose(50, "a"), "Paragraph 2 - Main Point: the sea - Word Count: 50 words\n\n" + prose(40, "b")
    ),
    "meta_talk": text("Sure! Here is the first paragraph of the text: " + prose(91, "a")),
    "wrong_language": text(prose(100 - count_words(FRENCH), "a"), FRENCH),
    "too_short": text(prose(49, "a"), required=49),
    "too_long": text(prose(201, "a"), required=201),
    "loop": text(" ".join([prose(25, "a")] * 4)),
    "repetition": text(prose(60, "a") + " the sea the sea the sea" * 7 + "."),
    "sections_alike": text(prose(40, "a"), prose(40, "b"), prose(22, "a")),
    "language_mix": text(prose(70, "a") + " " + HAN[:30] + "."),
    "cut_off": text(prose(50, "a"), prose(50, "b")[:-1]),
    "no_stated_length": text(prose(50, "a"), prose(50, "b"), required=None),
    "off_length": text(prose(50, "a"), prose(50, "b"), required=150),
}


def test_a_clean_text_comes_through_and_each_filter_has_its_defect():
    assert filters.trouble(CLEAN, LIMITS) is None
    assert DEFECTS.keys() == filters.FILTERS.keys()


@pytest.mark.parametrize("name", DEFECTS)
def test_one_defect_is_refused_by_exactly_its_filter(name):
    limits = LIMITS._replace(max_repeated_share=1.0) if name in ("repetition", "sections_alike") else LIMITS
    if name in ("loop", "sections_alike"):
        limits = limits._replace(repetition={})
    found = [other for other, look in filters.FILTERS.items() if look(DEFECTS[name], limits) is not None]
    assert found == [name]
    assert filters.trouble(DEFECTS[name], limits)[0] == name


def test_the_two_published_filters_can_be_left_out():
    loose = LIMITS._replace(require_stated_length=False, min_length_score=0.0)
    assert filters.trouble(DEFECTS["no_stated_length"], loose) is None
    assert filters.trouble(DEFECTS["off_length"], loose) is None


def test_a_refusal_says_what_was_found_and_what_is_allowed():
    assert filters.trouble(DEFECTS["off_length"], LIMITS)[1] == "100 words for 150: S_l 75, at least 80"
    assert filters.trouble(DEFECTS["too_short"], LIMITS)[1] == "49 words, at least 50"


def test_a_paragraph_of_a_draft_that_stops_in_mid_word_is_refused_and_one_of_a_published_text_is_not():
    sections = (prose(50, "a")[:-4], prose(51, "b"))
    assert filters.trouble(text(*sections, steps=sections), LIMITS)[0] == "cut_off"
    assert filters.trouble(text(*sections), LIMITS) is None
    loose = LIMITS._replace(require_ending=False)
    assert filters.trouble(text(*sections, steps=sections), loose) is None


def test_talk_about_the_task_is_refused_in_each_paragraph_of_a_section():
    talk = f"{prose(50, 'a')}\n\nSure! Here is the next paragraph of the text: {prose(41, 'b')}"
    assert filters.trouble(text(talk), LIMITS)[0] == "meta_talk"


@pytest.mark.parametrize(
    ("written", "language", "share"),
    [
        ("one two", "en", 0),
        ("one 两", "en", 1 / 2),
        ("两个 word", "zh", 1 / 3),
        ("两个", "zh", 0),
        ("", "zh", 0),
        ("12", "en", 0),
    ],
)
def test_words_in_the_other_script_are_a_share(written, language, share):
    assert filters.other_script_share(written, language) == pytest.approx(share)


@pytest.mark.parametrize(
    "request_before", ["Answer me in French from now on.", "Écris un conte, s'il te plaît."]
)
def test_a_paragraph_in_a_language_that_an_earlier_turn_asks_for_is_kept(request_before):
    asked = DEFECTS["wrong_language"]._replace(prompt="Write a story.", earlier_turns=request_before)
    assert filters.trouble(asked, LIMITS) is None
