"""The predictions of a classifier, and their comparison with true classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from lstmega.data.labelled import Labelled
from lstmega.display import formatting as display
from lstmega.display import html
from lstmega.display.result import PageResult, Result
from lstmega.errors import UsageError
from lstmega.evaluation.confusion_matrix import Confusion
from lstmega.runs.run import ClassifierRun

_WIDEST = 50  # characters of a text in a table
_ERRORS = 10  # mistakes that an evaluation lists


@dataclass(frozen=True)
class Prediction:
    """The predicted classes of one sequence.

    Args:
        sequence: The text, or the name of the example.
        probabilities: Class -> probability, the most probable first.
    """

    sequence: str
    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable class."""
        return next(iter(self.probabilities))


@dataclass(frozen=True)
class Predictions(Result, Sequence[Prediction]):
    """One prediction for each sequence."""

    run: str
    items: tuple[Prediction, ...] = field(repr=False)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Prediction, ...]: ...
    def __getitem__(self, place: int | slice) -> Prediction | tuple[Prediction, ...]:
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labels(self) -> list[str]:
        """The most probable class of each sequence."""
        return [item.label for item in self.items]

    def to_dicts(self, top: int | None = None) -> list[dict[str, Any]]:
        """Return the predictions for JSON, with the `top` most probable classes; None keeps all."""
        return [
            {
                "run": self.run,
                "text": item.sequence,
                "class": item.label,
                "probability": item.probabilities[item.label],
                "probabilities": dict(list(item.probabilities.items())[:top]),
            }
            for item in self.items
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Return text, class and probability of each sequence."""
        names = ("text", "class", "probability")
        return [{name: row[name] for name in names} for row in self.to_dicts(0)]

    def table(self, top: int = 3) -> list[list[str]]:
        """Return each text and its most probable classes, without a head."""
        return [
            [
                display.one_line(item.sequence, _WIDEST),
                *(f"{name} {share:.1%}" for name, share in list(item.probabilities.items())[:top]),
            ]
            for item in self.items
        ]

    def _repr_html_(self) -> str:
        rows = self.table()
        head = ["", "likeliest", *("next" for _ in range(len(rows[0]) - 2))] if rows else [""]
        return html.table([head, *rows], f"{self.run}: predictions")


@dataclass(frozen=True)
class ClassifierEvaluation(PageResult):
    """The predictions of a classifier for examples whose class is known.

    Args:
        run: The run's name.
        source: The name of the examples.
        confusion: Predicted and true classes.
        nats_per_example: Mean cost of the true class.
        errors: The most confident mistakes: (text, true class, predicted class, its probability).
    """

    run: str
    source: str
    confusion: Confusion
    nats_per_example: float
    errors: tuple[tuple[str, str, str, float], ...] = ()

    @property
    def accuracy(self) -> float:
        """The fraction of examples that are right."""
        return self.confusion.accuracy

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes, each of the same weight."""
        return self.confusion.macro_f1

    @property
    def examples(self) -> int:
        """Number of examples."""
        return int(self.confusion.counts.sum())

    @property
    def heading(self) -> str:
        return (
            f"{self.run}: {self.source}, {self.examples:,} examples: {self.accuracy:.2%} right, "
            f"macro-F1 {self.macro_f1:.3f}"
        )

    @property
    def remark(self) -> str:
        return (
            f"Always predicting the most frequent class is right in {self.confusion.majority:.2%}. "
            f"The true class costs {display.loss(self.nats_per_example, 'example')}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "run": self.run,
            "source": self.source,
            "examples": self.examples,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "majority": self.confusion.majority,
            "nats_per_example": self.nats_per_example,
            "classes": self.rows(),
            "confusion": self.confusion.counts.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return the scores of each class."""
        return [asdict(score) for score in self.confusion.scores()]

    def _mistakes(self) -> list[list[str]]:
        """Return the rows of a table, the head first; none without mistakes."""
        rows = [
            [display.one_line(text, _WIDEST), true, f"{taken} {share:.1%}"]
            for text, true, taken, share in self.errors
        ]
        return [["most confident mistakes", "true", "predicted"], *rows] if rows else []

    def __str__(self) -> str:
        tables = [display.columns(self.confusion.table()), self.confusion.grid()]
        mistakes = display.columns(self._mistakes())
        return "\n\n".join(filter(None, [self.heading, *tables, self.remark, mistakes]))

    def to_html(self) -> str:
        return html.render("classifier_page.html", **self._values())

    def _repr_html_(self) -> str:
        return html.render("classifier.html", **self._values())

    def _values(self) -> dict[str, Any]:
        picture = self.confusion.svg(title=f"{self.run}: true and predicted classes")
        return {
            "title": self.heading,
            "picture": html.markup(picture),
            "remark": self.remark,
            "classes": self.confusion.table(),
            "mistakes": self._mistakes(),
        }


def predict(run: ClassifierRun, sequences: Sequence[Any], names: Sequence[str]) -> Predictions:
    """Classify sequences.

    Args:
        run: A trained classifier.
        sequences: Texts, or arrays `[time, features]`.
        names: Their names in the result.

    Raises:
        UsageError: The sequences are not of the kind that the run reads.
    """
    rows = run.probabilities(sequences)
    classes = run.record.classes
    items = [
        Prediction(
            name, {classes[place]: float(row[place]) for place in np.argsort(-row, kind="stable")}
        )
        for name, row in zip(names, rows, strict=True)
    ]
    return Predictions(run.name, tuple(items))


def evaluate(
    run: ClassifierRun, data: Labelled, places: npt.NDArray[np.int64], source: str
) -> ClassifierEvaluation:
    """Compare a classifier's predictions with the true classes.

    Args:
        run: A trained classifier.
        data: Labelled sequences of the run's kind.
        places: The numbers of the sequences to read.
        source: Their name in the result.

    Raises:
        UsageError: There is nothing to read, or a class that the run does not know.
    """
    classes, record = {name: number for number, name in enumerate(run.record.classes)}, run.record
    if data.kind != record.data.kind:
        raise UsageError(f"{run.name} reads {record.data.kind}. Received: {data.kind} in {data.name}.")
    if len(places) == 0:
        raise UsageError(f"{run.name} held nothing out. Name other examples with --data.")
    true = [data.labels[place] for place in places.tolist()]
    if odd := sorted(set(true) - classes.keys()):
        raise UsageError(
            f"{run.name} does not know all classes of {data.name}. Received also: {odd[:5]}. "
            f"Accepted: {list(classes)!r:.400}."
        )
    chosen = [data.sequences[place] for place in places.tolist()]
    labels, logs = np.array([classes[name] for name in true]), run.log_probabilities(chosen)
    predicted = logs.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-logs[wrong, predicted[wrong]], kind="stable")][:_ERRORS]
    return ClassifierEvaluation(
        run.name,
        source,
        Confusion.of(record.classes, labels, predicted),
        float(-logs[np.arange(len(labels)), labels].mean()),
        tuple(
            (
                chosen[place] if isinstance(chosen[place], str) else f"example {places[place]:,}",
                true[place],
                record.classes[predicted[place]],
                float(np.exp(logs[place, predicted[place]])),
            )
            for place in surest.tolist()
        ),
    )
