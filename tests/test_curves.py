from xml.etree import ElementTree

import pytest

from lstmega import curves
from lstmega.records import HistoryRow


def history(*losses):
    """Rows of (train, held out) losses, one for each 100 steps."""
    return [
        HistoryRow(100 * number, number, train, held_out, None, 1e-3, 1000.0, 1.0)
        for number, (train, held_out) in enumerate(losses, 1)
    ]


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([(3, 3), (2, 2), (1, 1)], ""),
        ([(3, 3), (2, 2), (1.9, 2.005)], ""),  # noise
        ([(3, 3), (2, 2), (1.5, 2.05)], "Best at epoch 2; since then the held-out loss rose by 0.05 nats"
         " while the training loss fell by 0.50: overfitting."),
        ([(3, 3), (2, 2), (2.5, 2.5)],
         "Best at epoch 2; since then the held-out loss rose by 0.50 nats."),
        ([(3, None), (2, None)], ""),
        ([(3, 3)], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_verdict(losses, words):
    assert curves.verdict(history(*losses)) == words


def test_marks_stand_where_the_losses_are():
    chart = curves.terminal(history((2.0, 1.0), (1.0, 2.0), (1.5, 1.5)), width=29, height=11)
    lines = chart.splitlines()
    assert lines[0] == " 2.00 ┤·         ●"
    assert lines[5] == "      │" + " " * 20 + "◉"
    assert lines[10] == " 1.00 ┤●         ·"
    assert "100" in lines[12] and "300 steps" in lines[12]
    assert "training" in lines[-1] and "held out" in lines[-1]
    assert max(map(len, lines)) <= 60


def test_a_high_first_loss_leaves_room_for_the_rest():
    losses = [(9.0, 9.0)] + [(1.5 - 0.01 * n, 1.5) for n in range(20)]
    lines = curves.terminal(history(*losses), height=12).splitlines()
    assert sum("·" in line or "◉" in line for line in lines[:12]) > 5


@pytest.mark.parametrize("losses", [[], [(1.0, 1.0)]])
def test_one_point_is_no_curve(losses):
    assert curves.terminal(history(*losses)) == curves.svg(history(*losses), title="") == ""


@pytest.mark.parametrize(
    "losses",
    [[(1.0, 1.0)] * 3, [(2.0, None), (1.0, None)], [(5.0, 4.0), (1.0, 3.0), (0.5, 3.5)]],
    ids=["flat", "nothing held out", "overfitting"],
)
class TestPictures:
    def test_stays_inside(self, losses):
        for line in curves.terminal(history(*losses), width=50, height=6).splitlines()[:8]:
            assert len(line) <= 50
        picture = ElementTree.fromstring(curves.svg(history(*losses), title="<t & u>"))
        *_, width, height = map(float, picture.attrib["viewBox"].split())
        for item in picture.iter():
            for point in item.attrib.get("points", "").split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width and 0 <= y <= height
        assert picture.find("{*}title").text == "<t & u>"

    def test_the_best_is_marked(self, losses):
        picture = ElementTree.fromstring(curves.svg(history(*losses), title=""))
        measured = [held_out for _, held_out in losses if held_out is not None]
        circles = picture.findall("{*}circle")
        assert len(circles) == (1 if measured else 0)
        if measured:
            words = [item.text for item in picture.findall("{*}text")]
            assert f"{min(measured):.3f}" in words
