"""Predicted beside true classes: the table, what follows from it, and how it shows itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from lstmega.display import formatting as display
from lstmega.display import svg as axes
from lstmega.display.svg import GREY, INK, PAPER, text

_SHADES = " ░▒▓█"  # of a share of a row: below 0.5%, 12.5%, 37.5%, 75%, and above
_BOUNDS = (0.005, 0.125, 0.375, 0.75)
_SHORT = 14  # characters of a class' name in a table


@dataclass(frozen=True)
class ClassScore:
    """One class: how well it was found (precision, recall, F1) and how many examples it had."""

    name: str
    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True)
class Confusion:
    """How many examples of each class were taken for which.

    Args:
        classes: Their names.
        counts: True classes down, predicted ones across, `[classes, classes]`.
    """

    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, classes: Sequence[str], true: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer]
    ) -> "Confusion":
        """Count; both arrays are `[examples]` places of classes."""
        counts = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(counts, (true, predicted), 1)
        return cls(tuple(classes), counts)

    @property
    def accuracy(self) -> float:
        """The share of examples that are right."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def majority(self) -> float:
        """The share of the commonest class: what it takes no model to reach."""
        return float(self.counts.sum(axis=1).max() / self.counts.sum())

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that have examples, each of the same weight."""
        return float(np.mean([score.f1 for score in self.scores() if score.examples]))

    def scores(self) -> list[ClassScore]:
        """Return each class' scores; a class that was never predicted has a precision of 0."""
        right = np.diag(self.counts).astype(float)
        true, predicted = self.counts.sum(axis=1), self.counts.sum(axis=0)
        recall, precision = right / np.maximum(true, 1), right / np.maximum(predicted, 1)
        f1 = 2 * right / np.maximum(true + predicted, 1)  # the harmonic mean of both
        return [
            ClassScore(name, float(p), float(r), float(f), int(count))
            for name, p, r, f, count in zip(self.classes, precision, recall, f1, true, strict=True)
        ]

    def table(self) -> list[list[str]]:
        """Return each class' scores under a head, the class with most examples first."""
        ordered = sorted(self.scores(), key=lambda score: -score.examples)
        rows = [
            [
                display.one_line(s.name, 40),
                f"{s.precision:.3f}",
                f"{s.recall:.3f}",
                f"{s.f1:.3f}",
                f"{s.examples:,}",
            ]
            for s in ordered
        ]
        return [["class", "precision", "recall", "F1", "examples"], *rows]

    def grid(self) -> str:
        """Return the table for a terminal: numbers where they fit, else shades of each row's shares."""
        names = [display.one_line(name, _SHORT) for name in self.classes]
        if len(self.classes) <= 10:
            return display.columns(
                [["true \\ predicted", *names]]
                + [
                    [name, *(f"{count:,}" if count else "." for count in row)]
                    for name, row in zip(names, self.counts.tolist(), strict=True)
                ]
            )
        return self._shaded(names)

    def _shaded(self, names: Sequence[str]) -> str:
        heads = [["", *letters] for letters in zip_longest(*names, fillvalue=" ")]
        rows = [
            [f"{name} ", *(_SHADES[shade] for shade in np.searchsorted(_BOUNDS, shares, side="right"))]
            for name, shares in zip(names, self._shares(), strict=True)
        ]
        table = display.columns([*heads, *rows], gap=" ")
        key = [f"{shade} from {bound:.1%}" for shade, bound in zip(_SHADES[1:], _BOUNDS, strict=True)]
        return "\n".join([table, f"true classes down, predicted across; of a row: {', '.join(key)}"])

    def _shares(self) -> npt.NDArray[np.float64]:
        """Return the shares of each row."""
        shares: npt.NDArray[np.float64] = self.counts / np.maximum(self.counts.sum(axis=1), 1)[:, None]
        return shares

    def svg(self, *, title: str) -> str:
        """Return the table as a picture: each cell's ink is its share of its row."""
        names = [display.one_line(name, 18) for name in self.classes]
        size = 34 if len(names) <= 12 else 24
        left, top = 16 + 8 * max(map(len, names)), 56 + 7 * max(map(len, names))
        shares = self._shares()
        width, height = left + size * len(names) + 24, top + size * len(names) + 40
        parts = [
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
            text((16, 24), display.one_line(title, 72), size=14),
        ]
        for row, name in enumerate(names):
            middle = size * row + size / 2
            parts.append(text((left - 8, top + middle + 4), name, anchor="end"))
            place = f"{left + middle + 4:.1f},{top - 8}"
            parts.append(f'<g transform="translate({place}) rotate(-90)">{text((0, 0), name)}</g>')
            parts += [
                self._cell(row, column, float(shares[row, column]), (left, top, size))
                for column in range(len(names))
            ]
        below = (left, height - 14)
        parts.append(
            text(below, "true classes down, predicted across; ink is the share of a row", ink=GREY)
        )
        shown = f"{self.accuracy:.2%} of {int(self.counts.sum()):,} examples right."
        return axes.svg((max(width, left + 420), height), parts, title=title, description=shown)

    def _cell(self, row: int, column: int, share: float, frame: tuple[int, int, int]) -> str:
        left, top, size = frame
        x, y, count = left + size * column, top + size * row, int(self.counts[row, column])
        hue = "#1b7f4d" if row == column else "#c0392b"
        said = f"{self.classes[row]} taken for {self.classes[column]}: {count:,} ({share:.1%})"
        box = (
            f'<g><title>{axes.escaped(said)}</title><rect x="{x}" y="{y}" width="{size - 1}" '
            f'height="{size - 1}" fill="{hue}" fill-opacity="{0.04 + 0.96 * share:.3f}"/>'
        )
        if not count or (size < 30 and count >= 1000):
            return f"{box}</g>"
        ink = PAPER if share > 0.45 else INK
        return (
            f'{box}<text x="{x + size / 2 - 0.5:.1f}" y="{y + size / 2 + 3:.1f}" fill="{ink}" '
            f'font-size="9" text-anchor="middle">{count}</text></g>'
        )
