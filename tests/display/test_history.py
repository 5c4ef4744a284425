import math
from xml.etree import ElementTree

import pytest

from lstmega.display import history as curves
from lstmega.display.chart import LARGE
from lstmega.display.history import HistoryRow

NAN, INF = math.nan, math.inf


def history(*losses, steps=100):
    """Rows of (train, held out) losses, one for each 100 steps."""
    return [
        HistoryRow(steps * number, number, train, held_out, None, 1e-3, 1000.0, 1.0)
        for number, (train, held_out) in enumerate(losses, 1)
    ]


FALLING = [(2.0, 2.0 - 0.02 * n) for n in range(20)]
OVERFITTING = "Best at epoch 2; since then the held-out loss rose by"


class TestVerdict:
    @pytest.mark.parametrize(
        ("losses", "words"),
        [
            ([], ""),
            ([(3, 3)], ""),
            ([(3, None), (2, None)], ""),
            ([(3, NAN), (2, INF), (1, 1)], ""),
            ([(3, 3), (2, 2), (1.9, 2.009)], ""),  # noise
            ([(3, 3), (2, 2), (1.88, 2.041)],
             f"{OVERFITTING} 0.041 nats while the training loss fell by 0.120: overfitting."),
            ([(3, 3), (2, 2), (2.5, 2.5)], f"{OVERFITTING} 0.500 nats."),  # the training loss rose too
            ([(3, 3), (NAN, 2), (1, 2.5)], f"{OVERFITTING} 0.500 nats."),
            ([(3, 3), (2, 2), (1.5, 2.5), (1.4, 2.004)], ""),  # it came back
            ([(3, 3), (2, 2), (1.5, 2.5), (1.4, NAN)],
             f"{OVERFITTING} 0.500 nats while the training loss fell by 0.500: overfitting."),
            ([(3, 3), (2, 2), (1, 1)], ""),  # no two validations in the last tenth
            ([(3, 3), (1, 1), (1, 1)], ""),  # the first of equals is the best
        ],
    )  # fmt: skip
    def test_table(self, losses, words):
        assert curves.verdict(history(*losses)) == words

    def test_still_falling_counts_the_last_tenth_only(self):
        assert curves.verdict(history(*FALLING)) == (  # steps 1,800 to 2,000
            "The held-out loss was still falling at the end, by 0.040 nats in the last tenth of the "
            "steps: train longer."
        )

    @pytest.mark.parametrize(("end", "said"), [(1.651, False), (1.63, True)])
    def test_a_small_fall_at_the_end_is_none(self, end, said):
        losses = [*FALLING[:17], (2.0, 1.66), (2.0, 1.655), (2.0, end)]
        assert bool(curves.verdict(history(*losses))) == said

    def test_a_fall_to_what_was_reached_before_asks_for_nothing(self):
        losses = [*FALLING[:17], (2.0, 1.705), (2.0, 1.72), (2.0, 1.685)]
        assert curves.verdict(history(*losses)) == ""


class TestTerminal:
    def test_marks_stand_where_the_losses_are(self):
        chart = curves.terminal(history((2.0, 1.0), (1.0, 2.0), (1.5, 1.5)), width=50, height=11)
        assert chart.splitlines() == [
            "  2.0 ┤·                    ●",
            *["      │"] * 4,
            "  1.5 ┤" + " " * 42 + "◉",
            *["      │"] * 4,
            "  1.0 ┤●                    ·",
            "      └" + "─" * 43,
            "       100" + "300 steps".rjust(40),
            "nats/char  · train  ● held out  ◉ both",
        ]

    def test_a_high_first_loss_does_not_flatten_the_rest(self):
        losses = [(3.5, 3.5)] + [(1.4 - 0.01 * n, 1.4) for n in range(11)]
        lines = curves.terminal(history(*losses), height=12).splitlines()
        assert [at for at, line in enumerate(lines[:12]) if "·" in line] == [5, 6, 7, 8, 9, 10, 11]
        assert lines[0] == " 1.45 ┤◉"  # the first losses stand on the top line
        assert lines[11][:7] == " 1.30 ┤"
        assert lines[-1] == "2 losses above 1.45 stand on the top line"

    def test_what_is_not_finite_is_left_out(self):
        drawn = curves.terminal(history((2, 2), (NAN, INF), (1, None), (-INF, 1), (1, 1)))
        marks = drawn[: drawn.index("└")]
        assert [marks.count(mark) for mark in "·●◉"] == [1, 1, 2]  # steps 300, 400, 100 and 500
        assert "nan" not in drawn and "inf" not in drawn


@pytest.mark.parametrize("losses", [[], [(1.0, 1.0)], [(NAN, None), (INF, NAN)]])
def test_less_than_two_rows_is_no_curve(losses):
    assert curves.terminal(history(*losses)) == curves.svg(history(*losses), title="") == ""


CASES = {
    "flat": [(1.0, 1.0)] * 3,
    "zero": [(0.0, 0.0)] * 2,
    "nothing held out": [(2.0, None), (1.0, None)],
    "held out once": [(2.0, None), (1.0, 1.5), (0.9, None)],
    "overfitting": [(5.0, 4.0), (1.0, 3.0), (0.5, 3.5)],
    "first loss far above": [(3.5, 3.4), *((1.4 - n / 100, 1.42 - n / 200) for n in range(12))],
    "a jump between": [(1.5, 1.5), (1.4, 1.45), (9.0, 9.0), *((1.3, 1.4),) * 9],
    "one finite": [(NAN, NAN), (1.0, NAN)],
    "huge": [(1e300, 1e300), (1e12, 1e12), (1e11, 2e11)],
    "long": [(3 / n, 3 / n + 0.2) for n in range(1, 500)],
}


