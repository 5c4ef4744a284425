"""The history of a run: rows in a CSV file, the learning curve as text and as a chart, a verdict.

Curves have only finite losses. An axis may end below the first losses, which are far above the rest: the
first quarter of each curve (one loss of three) counts only up to 1.5 times the range of the rest.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lstmega.display import chart as charts
from lstmega.display.chart import GREY, RED, Axis, Chart, Point, Series, labels

_MOST = 1e15  # of a number in history.csv; above it a chart would have no digits left
_NOISE = 0.01  # nats: a smaller change is none
_TRAIN, _HELD_OUT, _BOTH = "·", "●", "◉"
_NARROWEST = 48  # columns, the length of the legend


@dataclass(frozen=True)
class HistoryRow:
    """One validation. Losses are per character, a classifier's per example.

    Validation losses are None where nothing is held out, the accuracy is None for generators.
    """

    step: int
    epoch: int
    train_nats: float
    validation_nats: float | None
    validation_bits: float | None
    learning_rate: float
    characters_per_second: float
    seconds: float
    validation_accuracy: float | None = None


def terminal(
    rows: Sequence[HistoryRow], *, width: int = 72, height: int = 12, unit: str = "char"
) -> str:
    """Return both losses over the steps as lines of text; empty for less than two rows.

    First losses above the axis are drawn on its top line, and a last line counts them.

    Args:
        rows: The run's history.
        width: Columns of every line, at least 48.
        height: Lines of the curve, at least 4.
        unit: The token of a loss.
    """
    train, held_out = _lines(rows)
    if len(rows) < 2 or not train + held_out:
        return ""
    width, height = max(width, _NARROWEST), max(height, 4)
    vertical = Axis(*_range(train, held_out), height - 1, 0)
    ticks = vertical.ticks(max(3, height // 2 - 1))
    marks = {round(vertical.at(tick)): label for tick, label in zip(ticks, labels(ticks), strict=True)}
    margin = max([5, *map(len, marks.values())])
    horizontal = Axis(rows[0].step, rows[-1].step, 0, width - margin - 3)
    cells: dict[tuple[int, int], str] = {}
    for mark, points in ((_TRAIN, train), (_HELD_OUT, held_out)):
        for step, nats in points:
            place = round(vertical.at(nats)), round(horizontal.at(step))
            cells[place] = mark if cells.get(place, mark) == mark else _BOTH
    lines = []
    for number in range(height):
        drawn = "".join(cells.get((number, column), " ") for column in range(width - margin - 2))
        edge = "┤" if number in marks else "│"
        lines.append(f"{marks.get(number, ''):>{margin}} {edge}{drawn}".rstrip())
    first, last = f"{rows[0].step:,}", f"{rows[-1].step:,} steps"
    foot = " " * (margin + 2) + first + last.rjust(width - margin - 2 - len(first))
    lines += [" " * (margin + 1) + "└" + "─" * (width - margin - 2), foot]
    lines.append(f"nats/{unit}  {_TRAIN} train  {_HELD_OUT} held out  {_BOTH} both")
    above = sum(nats > vertical.high for _, nats in train + held_out)
    if above:
        lines.append(f"{above} losses above {vertical.high:.3g} stand on the top line")
    return "\n".join(lines)


def chart(rows: Sequence[HistoryRow], *, title: str, unit: str = "char") -> Chart:
    """Return the chart of both losses; `unit` is the token of a loss."""
    train, held_out = _lines(rows)
    best = min(held_out, key=lambda point: point[1], default=None)
    marks = () if best is None else ((f"best {best[1]:.3f}", best),)
    return Chart(
        title,
        x_label="steps",
        y_label=_per(unit),
        series=(
            Series("train", train, ink=GREY, dashed=True),
            Series("held out", held_out, ink=RED, marks=marks),
        ),
        x_range=(rows[0].step, rows[-1].step) if rows else None,
        y_range=_range(train, held_out) if train + held_out else None,
        whole=True,
        description=_description(rows, train, held_out, unit) if rows else "",
    )


def svg(rows: Sequence[HistoryRow], *, title: str, unit: str = "char") -> str:
    """Return `chart` as a picture; empty for less than two rows."""
    return charts.svg(chart(rows, title=title, unit=unit), charts.LARGE) if len(rows) > 1 else ""


def figure(rows: Sequence[HistoryRow], *, title: str, unit: str = "char") -> Any:
    """Return `chart` as a matplotlib figure; UsageError where matplotlib is not installed."""
    return charts.figure([chart(rows, title=title, unit=unit)], 7, 4)


def verdict(rows: Sequence[HistoryRow]) -> str:
    """Return a sentence about overfitting or a training that was too short; empty for neither.

    Overfitting: the last held-out loss is more than 0.01 nats above the best, and the training loss
    fell. Too short: the last is the best, and fell by more than 0.01 nats within the last tenth of the
    steps; only validations in that tenth count.
    """
    measured = _held_out(rows)
    if len(measured) < 2:
        return ""
    best, least = min(measured, key=lambda item: item[1])
    last, nats = measured[-1]
    if nats - least > _NOISE:
        said = (
            f"Best at epoch {best.epoch}; since then the held-out loss rose by {nats - least:.3f} nats"
        )
        fall = best.train_nats - last.train_nats  # nan where one is not finite
        trained = f" while the training loss fell by {fall:.3f}: overfitting."
        return said + (trained if math.isfinite(fall) and fall > 0 else ".")
    late = next(loss for row, loss in measured if row.step * 10 >= last.step * 9)
    if best is last and late - nats > _NOISE:
        said = f"The held-out loss was still falling at the end, by {late - nats:.3f} nats"
        return f"{said} in the last tenth of the steps: train longer."
    return ""


def _per(unit: str) -> str:
    return f"nats per {'character' if unit == 'char' else unit}"


def _held_out(rows: Sequence[HistoryRow]) -> list[tuple[HistoryRow, float]]:
    return [
        (row, row.validation_nats)
        for row in rows
        if row.validation_nats is not None and math.isfinite(row.validation_nats)
    ]


def _lines(rows: Sequence[HistoryRow]) -> tuple[list[Point], list[Point]]:
    """Return the training and the held-out losses that are finite."""
    train = [(float(row.step), row.train_nats) for row in rows if math.isfinite(row.train_nats)]
    return train, [(float(row.step), nats) for row, nats in _held_out(rows)]


def _range(train: Sequence[Point], held_out: Sequence[Point]) -> tuple[float, float]:
    nats = [loss for _, loss in [*train, *held_out]]
    late = [loss for line in (train, held_out) for _, loss in line[(len(line) + 1) // 4 :]]
    low = min(nats)
    high = min(max(nats), low + 1.5 * (max(late) - low))
    spare = max(0.0, 0.01 - (high - low)) / 2  # equal losses lie in the middle
    return low - spare, high + spare


def _description(
    rows: Sequence[HistoryRow], train: Sequence[Point], held_out: Sequence[Point], unit: str
) -> str:
    named = [(name, line) for name, line in (("training", train), ("held-out", held_out)) if line]
    parts = [f"{name} loss from {line[0][1]:.3f} to {line[-1][1]:.3f}" for name, line in named]
    said = f"Steps {rows[0].step:,} to {rows[-1].step:,}: {', '.join(parts)} {_per(unit)}."
    return f"{said} {verdict(rows)}".strip()


def columns(rows: Sequence[HistoryRow]) -> list[str]:
    """Return the columns of rows: only classifiers have an accuracy."""
    names = [item.name for item in dataclasses.fields(HistoryRow)]
    classified = any(row.validation_accuracy is not None for row in rows)
    return names if classified else names[:-1]


def to_csv(rows: Sequence[HistoryRow]) -> str:
    """Return history.csv."""
    table = io.StringIO()
    writer = csv.DictWriter(table, columns(rows), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return table.getvalue()


def from_csv(text: str) -> list[HistoryRow]:
    """Return the rows of history.csv.

    Raises:
        ValueError: The text is not one of `to_csv`.
    """
    try:
        return [_row(fields) for fields in csv.DictReader(io.StringIO(text))]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _row(fields: Mapping[str, str]) -> HistoryRow:
    return HistoryRow(
        **{item.name: _cell(item, fields.get(item.name)) for item in dataclasses.fields(HistoryRow)}
    )


def _cell(item: "dataclasses.Field[Any]", text: str | None) -> Any:
    if not text and "None" in str(item.type):
        return None
    number = (int if item.type in (int, "int") else float)(text or "")
    if not abs(number) <= _MOST:
        raise ValueError(f"{item.name} must be a number up to {_MOST:g}. Received: {text!r:.40}")
    return number
