"""Charts: what is drawn, that it lies on the axes, and that texts stay texts."""

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.rank.reports.charts import Scale, Series, dot_plot, line_chart


def drawn(svg: str, name: str, kind: str) -> list[Element]:
    return [element for element in fromstring(svg).iter(name) if element.get("class") == kind]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in fromstring(svg).iter("text")]


@given(st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 5)), min_size=1, max_size=8))
def test_a_scale_holds_every_number_between_round_ticks(numbers: list[float]) -> None:
    scale = Scale.around(numbers, 0, 400)
    assert all(-0.1 <= scale(number) <= 400.1 for number in numbers)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 9 and len({label for _, label in ticks}) == len(ticks)
    assert scale(ticks[0][0]) == pytest.approx(0, abs=0.1) and scale(ticks[-1][0]) == pytest.approx(400, abs=0.1)
    assert [float(label.replace(",", "")) for _, label in ticks] == pytest.approx([tick for tick, _ in ticks])


def test_the_ticks_are_the_round_numbers_one_expects() -> None:
    assert [label for _, label in Scale.around([0.889, 0.912], 0, 400).ticks()][:3] == ["0.885", "0.890", "0.895"]
    assert [label for _, label in Scale.around([0, 1], 0, 400).ticks()] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [label for _, label in Scale.around([-20, 3000], 0, 400).ticks()] == [
        "-1,000",
        "0",
        "1,000",
        "2,000",
        "3,000",
    ]


@given(st.floats(0, 1))
def test_a_root_scale_starts_at_zero_and_keeps_its_ticks_apart(high: float) -> None:
    scale = Scale.around([high], 40, 400, root=True)
    places = [scale(tick) for tick, _ in scale.ticks()]
    assert places[0] == 40 and all(b - a >= 30 for a, b in zip(places, places[1:], strict=False))
    assert scale(high) <= 400


def test_a_curve_has_its_band_its_points_and_their_exact_figures() -> None:
    series = Series("ours", [0.5, 0.75], [(0.4, 0.6), (0.7, 0.8)], x=[0, 1])
    svg = line_chart("Ladder", [series], "pages known", "AUC", x_names=["0", "30"])
    assert len(drawn(svg, "polygon", "band")[0].get("points", "").split()) == 4
    marks = drawn(svg, "path", "mark")
    assert [mark.findtext("title") for mark in marks] == ["ours: 0.5 [0.4, 0.6]", "ours: 0.75 [0.7, 0.8]"]
    assert {"pages known", "AUC", "0", "30"} <= set(texts(svg))
    assert fromstring(svg).get("aria-label") == "Ladder" and fromstring(svg).get("role") == "img"


def test_several_series_get_a_legend_and_one_does_not() -> None:
    one, other = Series("ours", [1.0], x=[0]), Series("theirs", [2.0], x=[0])
    assert "ours" not in texts(line_chart("t", [one], "x", "y"))
    assert {"ours", "theirs"} <= set(texts(line_chart("t", [one, other], "x", "y")))
    assert {"ours", "theirs"} <= set(texts(dot_plot("t", ["row"], [one, other], "x")))


def test_what_is_undefined_is_left_out() -> None:
    series = Series("ours", [0.5, None, 0.7], [(0.4, 0.6), None, None], x=[0, 1, 2])
    assert len(drawn(line_chart("t", [series], "x", "y"), "path", "mark")) == 2
    plot = dot_plot("t", ["a", "b", "c"], [series], "x")
    assert len(drawn(plot, "path", "mark")) == 2 and len(drawn(plot, "line", "whisker")) == 1
    nothing = Series("ours", [None], x=[0])
    assert "nan" not in line_chart("t", [nothing], "x", "y") + dot_plot("t", ["a"], [nothing], "x")


def test_a_single_point_has_a_whisker_instead_of_a_band() -> None:
    svg = line_chart("t", [Series("ours", [0.5], [(0.4, 0.6)], x=[0])], "x", "y", x_names=["0"])
    assert drawn(svg, "line", "whisker") and not drawn(svg, "polygon", "band")


def test_on_the_diagonal_both_axes_are_the_same() -> None:
    svg = line_chart("t", [Series("ours", [0.1, 0.4], x=[0.1, 0.2])], "x", "y", diagonal=True)
    (line,) = drawn(svg, "line", "reference")
    ticks = texts(svg)[:-2]
    assert ticks.count("0.05") == 2 and ticks.count("0.2") == 2
    assert float(line.get("x1", 0)) < float(line.get("x2", 0)) and float(line.get("y1", 0)) > float(line.get("y2", 0))


def test_a_reference_is_always_on_the_axis() -> None:
    svg = dot_plot("t", ["a"], [Series("s", [0.5])], "x", reference=0.0)
    (line,) = drawn(svg, "line", "reference")
    assert 0 < float(line.get("x1", 0)) < 560


def test_texts_are_escaped_and_long_names_cut_but_kept_as_tooltips() -> None:
    name = "<script>alert('x' & \"y\")</script> of a very long name"
    svg = dot_plot(name, [name], [Series(name, [1.0])], name)
    assert "<script" not in svg and fromstring(svg).get("aria-label") == name
    assert any(text.endswith("…") for text in texts(svg))
    assert name in [title.text for title in fromstring(svg).iter("title")]
