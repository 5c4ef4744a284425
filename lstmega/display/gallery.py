"""Texts of many temperatures side by side below charts, as a page of its own or a notebook cell."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.display.chart import Chart, svg
from lstmega.display.html import escaped, markup, render


@dataclass(frozen=True)
class Source:
    """A passage of the training text that was copied, with the characters around it."""

    where: str  # its place, in words
    before: str
    passage: str
    after: str


@dataclass(frozen=True)
class Piece:
    """A generated text.

    Args:
        text: The text.
        nats: The cost of each character, for tooltips, `[characters]`; None for none.
        ngram_share: The n-gram model's share in each character, for tooltips too.
        copies: `(start, end, number of the source)` of each copied passage.
    """

    text: str
    nats: npt.NDArray[np.float64] | None
    ngram_share: npt.NDArray[np.float64] | None = None
    copies: tuple[tuple[int, int, int], ...] = ()

    def parts(self, tooltips: bool = True) -> Iterator[tuple[str, int, int]]:
        """Yield `(text, length of the copied passage, number of its source)`; new text has zeros."""
        at = 0
        for begin, end, number in self.copies:
            start = max(at, begin)  # passages may overlap
            yield self._new(at, start, tooltips), 0, 0
            yield self.text[start:end], end - begin, number
            at = end
        yield self._new(at, len(self.text), tooltips), 0, 0

    def _new(self, start: int, end: int, tooltips: bool) -> str:
        if self.nats is None or not tooltips:
            return self.text[start:end]
        tips = [f"{chance:.3g}%" for chance in (np.exp(-self.nats[start:end]) * 100).tolist()]
        if self.ngram_share is not None:
            shares = (self.ngram_share[start:end] * 100).tolist()
            tips = [f"{tip}; n-grams {share:.0f}%" for tip, share in zip(tips, shares, strict=True)]
        pairs = zip(self.text[start:end], tips, strict=True)
        return markup("".join(f'<b title="{tip}">{escaped(sign)}</b>' for sign, tip in pairs))


@dataclass(frozen=True)
class Shelf:
    """The texts of one temperature."""

    heading: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Gallery:
    """The content of a page, from top to bottom.

    Args:
        title: The heading.
        note: A sentence below the heading; empty for none.
        prompt: The text before all texts.
        charts: Charts side by side.
        table: The rows of a table, the head first.
        shelves: Texts, a column for each temperature.
        sources: The passages of the training text that marked passages link to.
    """

    title: str
    note: str
    prompt: str
    charts: tuple[Chart, ...]
    table: Sequence[Sequence[str]]
    shelves: tuple[Shelf, ...]
    sources: tuple[Source, ...]

    def page(self) -> str:
        """Return a page of its own."""
        return render("sweep_page.html", **self._values())

    def fragment(self) -> str:
        """Return the same for a notebook cell."""
        return render("sweep.html", **self._values())

    def _values(self) -> dict[str, Any]:
        own = hashlib.sha256(repr(self.title + self.prompt).encode()).hexdigest()[:8]
        return vars(self) | {"own": own, "pictures": [markup(svg(chart)) for chart in self.charts]}
