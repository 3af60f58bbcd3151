import itertools
import math
import struct

import pytest

from longwriter.comparison import comparison
from longwriter.report import plots
from tests.unit.comparison.test_comparison import METHOD, compared, score

NAMES = ["length.png", "buckets.png", "ended.png", "training.png", "overview.png"]
CURVES = {
    "sft": comparison.curve("step,loss\n1,2.5\n2,2.1\n"),
    "dpo": comparison.curve("step,loss,reward_accuracy,reward_margin\n1,0.69,0.5,0.0\n2,0.6,,\n"),
}


def rows(words):
    return [score(k, words=words + k, required=100 * (1 + k % 6), ended=k % 2 == 0) for k in range(12)]


def whole():
    return compared(rows(60), rows(150), rows(300))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The figures of `whole`."""
    folder = tmp_path_factory.mktemp("whole") / "figures"
    return folder, plots.draw(whole(), CURVES, folder)


def size(path):
    """Return width and height of a PNG, from its header."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


def test_every_figure_is_a_png_and_the_overview_is_wide(drawn):
    folder, found = drawn
    assert [path.name for path in found] == NAMES
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    sizes = {path.name: size(path) for path in found}
    assert all(width >= 900 for width, _ in sizes.values())
    width, height = sizes["overview.png"]
    assert width > 3 * height


def test_no_marker_lies_on_the_edge_of_its_panel():
    asked = [
        [score(k, words=words, required=400 + 50 * (k % 3)) for k in range(6)] for words in (300, 450, 900)
    ]
    panel = plots._overview(compared(*asked)).axes[0]
    left, right = panel.get_xlim()
    places = [x for marks in panel.collections for x, _ in marks.get_offsets()]
    assert len(places) == 18
    assert left < min(places)
    assert max(places) < right


def test_the_same_numbers_give_the_same_bytes_whatever_the_machine_prefers(drawn, tmp_path):
    first = [path.read_bytes() for path in drawn[1]]
    plots.matplotlib.rcParams["font.size"] = 30
    try:
        again = [path.read_bytes() for path in plots.draw(whole(), CURVES, tmp_path / "b")]
        assert plots.matplotlib.rcParams["font.size"] == 30
    finally:
        plots.matplotlib.rcdefaults()
    assert again == first
    assert not any(b"tEXt" in content or b"tIME" in content for content in first)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (compared(rows(60), rows(150), rows(10)), ["length.png", "buckets.png"]),
        (
            compared(rows(60), rows(150), [row.model_copy(update={"loop": True}) for row in rows(300)]),
            ["ended.png"],
        ),
    ],
)
def test_other_numbers_give_another_figure(drawn, tmp_path, changed, names):
    plots.draw(changed, CURVES, tmp_path)
    for figure in (*names, "overview.png"):
        assert (drawn[0] / figure).read_bytes() != (tmp_path / figure).read_bytes()


def test_the_held_out_loss_is_drawn_beside_the_loss(drawn, tmp_path):
    measured = CURVES["sft"] | {"test_loss": [float("nan"), 2.4]}
    plots.draw(whole(), CURVES | {"sft": measured}, tmp_path)
    changed = {name for name in NAMES if (drawn[0] / name).read_bytes() != (tmp_path / name).read_bytes()}
    assert changed == {"training.png"}
    plots.draw(
        whole(), CURVES | {"sft": CURVES["sft"] | {"test_loss": [float("nan")] * 2}}, tmp_path / "none"
    )
    assert (tmp_path / "none" / "training.png").read_bytes() == (drawn[0] / "training.png").read_bytes()


def test_one_answer_is_drawn_and_what_has_no_data_is_left_out(tmp_path):
    empty = {stage: {name: [] for name in curve} for stage, curve in CURVES.items()}

    def names(rows, curves):
        return [path.name for path in plots.draw(compared(rows, rows, []), curves, tmp_path)]

    one, free = (
        [score(0, words=0)],
        [score(0).model_copy(update={"required_words": None, "length_score": None})],
    )
    assert names(one, CURVES) == NAMES
    assert names(one, empty) == [name for name in NAMES if name != "training.png"]
    assert names(free, CURVES) == ["ended.png", "training.png", "overview.png"]
    assert names([], empty) == []
    assert len(plots._length(compared(one, one, [])).axes) == 2  # the third model has no answer
    assert len(plots._overview(compared(free, free, [])).axes) == 1


def test_nine_models_are_drawn_and_each_differs_in_colour_or_marker(tmp_path):
    labels = {f"m{i}": f"Model {i}" for i in range(9)}
    models = {model: [score(k, words=100 + i) for k in range(2)] for i, model in enumerate(labels)}
    many = comparison.compare("small", models, METHOD, labels=labels, pairs=[("m1", "m0")])
    assert len(set(plots.looks(many).values())) == 9
    assert [path.name for path in plots.draw(many, CURVES, tmp_path)] == NAMES


@pytest.mark.parametrize(
    ("values", "bounds", "ends"),
    [
        ([40, 60], (-2, 105), (38.6, 61.4)),
        ([0, 100], (-2, 105), (-2, 105)),
        ([50], (-2, 105), (49, 51)),
        ([0, 10], (0, math.inf), (0, 10.7)),
        ([], (-2, 105), (-2, 105)),
    ],
)
def test_an_axis_ends_a_little_beyond_the_values_and_inside_its_bounds(values, bounds, ends):
    assert plots.limits(values, bounds) == pytest.approx(ends)


def test_lengths_over_decades_are_drawn_also_where_an_answer_is_empty(tmp_path):
    spread = [score(k, words=0 if k == 1 else 90 * 10**k, required=100 * 10**k) for k in range(3)]
    [length] = [
        path
        for path in plots.draw(compared(spread, spread, spread), CURVES, tmp_path)
        if path.name == "length.png"
    ]
    assert size(length)[0] > 900


def test_the_labels_of_an_axis_of_word_counts_do_not_repeat():
    few = [score(1), score(2)]
    figure = plots._length(compared(few, few, few))
    figure.draw_without_rendering()
    for panel in figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            assert len(labels) == len(set(labels)), labels


def test_long_labels_of_buckets_do_not_overlap():
    levels = [1000, 2000, 5000, 10000, 20000, 30000]
    ruler = [score(8 * place + k, required=level) for place, level in enumerate(levels) for k in range(8)]
    figure = plots._overview(compared(ruler, ruler, ruler))
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[1].xaxis.get_ticklabels()]
    assert len(boxes) == 5
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_n_is_the_number_of_prompts_also_where_a_prompt_has_several_answers():
    twice = [score(k, generation_id=f"{k}-{draw}") for k in range(3) for draw in range(2)]
    once = [score(k) for k in range(3)]
    assert plots._counts(compared(twice, twice, twice)) == "n = 3 (6 answers) a model"
    assert plots._counts(compared(once, once, once)) == "n = 3 a model"
    assert plots._length(compared(twice, once, once)).axes[0].get_title() == "Base model, n = 3 (6 answers)"


def test_an_axis_of_optimizer_steps_has_whole_numbers():
    figure = plots._training(compared(*[[score(1)]] * 3), {"sft": {"step": [1, 2], "loss": [2.0, 1.5]}})
    figure.draw_without_rendering()
    assert all(float(label.get_text()).is_integer() for label in figure.axes[0].xaxis.get_ticklabels())


def test_the_titles_of_the_training_figure_are_whole():
    figure = plots._training(compared(*[[score(1)]] * 3), CURVES)
    figure.draw_without_rendering()
    for panel in figure.axes:
        extent = panel.title.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width, panel.get_title()
