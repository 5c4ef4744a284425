import math
from html.parser import HTMLParser

import numpy as np
import pytest

from lstmega import surprisal
from lstmega.errors import UsageError

NATS = np.log(2) * np.array([0.1, 0.3, 2.5, 12.0, 0.0])
TEXT = "a<b>\n&"


class Reader(HTMLParser):
    """Collects the text of the <pre>, the titles and the tags."""

    def __init__(self, page):
        super().__init__()
        self.text, self.titles, self.classes, self.tags, self._inside = "", [], [], set(), False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self._inside = self._inside or tag == "pre"
        named = dict(attrs)
        if "title" in named:
            self.titles.append(named["title"])
            self.classes.append(named["class"])

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data):
        if self._inside:
            self.text += data


def test_every_character_is_there_with_its_bits():
    read = Reader(surprisal.page(TEXT, NATS, title="t"))
    assert read.text.replace("⏎", "") == TEXT
    assert [title.rsplit(" ", 2)[1] for title in read.titles] == [
        "0.00", "0.10", "0.30", "2.50", "12.00", "0.00",
    ]  # fmt: skip
    assert read.titles[4] == "line end 12.00 bits"


def test_more_bits_a_stronger_shade():
    nats = np.linspace(0, 12, 500) * math.log(2)
    shades = [int(c[1:]) for c in Reader(surprisal.fragment("x" * 501, nats, title="")).classes]
    assert shades == sorted(shades)
    assert set(shades) == set(range(len(surprisal._LIGHT)))
    assert len(surprisal._LIGHT) == len(surprisal._DARK) == len(surprisal._STEPS) + 1


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("ink", "shades"), [("#16161a", "_LIGHT"), ("#f4f4f5", "_DARK")])
def test_text_can_be_read_on_every_shade(ink, shades):
    """WCAG's contrast of at least 4.5."""
    for shade in getattr(surprisal, shades):
        bright, dark = sorted((luminance(ink), luminance(shade)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, shade


def test_nothing_of_the_text_is_markup():
    evil = '<script>alert("x")</script><img src=x onerror=y>\x1b[31m\u202e'
    page = surprisal.page(evil, np.zeros(len(evil) - 1), title=evil, note=evil)
    assert Reader(page).tags.isdisjoint({"script", "img"})
    assert "\x1b" not in page and "\u202e" not in page
    assert "default-src 'none'" in page


def test_a_summary_names_what_surprised_most():
    text = "x" * 50 + "Q" + "x" * 49
    nats = np.full(99, 0.1)
    nats[49] = 9 * math.log(2)
    page = surprisal.fragment(text, nats, title="")
    first = page[page.index("<li>") : page.index("</li>")]
    assert ">Q</i>" in first and "9.0 bits" in first
    assert f"{nats.mean() / math.log(2):.3f} bits per character" in page


def test_long_texts_are_cut_and_that_is_said():
    page = surprisal.page("ab" * 600, np.zeros(1199), title="t", most=100)
    assert len(Reader(page).titles) == 100
    assert "1,100 more characters are not shown" in page


def test_a_page_stays_small():
    text = "the owl and the pussy cat " * 400
    assert len(surprisal.page(text, np.ones(len(text) - 1), title="t")) < 60 * len(text)


@pytest.mark.parametrize(("text", "costs"), [("abc", 3), ("abc", 1), ("", 1)])
def test_one_cost_for_each_character_but_the_first(text, costs):
    with pytest.raises(UsageError, match=f"Received: {costs}"):
        surprisal.page(text, np.zeros(costs), title="")


@pytest.mark.parametrize("text", ["", "a"])
def test_hardly_any_text(text):
    assert Reader(surprisal.page(text, np.zeros(0), title="t")).text == text
