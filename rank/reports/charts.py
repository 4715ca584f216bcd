"""Charts as inline SVG. Colours and fonts are classes of the page's style sheet, so that a chart follows its theme.

Axes are labelled, several series get a legend, intervals are drawn where they are known, and every point carries its
exact figures as a tooltip. A value of None is left out. Elements are built as a tree, which escapes every text. [O]
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

Interval = tuple[float, float] | list[float] | None

CHARACTER = 6.6  # mean width of a character of 12 px text, in px
MARKERS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-5L5 0L0 5L-5 0z")
ROOT_TICKS = (0.0, 1e-5, 1e-4, 5e-4, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True)
class Series:
    """One system's n points. A curve needs `x`; in a dot plot the points belong to the rows.

    Args:
        value: [n]. interval: [n] (low, high), thin whisker or band. inner: [n] (low, high), a thick bar in dot plots.
    """

    name: str
    value: Sequence[float | None]
    interval: Sequence[Interval] = ()
    inner: Sequence[Interval] = ()
    x: Sequence[float] = ()

    def bounds(self, index: int) -> Interval:
        return self.interval[index] if self.interval else None

    def reach(self) -> list[float]:
        """Every number an axis has to hold."""
        ends = [end for pair in (*self.interval, *self.inner) if pair is not None for end in pair]
        return [*(value for value in self.value if value is not None), *ends]


@dataclass(frozen=True)
class Scale:
    """Numbers [low, high] to pixels [start, end]; `root` stretches small numbers, as probabilities need it."""

    low: float
    high: float
    start: float
    end: float
    root: bool = False
    step: float = 1.0  # between ticks, of a linear scale

    @classmethod
    def around(cls, numbers: Iterable[float], start: float, end: float, root: bool = False) -> "Scale":
        """The scale that holds all `numbers`; a linear one begins and ends at a round number."""
        found = [*numbers] or [0.0, 1.0]
        low, high = min(found), max(found)
        if root:
            return cls(0.0, max(high, 0.01) * 1.05, start, end, root)
        if high - low < 1e-9 * max(abs(high), 1.0):
            low, high = low - max(abs(low) * 0.1, 0.01), high + max(abs(high) * 0.1, 0.01)
        step = _step(low, high)
        return cls(math.floor(low / step) * step, math.ceil(high / step) * step, start, end, step=step)

    def __call__(self, number: float) -> float:
        low, high, number = (math.sqrt(max(v, 0)) if self.root else v for v in (self.low, self.high, number))
        return round(self.start + (number - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers on the scale, and how they are written."""
        if self.root:
            kept: list[float] = []
            for tick in ROOT_TICKS:
                if tick <= self.high and (not kept or abs(self(tick) - self(kept[-1])) >= 30):
                    kept.append(tick)
            return [(tick, f"{tick:g}") for tick in kept]
        decimals = max(0, -math.floor(math.log10(self.step) + 1e-9))
        count = round((self.high - self.low) / self.step)
        numbers = [round(self.low + index * self.step, decimals) + 0.0 for index in range(count + 1)]
        return [(number, f"{number:,.{decimals}f}") for number in numbers]


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_names: Sequence[str] = (),
    diagonal: bool = False,
    width: int = 560,
    height: int = 330,
) -> Markup:
    """Curves with their intervals as bands.

    Args:
        x_names: names of the places 0, 1, …, where `x` counts places.
        diagonal: both axes show the same quantity, a probability: one square-root scale for both, the line of
            equality, and whiskers instead of bands.
    """
    svg = _svg(title, width, height)
    top = _legend(svg, [one.name for one in series], 62, width) + 12
    vertical = [number for one in series for number in one.reach()]
    horizontal = [number for one in series for number in one.x]
    if diagonal:
        vertical = horizontal = [*vertical, *horizontal]
    y = Scale.around(vertical, height - 46, top, diagonal)
    left = max(62, 36 + max(_width(text) for _, text in y.ticks()))
    if x_names:
        x = Scale(-0.4, len(x_names) - 0.6, left, width - 14)
        places = list(zip(map(float, range(len(x_names))), x_names, strict=True))
    else:
        x = Scale.around(horizontal, left, width - 14, diagonal)
        places = x.ticks()
    for number, text in y.ticks():
        _line(svg, "grid", x.start, y(number), x.end, y(number))
        _text(svg, text, x.start - 8, y(number) + 4, "end")
    for number, text in places:
        _line(svg, "tick", x(number), y.start, x(number), y.start + 5)
        _text(svg, text, x(number), y.start + 18, "middle")
    _line(svg, "axis", x.start, y.start, x.end, y.start)
    _text(svg, x_label, (x.start + x.end) / 2, height - 8, "middle", "label")
    middle = (y.start + y.end) / 2
    _text(svg, y_label, 14, middle, "middle", "label").set("transform", f"rotate(-90 14 {middle})")
    if diagonal:
        _line(svg, "reference", x(x.low), y(y.low), x(x.high), y(y.high))
    for index, one in enumerate(series):
        group = SubElement(svg, "g", {"class": f"series-{index % 3}"})
        points = [
            (x(place), value, one.bounds(i)) for i, (place, value) in enumerate(zip(one.x, one.value, strict=True))
            if value is not None
        ]  # fmt: skip
        whole = [(place, bounds[0], bounds[1]) for place, _, bounds in points if bounds is not None]
        if diagonal or len(whole) == 1:
            for place, low, high in whole:
                _line(group, "whisker", place, y(low), place, y(high))
        elif whole:
            around = [
                *((place, y(low)) for place, low, _ in whole),
                *((place, y(high)) for place, _, high in whole[::-1]),
            ]
            SubElement(group, "polygon", {"class": "band", "points": _points(around)})
        SubElement(group, "polyline", {"class": "curve", "points": _points([(p, y(value)) for p, value, _ in points])})
        for place, value, bounds in points:
            _marker(group, index, place, y(value), _told(one.name, value, bounds))
    return Markup(tostring(svg, encoding="unicode"))


