"""The confusion matrix of a classifier: counts, scores of each class, table and picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from lstmega.display import formatting as display
from lstmega.display.html import render

_SHADES = " ░▒▓█"  # of a share of a row: below 0.5%, 12.5%, 37.5%, 75%, and above
_BOUNDS = (0.005, 0.125, 0.375, 0.75)
_SHORT = 14  # characters of a class' name in a table


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class and the number of its examples."""

    name: str
    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True)
class Confusion:
    """The number of examples of each true class and predicted class.

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
        """Count pairs; `true` and `predicted` are the numbers of classes, `[examples]`."""
        counts = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(counts, (true, predicted), 1)
        return cls(tuple(classes), counts)

    @property
    def accuracy(self) -> float:
        """The fraction of examples that are right."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def majority(self) -> float:
        """The fraction of the most frequent class: the accuracy of always predicting it."""
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
        rows = [
            [
                display.one_line(s.name, 40),
                *(f"{x:.3f}" for x in (s.precision, s.recall, s.f1)),
                f"{s.examples:,}",
            ]
            for s in sorted(self.scores(), key=lambda score: -score.examples)
        ]
        return [["class", "precision", "recall", "F1", "examples"], *rows]

    def grid(self) -> str:
        """Return the table for a terminal: numbers up to ten classes, shades above."""
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
        longest = max(map(display.cells, names))
        size = 34 if len(names) <= 12 else 24  # pixels of a cell
        left, top = 16 + 8 * longest, 56 + 7 * longest
        return render(
            "confusion_matrix.svg",
            title=title,
            heading=display.one_line(title, 72),
            description=f"{self.accuracy:.2%} of {int(self.counts.sum()):,} examples right.",
            width=left + max(size * len(names) + 24, 420),
            height=top + size * len(names) + 40,
            left=left,
            top=top,
            size=size,
            classes=self.classes,
            names=names,
            counts=self.counts.tolist(),
            shares=self._shares().tolist(),
        )
