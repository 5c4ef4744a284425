import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from lstmega.display import formatting as display
from lstmega.display import heatmap
from lstmega.errors import UsageError

LN2 = math.log(2)


def page_of(text, nats, **how):
    return heatmap.surprisal(text, nats, **how).page()


def cell_of(text, nats, **how):
    return heatmap.surprisal(text, nats, **how).fragment()


class Reader(HTMLParser):
    """Collects the text of the <pre>, its titles and shades, the whole text, the tags, the blocks."""

    def __init__(self, page):
        super().__init__()
        self.text, self.all, self.titles, self.shades, self.blocks = "", "", [], [], []
        self.tags, self.metas, self._inside = set(), {}, False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        named = dict(attrs)
        self.metas |= {named["http-equiv"]: named["content"]} if "http-equiv" in named else {}
        self._inside = self._inside or tag == "pre"
        if self._inside and tag == "div":
            self.blocks.append(0)
        if self._inside and tag == "b":
            self.titles.append(named["title"])
            self.shades.append(named["class"].split()[0])
            self.blocks[-1] += 1

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data):
        self.all += data
        self.text += data if self._inside else ""


def bits(*values):
    return np.array(values) * LN2


@pytest.mark.parametrize(
    "text",
    ["", "a", "\n", "\n\nx", "a<b>\n&\"'\n", "⏎ \n⏎", "&amp;&#10;</pre></b>", "x\ty  z ", "日本語\n🦉é"],
)
@pytest.mark.parametrize("make", [page_of, cell_of])
def test_the_text_comes_back_exactly(make, text):
    read = Reader(make(text, np.ones(max(0, len(text) - 1)), title="t"))
    assert read.text == text
    assert len(read.titles) == len(text)


def test_a_control_is_shown():
    text = "a\r\x1b[31m\x00\u202e\ud800b"
    page = page_of(text, np.ones(len(text) - 1), title="t")
    assert Reader(page).text == display.plain(text) == "a\\r\\x1b[31m\\x00\\u202e\\ud800b"
    page.encode()  # no half of a surrogate pair is left


def test_every_character_names_its_bits():
    read = Reader(page_of("a'\"<\n x", bits(0.1, 0.354, 30.126, -1e-9, 2, math.inf), title="t"))
    assert read.titles == [
        '"a" first, no cost', '"\'" 0.10 bits', '""" 0.35 bits', '"<" 30.13 bits', '"⏎" 0.00 bits',
        '" " 2.00 bits', '"x" inf bits',
    ]  # fmt: skip


def test_more_bits_a_stronger_shade():
    values = np.linspace(0, 30, 3001)
    shades = Reader(cell_of("x" * 3002, bits(*values), title="")).shades[1:]
    assert shades == sorted(shades)
    assert "".join(sorted(set(shades))) == heatmap._PALETTE.classes
    assert len(heatmap._LIGHT) == len(heatmap._DARK) == len(heatmap._STEPS) + 1


@pytest.mark.parametrize(
    ("cost", "shade"),
    [(0, "a"), (0.24, "a"), (0.26, "b"), (1.9, "e"), (2, "f"), (9.9, "k"), (10.1, "l")],
)
def test_a_shade_begins_at_its_step(cost, shade):
    assert Reader(cell_of("ab", bits(cost), title="")).shades == ["first", shade]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("name", ["LIGHT", "DARK"])
def test_text_can_be_read_on_every_shade(name):
    """WCAG's contrast of at least 4.5, and each shade stands apart from the one before."""
    ink = luminance(getattr(heatmap, f"{name}_INK"))
    contrasts = []
    for shade in getattr(heatmap, f"_{name}"):
        dark, bright = sorted((ink, luminance(shade)))
        contrasts.append((bright + 0.05) / (dark + 0.05))
    assert contrasts == sorted(contrasts, reverse=True) and contrasts[-1] >= 4.5
    assert all(before / after > 1.05 for before, after in pairwise(contrasts))


@pytest.mark.parametrize("make", [page_of, cell_of])
def test_nothing_of_the_text_is_markup(make):
    evil = "<script>alert('x')</script><img src=x onerror=y>' onmouseover='z\x1b[31m\u202e"
    page = make(evil, np.zeros(len(evil) - 1), title=evil, note=evil)
    read = Reader(page)
    assert read.tags <= {
        "html", "head", "meta", "title", "style", "body", "div", "h2", "p", "ol", "li", "b", "pre",
    }  # fmt: skip
    assert "\x1b" not in page and "\u202e" not in page
    assert len(read.titles) == len(evil)
    assert read.all.count(display.plain(evil)) == (4 if make is page_of else 3)


