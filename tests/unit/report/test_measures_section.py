import pytest

from longwriter.comparison import comparison
from longwriter.evaluation.measures import summary
from longwriter.evaluation.measures.texts import measure
from longwriter.report import markdown as report
from longwriter.report import measure_plots, measures_section
from tests.unit.builders import prose
from tests.unit.comparison.test_comparison import METHOD, WEAK, score
from tests.unit.evaluation.measures.test_ruler import rows
from tests.unit.report.test_plots import size

LABELS = {"sft": "SFT", "base": "the base | model"}


def compared(sft, base):
    pairs = [("sft", "base")]
    return comparison.compare("own", {"sft": sft, "base": base}, METHOD, labels=LABELS, pairs=pairs)


def measured(found, **measures):
    return {
        model: summary.summary(scores, measures.get(model, []), METHOD)
        for model, scores in found.rows.items()
    }


def text_measures(text, key=0, quality=()):
    from longwriter.evaluation.answers import Prompt, generation_of

    prompt = Prompt(f"p{key}", "Write.", "Essay", "en", 100)
    answer = generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[str(key)])
    return measure(answer, quality)


@pytest.fixture(scope="module")
def long():
    """Two models on a ruler: one stops at 2,000 words, one writes what is asked for."""
    return compared(rows(lambda level, rng: level), rows(lambda level, rng: min(level, 2000)))


def test_a_ruler_shows_its_own_levels_and_the_maximum_output_length(long):
    text = measures_section.sections(long, measured(long))
    assert "**maximum output length 2,000 words** (all equal), n = 48." in text
    assert "SFT: **maximum output length 30,000 words** (all equal), n = 48; the curve does not bend" in text
    assert "| 20,000 | 20000 (all equal), n = 8 | 2000 (all equal), n = 8 |" in text


@pytest.mark.parametrize(("words", "amount"), [(0, "0 words"), (1, "1 word")])
def test_a_model_that_writes_nothing_or_one_word_has_this_maximum_and_a_figure(words, amount, tmp_path):
    found = compared(rows(lambda level, rng: level), rows(lambda level, rng: words))
    text = measures_section.sections(found, measured(found))
    assert f"**maximum output length {amount}** (all equal), n = 48." in text
    figure = measure_plots.figures(found, measured(found))["ruler.png"]()
    assert [label.get_text() for label in figure.axes[0].texts] == ["30,000", "1"][: 1 + words]
    figure.savefig(tmp_path / "ruler.png")


def test_a_benchmark_without_levels_shows_no_curve():
    one = [score(k) for k in range(4)]
    found = compared(one, one)
    text = measures_section.sections(found, measured(found))
    assert "maximum output length" not in text
    assert "by type" not in text
    assert "| SFT | 100.0 (all equal) | one answer a prompt | 100 |" in text


def test_the_length_of_thinking_is_shown_where_a_model_thought():
    one = [score(k) for k in range(2)]
    found = compared(one, one)
    thought = [text_measures(prose(40), k).model_copy(update={"thinking_words": 1500 + k}) for k in range(2)]
    own = measured(found, sft=thought, base=[text_measures(prose(40), k) for k in range(2)])
    text = measures_section.sections(found, own)
    assert "| longest answer (words) | thinking (mean words, not counted) |" in text
    assert "| SFT | 100.0 (all equal) | one answer a prompt | 100 | 1,500 |" in text
    assert summary.numbers("sft", own["sft"])["sft_thinking_words_mean"] == 1500.5
    assert "base_thinking_words_mean" not in summary.numbers("base", own["base"])
    assert "thinking" not in measures_section.sections(found, measured(found))


def test_types_and_languages_have_their_own_rows():
    sft = [score(k, words=50 if k % 2 else 100, language="zh" if k % 2 else "en") for k in range(4)]
    base = [score(k, type="a | b\n# c") if k == 1 else score(k) for k in range(4)]
    text = measures_section.sections(*(lambda found: (found, measured(found)))(compared(sft, base)))
    assert "| zh | 50.0 (all equal), n = 2 | - |" in text
    assert "\n# c" not in text


def test_texts_show_variety_repetition_and_the_quality_of_their_parts():
    one = [score(k) for k in range(2)]
    found = compared(one, one)
    loop = "\n\n".join([prose(40)] * 10)
    own = measured(
        found,
        sft=[
            text_measures(prose(400, 1), quality=[75.0, 50.0]),
            text_measures(prose(400, 2), 1, [None, 0.0]),
        ],
        base=[text_measures(loop), text_measures(prose(400, 3), 1)],
    )
    text = measures_section.sections(found, own)
    assert "| 0.0 (all equal) | 0.0% | 0.0% | 0.0% | 75 25 |" in text
    assert "| 50% [" in text
    numbers = summary.numbers("base", own["base"])
    assert numbers["base_beyond_gopher_share"] == 0.5
    assert numbers["base_redundancy_percent"] == 50
    assert "base_lvc" not in numbers


def test_the_report_has_the_sections_and_the_figures_are_drawn(long, tmp_path):
    own = measured(long, sft=[text_measures(prose(400))], base=[text_measures(prose(300))])
    text = report.markdown(long, fitness=WEAK, max_unscored_share=0.05, dpo={}, figures=[], measured=own)
    assert text.index("## Length written at each length asked for") < text.index("## Texts")
    for name, figure in measure_plots.figures(long, own).items():
        figure().savefig(tmp_path / name)
        assert size(tmp_path / name)[0] > 500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["along.png", "ruler.png"]


def test_without_a_ruler_and_without_texts_no_figure_is_drawn():
    found = compared([score(1)], [score(1)])
    assert measure_plots.figures(found, measured(found)) == {}