@pytest.mark.parametrize("losses", CASES.values(), ids=CASES)
class TestEveryHistory:
    @pytest.mark.parametrize(("width", "height"), [(10, 1), (48, 4), (50, 6), (72, 12), (200, 40)])
    def test_lines_fit(self, losses, width, height):
        lines = curves.terminal(history(*losses), width=width, height=height).splitlines()
        assert max(map(len, lines)) <= max(width, 48)
        assert [at for at, line in enumerate(lines) if "└" in line] == [max(height, 4)]
        assert any("┤" in line for line in lines)
        assert not any(ord(character) < 32 for line in lines for character in line)

    def test_a_picture_stays_inside(self, losses):
        picture = ElementTree.fromstring(curves.svg(history(*losses), title="t"))
        assert picture.attrib["viewBox"] == "0 0 640 320" and picture.attrib["role"] == "img"
        for line in picture.findall(".//{*}polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert LARGE.left <= x <= LARGE.right and LARGE.top <= y <= LARGE.bottom
        words = [item.text for item in picture.findall(".//{*}text")]
        assert {"t", "steps", "nats per character", "train"} <= set(words)
        assert len(words) == len(set(words))  # no tick twice
        ticks = [word for word in words if word.replace(",", "").replace(".", "").isdigit()]
        assert len(ticks) >= 2

    def test_the_best_is_marked(self, losses):
        picture = ElementTree.fromstring(curves.svg(history(*losses), title=""))
        measured = [held_out for _, held_out in losses if held_out is not None and held_out < INF]
        circles = picture.findall("{*}circle")
        assert len(circles) == bool(measured)
        if measured:
            places = picture.findall("{*}polyline")[1].attrib["points"].split()
            assert float(circles[0].get("cy")) == max(float(place.split(",")[1]) for place in places)
            at = [held_out for _, held_out in losses].index(min(measured))
            share = at / (len(losses) - 1)
            expected = LARGE.left + share * (LARGE.right - LARGE.left)
            assert float(circles[0].get("cx")) == pytest.approx(expected, abs=0.1)
            assert f"best {min(measured):.3f}" in [item.text for item in picture.findall(".//{*}text")]


def test_a_picture_places_points_exactly():
    rows = history((1.5, 2.0), (2.0, 1.0), (1.0, 1.5))
    lines = ElementTree.fromstring(curves.svg(rows, title="")).findall("{*}polyline")
    assert [line.get("points") for line in lines] == [
        "72.0,151.0 312.0,48.0 552.0,254.0",
        "72.0,48.0 312.0,254.0 552.0,151.0",
    ]


def test_a_line_enters_where_it_crosses_the_top():
    rows = history((3.0, None), (1.0, None), (1.5, None), (1.0, None), (1.0, None))
    line = ElementTree.fromstring(curves.svg(rows, title="")).find("{*}polyline")
    # The axis ends at 1.75, 0.625 of the way down from 3.0 to 1.0; steps lie 120 apart.
    assert line.get("points").split()[:2] == ["147.0,48.0", "192.0,254.0"]


def test_a_picture_explains_itself_and_escapes():
    evil = '</title><script>x</script>&"\x1b\ufffe\uffff'
    picture = ElementTree.fromstring(curves.svg(history((3, 3), (2, 2), (1.88, 2.041)), title=evil))
    assert picture.find("{*}title").text == '</title><script>x</script>&"\\x1b\ufffd\ufffd'
    assert not picture.findall(".//{*}script")
    description = picture.find("{*}desc").text
    assert description.startswith(
        "Steps 100 to 300: training loss from 3.000 to 1.880, held-out loss from 3.000 to 2.041 nats"
    )
    assert description.endswith("overfitting.")


def test_equal_losses_lie_in_the_middle():
    rows = history((1.0, None), (1.0, None))
    line = ElementTree.fromstring(curves.svg(rows, title="")).find("{*}polyline")
    assert line.get("points") == "72.0,151.0 552.0,151.0"
    assert curves.terminal(rows, height=5).splitlines()[2].startswith(" 1.000 ┤·"[1:])


def test_steps_are_whole():
    picture = ElementTree.fromstring(curves.svg(history((2, 2), (1, 1), (1.5, 1.5), steps=1), title=""))
    low = [item for item in picture.findall("{*}text") if item.get("text-anchor") == "middle"]
    assert [item.text for item in low if float(item.get("y")) == LARGE.bottom + 34] == ["1", "2", "3"]


def test_the_names_of_near_lines_stand_apart():
    picture = ElementTree.fromstring(curves.svg(history((2, 2), (1, 1.001)), title=""))
    named = {item.text: float(item.get("y")) for item in picture.findall("{*}text")}
    assert named["train"] - named["held out"] == pytest.approx(14)


def test_the_name_of_the_best_stands_clear_of_ticks_and_line():
    picture = ElementTree.fromstring(curves.svg(history((2, 2), (1.9, 1.8), (1.8, 1.5)), title=""))
    named = {item.text: float(item.get("y")) for item in picture.findall("{*}text")}
    lowest = float(picture.find("{*}circle").get("cy"))
    assert lowest == LARGE.bottom
    assert named["best 1.500"] - 12 >= lowest and named["100"] - named["best 1.500"] >= 14


def test_a_figure_has_both_losses():
    pytest.importorskip("matplotlib")
    rows = history((2.0, 2.1), (1.5, 1.7), (1.2, 1.8))
    (place,) = curves.figure(rows, title="Losses").axes
    assert [line.get_label() for line in place.lines] == ["train", "held out"]
    assert list(place.lines[1].get_ydata()) == [2.1, 1.7, 1.8]
    assert curves.figure([], title="none").axes[0].get_title() == "none"
