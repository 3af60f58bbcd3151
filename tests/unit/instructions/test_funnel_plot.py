from longwriter.instructions import funnel_plot
from longwriter.instructions.funnel import funnel


def test_the_same_numbers_give_the_same_picture_and_others_another(tmp_path):
    steps = funnel(1_000_000, {"malformed": 30_000, "duplicate": 120_000, "over_limit": 844_000})
    for name, title in (("a", "Rows"), ("b", "Rows"), ("c", "Others")):
        funnel_plot.draw(steps, title, tmp_path / f"{name}.png")
    funnel_plot.draw(funnel(1_000_000, {"malformed": 40_000}), "Rows", tmp_path / "d.png")
    one, two, three, four = ((tmp_path / f"{name}.png").read_bytes() for name in "abcd")
    assert one.startswith(b"\x89PNG")
    assert one == two
    assert len({one, three, four}) == 3


def test_a_funnel_of_nothing_is_drawn_too(tmp_path):
    funnel_plot.draw(funnel(0, {}), "Nothing", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