def dot_plot(
    title: str,
    rows: Sequence[str],
    series: Sequence[Series],
    x_label: str,
    *,
    reference: float | None = None,
    width: int = 560,
) -> Markup:
    """A row per name, in it a dot per series with its interval; `reference` draws a vertical line."""
    names = [name if len(name) <= 34 else f"{name[:33]}…" for name in rows]
    left = 18 + max((_width(name) for name in names), default=0)
    row_height = 10 + 15 * len(series)
    svg = _svg(title, width, 0)
    top = _legend(svg, [one.name for one in series], left, width) + 10
    bottom = top + row_height * len(rows)
    svg.set("viewBox", f"0 0 {width} {bottom + 46}")
    numbers = [number for one in series for number in one.reach()] + ([] if reference is None else [reference])
    x = Scale.around(numbers, left + 6, width - 20)
    for number, text in x.ticks():
        _line(svg, "grid", x(number), top, x(number), bottom)
        _text(svg, text, x(number), bottom + 16, "middle")
    _line(svg, "axis", left, bottom, x.end, bottom)
    _text(svg, x_label, width / 2, bottom + 38, "middle", "label")
    if reference is not None:
        _line(svg, "reference", x(reference), top, x(reference), bottom)
    for row, name in enumerate(names):
        middle = top + row_height * (row + 0.5)
        SubElement(_text(svg, name, left - 10, middle + 4, "end"), "title").text = rows[row]
        for index, one in enumerate(series):
            value = one.value[row]
            if value is None:
                continue
            group = SubElement(svg, "g", {"class": f"series-{index % 3}"})
            height = middle + 15 * (index - (len(series) - 1) / 2)
            for kind, pairs in (("whisker", one.interval), ("inner", one.inner)):
                if pairs and (pair := pairs[row]) is not None:
                    _line(group, kind, x(pair[0]), height, x(pair[1]), height)
            _marker(group, index, x(value), height, _told(f"{rows[row]}, {one.name}", value, one.bounds(row)))
    return Markup(tostring(svg, encoding="unicode"))


def _step(low: float, high: float) -> float:
    """1, 2 or 5 times a power of ten, so that the range is cut into about five."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _svg(title: str, width: int, height: int) -> Element:
    """Its width in px is what its texts are laid out for: narrower, the page lets it be scrolled."""
    size = {"viewBox": f"0 0 {width} {height}", "width": f"{width}"}
    return Element("svg", {**size, "role": "img", "aria-label": title})


def _legend(svg: Element, names: Sequence[str], left: float, width: float) -> float:
    """Marker and name of each series, on as many lines as they need; returns where the legend ends."""
    if len(names) < 2:
        return 4.0
    x, y = left + 6, 12.0
    for index, name in enumerate(names):
        if index and x + 16 + _width(name) > width:
            x, y = left + 6, y + 20
        _marker(SubElement(svg, "g", {"class": f"series-{index % 3}"}), index, x, y, name)
        _text(svg, name, x + 10, y + 4, "start")
        x += 34 + _width(name)
    return y + 10


def _marker(parent: Element, index: int, x: float, y: float, tooltip: str) -> None:
    mark = SubElement(
        parent, "path", {"class": "mark", "d": MARKERS[index % 3], "transform": f"translate({x:g} {y:g})"}
    )
    SubElement(mark, "title").text = tooltip


def _told(name: str, value: float, bounds: Interval) -> str:
    return f"{name}: {value:.4g}" + (f" [{bounds[0]:.4g}, {bounds[1]:.4g}]" if bounds is not None else "")


def _line(parent: Element, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(parent, "line", {"class": kind, **{name: f"{number:g}" for name, number in ends.items()}})


def _text(parent: Element, text: str, x: float, y: float, anchor: str, kind: str = "text") -> Element:
    element = SubElement(parent, "text", {"class": kind, "x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor})
    element.text = text
    return element


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _width(text: str) -> float:
    """Pixels a text takes, wide characters counted twice."""
    return CHARACTER * sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
