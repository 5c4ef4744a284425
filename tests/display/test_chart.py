from xml.etree import ElementTree

import pytest

from lstmega.display import chart as charts
from lstmega.display.chart import Chart, Series

POINTS = [(0.2, 90.0), (0.8, 60.0), (1.4, 10.0)]
CHART = Chart(
    'Share <of> "words", %',
    x_label="temperature",
    y_label="",
    series=(Series("", POINTS, dots=True, marks=(("lowest", POINTS[2]),)),),
    levels=(("held-out text", 95.0),),
    x_range=(0.2, 1.4),
    description="From 90 to 10.",
)


def words(picture):
    return [item.text for item in picture.findall("{*}text")]


def test_a_picture_has_curve_dots_level_and_labels():
    picture = ElementTree.fromstring(charts.svg(CHART))
    assert picture.find("{*}title").text == CHART.title
    assert picture.find("{*}desc").text == CHART.description
    assert {CHART.title, "temperature", "held-out text", "lowest"} <= set(words(picture))
    tooltips = [item.text for item in picture.findall("{*}circle/{*}title")]
    assert tooltips[0] == 'Share <of> "words", %: 90 at temperature 0.2' and len(tooltips) == 3
    points = picture.find("{*}polyline").get("points").split()
    places = [tuple(map(float, point.split(","))) for point in points]
    dots = [(float(item.get("cx")), float(item.get("cy"))) for item in picture.findall("{*}circle")]
    assert dots == [*places, places[-1]]  # the mark is the last
    frame = charts.SMALL
    assert (places[0][0], places[-1][0]) == (frame.left, frame.right)
    assert all(frame.top < y < frame.bottom for _, y in places)


def test_a_figure_has_the_same_curve_and_level():
    pytest.importorskip("matplotlib")
    (place,) = charts.figure([CHART], 4, 3).axes
    curve, level = place.lines
    assert list(zip(*curve.get_data(), strict=True)) == POINTS
    assert curve.get_color() == charts.RED
    assert set(level.get_ydata()) == {95.0}
    assert [text.get_text() for text in place.get_legend().get_texts()] == ["held-out text"]
    assert [text.get_text() for text in place.texts] == ["lowest"]
    axis = CHART.vertical(0, 1)
    assert place.get_ylim() == (axis.low, axis.high)
    assert (place.get_title(), place.get_xlabel()) == (CHART.title, "temperature")


def test_charts_stand_in_rows():
    pytest.importorskip("matplotlib")
    figure = charts.figure([CHART] * 5, 9, 6, columns=3)
    titles = [place.get_title() for place in figure.axes if place.lines]
    assert titles == [CHART.title] * 5


def test_a_chart_without_points_is_no_picture():
    empty = Chart("t", "x", "y", (Series("a", ()),))
    assert charts.svg(empty) == ""
    pytest.importorskip("matplotlib")
    assert charts.figure([empty], 4, 3).axes[0].get_title() == "t"
