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
_BEFORE = 20  # characters before a peak
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
        measure: What the values are, for the legend.
        lowest: The legend's label of the first shade.
        steps: The values at which the next shade begins, ascending; one less than there are shades.
        light: Colours `#rrggbb` on a light ground, at most 26.
        dark: As many on a dark ground.
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
    """A character that surprised the model most: its place in words, its shade and its cost."""

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
        shades: The CSS class of each character that is shown, `[shown]`.
        remarks: The tooltip of each character that is shown, behind the character itself, `[shown]`.
        start: The place of the first character that is shown.
        note: A sentence below the heading; empty for none.
        mean: Bits per character of the whole text; empty for no summary.
        peaks: The most surprising characters, for the summary.
    """

    palette: Palette
    title: str
    text: str
    shades: Sequence[str]
    remarks: Sequence[str]
    start: int = 0
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
        start, end = self.start, self.start + len(self.shades)
        signs = {character: escaped(character) for character in set(self.text[start:end])}
        drawn = [
            _character(signs[character], shade, escaped(remark))
            for character, shade, remark in zip(
                self.text[start:end], self.shades, self.remarks, strict=True
            )
        ]
        at = 0
        while at < len(drawn):
            line_end = self.text.find("\n", start + at + BLOCK, end) + 1 - start
            stop = min(line_end if line_end > 0 else len(drawn), at + _LONGEST)
            yield "".join(drawn[at:stop])
            at = stop


def _character(sign: str, shade: str, remark: str) -> str:
    if sign == "\n":
        return f"<b class='{shade} n' title='\"⏎\" {remark}'>\n</b>"
    return f"<b class={shade} title='\"{sign}\" {remark}'>{sign}</b>"


_PALETTE = Palette("lstmega-bits", "Bits", 0, _STEPS, _LIGHT, _DARK)


def surprisal(
    text: str,
    nats: npt.NDArray[np.floating],
    *,
    title: str,
    note: str = "",
    remarks: Sequence[str] = (),
    start: int = 0,
    most: int = MOST,
) -> Heatmap:
    """Colour a text by the bits that each character costs a model, below a summary of the whole text.

    Args:
        text: The whole text.
        nats: The cost of each character but the first, `[len(text) - 1]`.
        title: The heading.
        note: A sentence below the heading.
        remarks: Tooltips behind the bits of each character but the first, `[len(text) - 1]`; none for
            the bits only.
        start: The place of the first character to show.
        most: The number of characters to show.

    Raises:
        UsageError: `nats` does not fit the text, or `start` is outside it.
    """
    _check(text, nats, start)
    bits = np.full(len(text), np.nan)
    bits[1:] = np.asarray(nats, np.float64) / math.log(2)
    shown = slice(start, start + max(0, most))
    shades = _PALETTE.shades(bits[shown])
    costs = [f"{cost:z.2f} bits" for cost in bits[shown].tolist()]
    if remarks:
        costs = [f"{cost}; {more}" for cost, more in zip(costs, ["", *remarks][shown], strict=True)]
    if start == 0 and shades:
        shades[0], costs[0] = "first", "first, no cost"  # nothing predicts it
    mean = f"{bits[1:].mean():.3f}" if len(text) > 1 else ""
    return Heatmap(_PALETTE, title, text, shades, costs, start, note, mean, _peaks(text, bits))


def _check(text: str, nats: npt.NDArray[np.floating], start: int) -> None:
    costs = max(0, len(text) - 1)
    if len(nats) != costs:
        raise UsageError(
            f"nats does not fit the text. Received: {len(nats)} costs for {len(text)} characters. "
            f"Accepted: {costs}, one for each character but the first."
        )
    if not 0 <= start <= len(text):
        raise UsageError(
            f"start is no place of the text. Received: {start}. Accepted: from 0 to {len(text)}."
        )


def _peaks(text: str, bits: npt.NDArray[np.float64]) -> list[Peak]:
    worst = np.argsort(-bits[1:], kind="stable")[:_LISTED] + 1
    return [
        Peak(text[max(0, at - _BEFORE) : at], text[at], shade, f"{bits[at]:z.2f}")
        for at, shade in zip(worst.tolist(), _PALETTE.shades(bits[worst]), strict=True)
    ]
