import json
import re
from itertools import pairwise

import numpy as np
import pytest

from lstmega.display import heatmap
from lstmega.errors import UsageError
from lstmega.evaluation import activations as units
from lstmega.evaluation.activations import Unit
from tests.display.test_heatmap import Reader, luminance
from tests.planted import FOLLOWS, STILL, PlantedRun

TEXT = "an (owl) and <b> a\n(pussy cat)\tsat & 'sang'\n" * 3


def states_of(run, ids):
    """The states after each character, one step at a time."""
    decoder = run.decoder()
    states, found = decoder.zero_states(1), []
    for position in range(len(ids)):
        _, states = decoder.step(ids[position : position + 1], states)
        found.append(states)
    return found


@pytest.mark.parametrize(
    ("cell", "part"), [("lstm", "memory"), ("lstm", "hidden"), ("gru", "hidden"), ("rnn", "hidden")]
)
@pytest.mark.parametrize("which", ["1.1", "2.1", "2.8"])
def test_activations_equal_a_loop(cell, part, which):
    run = PlantedRun(TEXT, cell=cell, planted=False)
    found = units.unit(run, which, part=part)
    layer, number = (int(one) - 1 for one in which.split("."))
    states = states_of(run, run.vocabulary.encode(TEXT))
    expected = np.array([state[layer][1 if part == "memory" else 0][number, 0] for state in states])
    np.testing.assert_allclose(found.activation, np.tanh(expected) if part == "memory" else expected)
    assert found.activation.shape == (len(TEXT),)


def test_the_planted_unit_is_on_inside():
    run = PlantedRun(TEXT)
    found = units.unit(run, Unit(1, FOLLOWS + 1))
    assert found.part == "memory"
    inside = "".join("1" if value > 0.5 else "0" for value in found.activation[:19])
    assert inside == "0001111000000000000"
    still = units.unit(run, f"1.{STILL + 1}").activation
    np.testing.assert_allclose(still, np.tanh(np.tanh(0.5)), atol=1e-6)


@pytest.mark.parametrize("text", ["1.37", Unit(1, 37)])
def test_a_unit_is_read_as_it_is_written(text):
    assert Unit.parse(text) == Unit(1, 37) and str(Unit(1, 37)) == "1.37"


@pytest.mark.parametrize(
    "text", ["", "1", "1.", "0.1", "1.0", "1.2.3", " 1.2", "1.2\n", "٣.١", "a.b", 1.1, None]
)
def test_a_unit_written_otherwise(text):
    with pytest.raises(UsageError, match=r"--unit must be LAYER\.UNIT"):
        Unit.parse(text)


@pytest.mark.parametrize("which", ["3.1", "1.9", "999999999.1"])
def test_a_unit_that_is_not_there(which):
    with pytest.raises(UsageError, match=rf"--unit must be from 1\.1 to 2\.8 in planted.*'{which}'"):
        units.unit(PlantedRun(TEXT), which)


@pytest.mark.parametrize(("cell", "part"), [("rnn", "memory"), ("lstm", "gate")])
def test_a_part_that_is_not_there(cell, part):
    with pytest.raises(UsageError, match=rf"--part must be one of: .*\({cell}\)"):
        units.unit(PlantedRun(TEXT, cell=cell), "1.1", part=part)


def hand_made(text, *values):
    return units.UnitActivations("a", "b", Unit(1, 2), "memory", text, np.array(values, np.float32))


@pytest.mark.parametrize(
    ("value", "shade"),
    [(-1, "a"), (-0.11, "e"), (-0.09, "f"), (0, "f"), (0.09, "f"), (0.11, "g"), (1, "k")],
)
def test_blue_is_negative_and_red_positive(value, shade):
    read = Reader(hand_made("x", value).to_html())
    assert read.shades == [shade] and read.titles == [f'"x" {value:+.2f}']


@pytest.mark.parametrize("name", ["LIGHT", "DARK"])
def test_text_can_be_read_on_every_colour(name):
    """WCAG's contrast of at least 4.5, and each shade stands apart from the next."""
    ink, colours = luminance(getattr(heatmap, f"{name}_INK")), getattr(units, f"_{name}")
    contrasts = []
    for colour in colours:
        dark, bright = sorted((ink, luminance(colour)))
        contrasts.append((bright + 0.05) / (dark + 0.05))
    assert len(colours) == len(units._STEPS) + 1 and min(contrasts) >= 4.5
    assert contrasts.index(max(contrasts)) == 5
    assert all(max(a, b) / min(a, b) > 1.05 for a, b in pairwise(contrasts))


def test_nothing_of_the_text_is_markup(tmp_path):
    evil = "<script>alert('x')</script>\"\x1b\u202e\n"
    found = hand_made(evil, *np.linspace(-1, 1, len(evil)))
    for page in (found.save_html(tmp_path / "x.html").read_text(), found._repr_html_()):
        read = Reader(page)
        assert "script" not in read.tags and "\x1b" not in page and "\u202e" not in page
        assert read.text == evil.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert "\\x1b" in str(found) and "\x1b" not in str(found)
    assert Reader(found.to_html()).metas["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_fragment_touches_nothing_of_a_notebook():
    cell = hand_made("ab", 0, 1)._repr_html_()
    style = cell[cell.index("<style>") + 7 : cell.index("</style>")]
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    assert len(selectors) > 20
    assert all(one.startswith(".lstmega-unit") for selector in selectors for one in selector.split(","))


def test_json_and_words():
    found = hand_made("ab" * 30, *[0.5] * 59, -1)
    content = json.loads(json.dumps(found.to_dict()))
    assert (content["unit"], content["part"], content["text"]) == ("1.2", "memory", "ab" * 30)
    assert content["activation"] == [0.5] * 59 + [-1]
    assert "From -1.00 to +0.50, +0.47 on average." in str(found)
    assert str(found).count("+0.50  ") == 5 and str(found).count("-1.00  ") == 1
    assert str(found).index("+0.50  ") < str(found).index("-1.00  ")  # the highest come first


def test_peaks_stand_apart():
    order = np.zeros(100, np.float32)
    order[[10, 11, 50, 90]] = -4, -3, -2, -1
    assert units._peaks(order)[:3] == [10, 50, 90]
