"""Charts: one description as data, drawn as SVG for pages and by matplotlib for `plot()`."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lstmega.display import export
from lstmega.display.formatting import one_line
from lstmega.display.html import render

GREY, RED = "#57606a", "#b3380f"
_NAME_HEIGHT = 14  # pixels

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """A linear scale: `low` is drawn at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value, kept within the axis."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return about `most` round numbers within the axis: one at least for 3, two for 5."""
        raw = (self.high - self.low) / most
        if raw <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def labels(ticks: Sequence[float]) -> list[str]:
    """Return the ticks of one axis as text, with the digits in which they differ."""
    apart = ticks[1] - ticks[0] if len(ticks) > 1 else (abs(ticks[0]) or 1.0) / 100 if ticks else 1.0
    digits = max(0, -math.floor(math.log10(apart) + 1e-9))
    return [f"{tick:z,.{digits}f}" if abs(tick) < 1e9 else f"{tick:.3g}" for tick in ticks]


@dataclass(frozen=True)
class Frame:
    """The pixels of an SVG picture: its size, the edges of the plot, the start of the title."""

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    title: Point


LARGE = Frame(640, 320, 72.0, 48.0, 552.0, 254.0, title=(72, 24))  # names at the right of the curves
SMALL = Frame(300, 206, 46.0, 34.0, 288.0, 158.0, title=(10, 18))


@dataclass(frozen=True)
class Series:
    """A curve."""

    name: str  # in the legend; empty for a chart of one curve
    points: Sequence[Point]  # (x, y), finite, x ascending
    ink: str = RED
    dashed: bool = False
    dots: bool = False  # a dot at each point, with its values in a tooltip
    marks: tuple[tuple[str, Point], ...] = ()  # large dots with a name


@dataclass(frozen=True)
class Chart:
    """Curves over one x axis, and horizontal lines to compare them with."""

    title: str  # with the unit where `y_label` is empty
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    levels: tuple[tuple[str, float], ...] = ()  # (name, value) of horizontal dashed lines
    x_range: tuple[float, float] | None = None  # None: that of the points
    y_range: tuple[float, float] | None = None  # curves are cut there; None: all values and 5% more
    whole: bool = False  # whether x is a whole number, such as steps
    description: str = ""  # for readers who cannot see the picture

    def horizontal(self, start: float, end: float) -> Axis:
        """Return the x axis between two places."""
        values = [x for line in self.series for x, _ in line.points]
        return Axis(*(self.x_range or (min(values), max(values))), start, end)

    def vertical(self, start: float, end: float) -> Axis:
        """Return the y axis between two places."""
        if self.y_range:
            return Axis(*self.y_range, start, end)
        values = [y for line in self.series for _, y in line.points]
        values += [value for _, value in self.levels]
        spare = (max(values) - min(values)) * 0.05 or 0.5
        return Axis(min(values) - spare, max(values) + spare, start, end)


def svg(chart: Chart, frame: Frame = SMALL) -> str:
    """Return a chart as a picture on white ground; empty for a chart without points."""
    if not any(line.points for line in chart.series):
        return ""
    x = chart.horizontal(frame.left, frame.right)
    y = chart.vertical(frame.bottom, frame.top)
    marked = any(line.marks for line in chart.series)
    return render(
        "chart.svg",
        chart=chart,
        frame=frame,
        title=chart.title,
        heading=one_line(chart.title, 72),
        description=chart.description,
        width=frame.width,
        height=frame.height,
        x=x,
        y=y,
        columns=_labelled([tick for tick in x.ticks(5) if tick.is_integer() or not chart.whole], x.at),
        rows=_labelled(y.ticks(5), y.at),
        foot=frame.bottom + (34 if marked else 18),  # the name of a mark may stand above it
        curves=[(line, _polyline(line.points, x, y)) for line in chart.series],
        names=_names(chart.series, y),
    )


def _labelled(ticks: Sequence[float], at: Callable[[float], float]) -> Iterable[tuple[float, str]]:
    return zip(map(at, ticks), labels(ticks), strict=True)


def _polyline(points: Sequence[Point], x: Axis, y: Axis) -> str:
    """Return the places of a curve, cut where it crosses the top."""
    top, kept = y.high, []
    for number, (at, value) in enumerate(points):
        if number and (points[number - 1][1] > top) != (value > top):
            before, previous = points[number - 1]
            kept.append((before + (at - before) * (top - previous) / (value - previous), top))
        if value <= top:
            kept.append((at, value))
    kept *= 2 if len(kept) == 1 else 1  # a line of one point is a dot
    return " ".join(f"{x.at(at):.1f},{y.at(value):.1f}" for at, value in kept)


def _names(series: Iterable[Series], y: Axis) -> list[tuple[float, Series]]:
    """Return each name with its place at the end of its curve; two near ones are moved apart."""
    named = [(y.at(line.points[-1][1]), line) for line in series if line.name and line.points]
    named.sort(key=lambda item: item[0])
    if len(named) == 2 and named[1][0] - named[0][0] < _NAME_HEIGHT:
        middle = (named[0][0] + named[1][0]) / 2
        shifts = (-_NAME_HEIGHT / 2, _NAME_HEIGHT / 2)
        named = [(middle + shift, line) for shift, (_, line) in zip(shifts, named, strict=True)]
    return named


def figure(charts: Sequence[Chart], width: float, height: float, columns: int = 1) -> Any:
    """Return charts, row by row, as one matplotlib figure; width and height are inches.

    Raises:
        UsageError: matplotlib is not installed.
    """
    drawn = export.figure(width, height)
    places = drawn.subplots(math.ceil(len(charts) / columns), columns, squeeze=False)
    for place, chart in zip(places.flat, charts, strict=False):
        _plot(chart, place)
    return drawn


def _plot(chart: Chart, place: Any) -> None:
    place.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    drawn = [line for line in chart.series if line.points]
    for line in drawn:
        style = {"linestyle": "--" if line.dashed else "-", "marker": "o" if line.dots else ""}
        name = line.name or "_"  # no entry in the legend
        place.plot(*zip(*line.points, strict=True), color=line.ink, markersize=3, label=name, **style)
        for mark, at in line.marks:
            place.scatter(*at, color=line.ink, clip_on=False, zorder=3)
            place.annotate(mark, at, (0, 8), textcoords="offset points", ha="center", color=line.ink)
    for name, value in chart.levels:
        place.axhline(value, color=GREY, linestyle="--", label=name)
    if drawn:
        x_axis, y_axis = chart.horizontal(0, 1), chart.vertical(0, 1)
        spare = (x_axis.high - x_axis.low) * 0.05 or 0.5
        place.set(xlim=(x_axis.low - spare, x_axis.high + spare), ylim=(y_axis.low, y_axis.high))
    if chart.levels or any(line.name for line in drawn):
        place.legend()
