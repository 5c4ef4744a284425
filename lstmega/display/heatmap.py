"""A text with a colour for each character, as a page of its own or a notebook cell."""

import math
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.display.html import escaped, markup, render
from lstmega.errors import UsageError

MOST = 200_000  # characters that are shown
BLOCK = 300  # characters of one block, about
LIGHT_INK, DARK_INK = "#16161a", "#f4f4f5"
_LONGEST = 2000  # characters of one block at most
_BEFORE = 20  # characters shown before a peak
_LISTED = 10  # peaks
_STEPS = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # bits: where the next shade begins
# Even steps of OKLab lightness (Ottosson 2020), from the ground to orange and to rust.
_LIGHT = (
    "#ffffff", "#fff5e4", "#feeacd", "#fedeb9", "#fed2a6", "#fec594", "#fdb884", "#fdab76", "#fc9d69",
    "#fa8f5f", "#f88056", "#f57050",
)  # fmt: skip
_DARK = (
    "#161616", "#251b13", "#321f12", "#3f2411", "#4c2810", "#592d0f", "#67310f", "#753610", "#833a12",
    "#913e15", "#a04319", "#ae471f",
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """The shades of a heatmap.

    Args:
        name: CSS class of the heatmap, with which every rule of its style begins.
        measure: The name of the values.
        lowest: The lowest value.
        steps: The values at which the next shade begins, ascending.
        light, dark: Colours `#rrggbb` on a light and on a dark ground, one more than steps, at most 26.
        ground: The number of the shade that has the colour of the ground.
    """

    name: str
    measure: str
    lowest: float
    steps: tuple[float, ...]
    light: tuple[str, ...]
    dark: tuple[str, ...]
    ground: int = 0

    @property
    def classes(self) -> str:
        """The CSS class of each shade, a letter."""
        return string.ascii_lowercase[: len(self.light)]

    @property
    def edges(self) -> list[str]:
        """The lowest value of each shade, for the legend."""
        return [f"{edge:g}" for edge in (self.lowest, *self.steps)]

    def named(self, items: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each shade's class with its item."""
        return zip(self.classes, items, strict=True)

    def shades(self, values: npt.NDArray[np.floating]) -> list[str]:
        """Return the class of each value's shade, `[characters]`."""
        return [self.classes[shade] for shade in np.searchsorted(self.steps, values, side="right")]


@dataclass(frozen=True)
class Peak:
    """One of the most surprising characters, with the text before it, its shade and its cost."""

    before: str
    character: str
    shade: str
    bits: str


@dataclass(frozen=True)
class Heatmap:
    """A text with a colour for each character.

    Args:
        palette: The colours.
        title: The heading.
        text: The whole text.
        shades: The CSS class of each character that is shown, from the first, `[shown]`.
        remarks: The tooltip of each, after the character itself, `[shown]`.
        note: A sentence below the heading; empty for none.
        mean: Bits per character of the whole text, for the summary.
        peaks: The most surprising characters; none for no summary.
    """

    palette: Palette
    title: str
    text: str
    shades: Sequence[str]
    remarks: Sequence[str]
    note: str = ""
    mean: str = ""
    peaks: Sequence[Peak] = ()

    def page(self) -> str:
        """Return a page of its own."""
        return render("heatmap_page.html", **self._values())

    def fragment(self) -> str:
        """Return the same for a notebook cell."""
        return render("heatmap.html", **self._values())

    def _values(self) -> dict[str, Any]:
        blocks = [markup(block) for block in self._blocks()]
        return vars(self) | {"blocks": blocks, "light_ink": LIGHT_INK, "dark_ink": DARK_INK}

    def _blocks(self) -> Iterator[str]:
        """Yield the text in blocks that a browser lays out only when they are in sight.

        Chromium took 17 s for one block of 60,000 characters, 1 s for blocks of a few lines. A line of
        more than 2,000 characters continues in the next block, without the sign of a line end.
        """
        shown = self.text[: len(self.shades)]
        signs = {character: escaped(character) for character in set(shown)}
        drawn = [
            _character(signs[character], shade, escaped(remark))
            for character, shade, remark in zip(shown, self.shades, self.remarks, strict=True)
        ]
        at = 0
        while at < len(drawn):
            line_end = shown.find("\n", at + BLOCK) + 1
            stop = min(line_end or len(drawn), at + _LONGEST)
            yield "".join(drawn[at:stop])
            at = stop


def _character(sign: str, shade: str, remark: str) -> str:
    if sign == "\n":
        return f"<b class='{shade} n' title='\"⏎\" {remark}'>\n</b>"
    return f"<b class={shade} title='\"{sign}\" {remark}'>{sign}</b>"


_PALETTE = Palette("lstmega-bits", "Bits", 0, _STEPS, _LIGHT, _DARK)


def surprisal(
    text: str, nats: npt.NDArray[np.floating], *, title: str, note: str = "", remarks: Sequence[str] = ()
) -> Heatmap:
    """Colour the first `MOST` characters by their bits, below a summary of the whole text.

    Args:
        text: The whole text.
        nats: The cost of each character but the first, `[len(text) - 1]`.
        title: The heading.
        note: A sentence below the heading.
        remarks: Tooltips after the bits of each character but the first, `[len(text) - 1]`, or none.

    Raises:
        UsageError: `nats` does not fit the text.
    """
    if len(nats) != (costs := max(0, len(text) - 1)):
        raise UsageError(
            f"nats does not fit the text. Received: {len(nats)} costs for {len(text)} characters. "
            f"Accepted: {costs}, one for each character but the first."
        )
    bits = np.full(len(text), np.nan)
    bits[1:] = np.asarray(nats, np.float64) / math.log(2)
    shades = _PALETTE.shades(bits[:MOST])
    tooltips = [f"{cost:z.2f} bits" for cost in bits[:MOST].tolist()]
    if remarks:
        pairs = zip(tooltips, ["", *remarks][:MOST], strict=True)
        tooltips = [f"{cost}; {more}" for cost, more in pairs]
    if shades:
        shades[0], tooltips[0] = "first", "first, no cost"  # nothing predicts it
    mean = f"{bits[1:].mean():.3f}" if len(text) > 1 else ""
    return Heatmap(_PALETTE, title, text, shades, tooltips, note, mean, _peaks(text, bits))


def _peaks(text: str, bits: npt.NDArray[np.float64]) -> list[Peak]:
    worst = np.argsort(-bits[1:], kind="stable")[:_LISTED] + 1
    return [
        Peak(text[max(0, at - _BEFORE) : at], text[at], shade, f"{bits[at]:z.2f}")
        for at, shade in zip(worst.tolist(), _PALETTE.shades(bits[worst]), strict=True)
    ]