def test_a_page_forbids_all_but_its_style():
    page = page_of("ab", np.ones(1), title="t")
    policy = Reader(page).metas["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'" and "script" not in "".join(policy)
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_a_fragment_touches_nothing_of_a_notebook():
    cell = cell_of("ab", np.ones(1), title="t")
    assert Reader(cell).tags.isdisjoint({"html", "head", "body", "meta", "script"})
    style = cell[cell.index("<style>") + 7 : cell.index("</style>")]
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    assert len(selectors) > 20
    assert all(one.startswith(".lstmega-bits") for selector in selectors for one in selector.split(","))


def test_a_summary_names_what_surprised_most():
    text = "x" * 30 + "\n" + "y" * 19 + "Q" + "x" * 49
    costs = np.full(99, 0.1)
    costs[49], costs[70], costs[29] = 9.126, 5, 40
    cell = cell_of(text, bits(*costs), title="")
    items = [Reader(item).all for item in cell.split("<li>")[1:]]
    assert items[0].startswith("x" * 20 + "⏎ 40.00 bits")
    assert items[1] == "⏎" + "y" * 19 + "Q 9.13 bits"
    assert items[2] == "x" * 20 + "x 5.00 bits"
    assert len(items) == 10
    assert "<b class=k>Q</b>" in cell
    assert f"{costs.mean():.3f} bits per character on average, over 99." in cell


def test_a_legend_names_where_the_shades_begin():
    cell = cell_of("", np.zeros(0), title="")
    legend = Reader(cell[cell.index("<p>Bits, from") : cell.index("<pre")]).all
    assert legend.replace("\xa0", " ").split()[2:] == [
        "0", "0.25", "0.5", "1", "1.5", "2", "3", "4", "5", "6", "8", "10",
    ]  # fmt: skip


class TestLongTexts:
    def test_are_cut_at_the_limit(self):
        total = heatmap.MOST + 1_234
        page = page_of("a" * total, np.ones(total - 1), title="t")
        assert page.count(">a</b>") == heatmap.MOST + 10  # ten are listed above
        assert "Shown are characters 1 to 200,000 of 201,234; 1,234 are left out." in page

    def test_the_summary_is_of_the_whole_text(self, monkeypatch):
        monkeypatch.setattr(heatmap, "MOST", 3)
        page = page_of("0123456789", bits(*range(1, 10)), title="t")
        read = Reader(page)
        assert read.text == "012" and "1 to 3 of 10; 7 are" in page
        assert read.titles == ['"0" first, no cost', '"1" 1.00 bits', '"2" 2.00 bits']
        assert "5.000 bits per character on average, over 9." in page

    def test_a_whole_text_says_nothing(self):
        assert "left out" not in page_of("abc", np.ones(2), title="t")

    def test_stay_small_in_small_blocks(self):
        text = ("It is certain that 'every' <owl> & pussy-cat\n" * 1400)[:60_000]
        page = page_of(text, bits(*np.linspace(0, 99, 59_999)), title="t")
        assert len(page.encode()) < 3_000_000
        read = Reader(page)
        assert read.text == text
        assert min(read.blocks[:-1]) >= heatmap.BLOCK
        assert max(read.blocks) <= heatmap.BLOCK + len(text.partition("\n")[0]) + 1

    def test_a_line_without_end_is_in_blocks_too(self):
        text = "x" * 5_000 + "\n" + "y" * 100
        read = Reader(page_of(text, np.ones(5_100), title="t"))
        assert read.text == text and read.blocks == [2000, 2000, 1001, 100]


@pytest.mark.parametrize(("text", "costs"), [("abc", 3), ("abc", 1), ("", 1), ("a", 1)])
def test_one_cost_for_each_character_but_the_first(text, costs):
    with pytest.raises(UsageError) as caught:
        page_of(text, np.zeros(costs), title="")
    accepted = max(0, len(text) - 1)
    assert str(caught.value) == (
        f"nats does not fit the text. Received: {costs} costs for {len(text)} characters. "
        f"Accepted: {accepted}, one for each character but the first."
    )
