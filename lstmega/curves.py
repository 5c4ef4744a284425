"""The learning curve of a run: for a terminal, for a notebook, and what it says in words."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lstmega import display
from lstmega.records import HistoryRow

_NOISE = 0.01  # nats: a smaller rise is none
_TRAIN, _HELD_OUT, _BOTH = "·", "●", "◉"


@dataclass(frozen=True)
class _Axis:
    """Numbers onto places: `low` at 0, `high` at `places`."""

    low: float
    high: float
    places: float

    def at(self, value: float) -> float:
        """Return the place of a value, kept within the axis."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return min(1.0, max(0.0, share)) * self.places


def verdict(rows: Sequence[HistoryRow]) -> str:
    """Say in a sentence when the held-out loss has risen since its best; else nothing."""
    measured = [row for row in rows if row.validation_nats is not None]
    if len(measured) < 2:
        return ""
    best = min(measured, key=lambda row: row.validation_nats or 0.0)
    last = measured[-1]
    rise = (last.validation_nats or 0.0) - (best.validation_nats or 0.0)
    if rise <= _NOISE:
        return ""
    said = f"Best at epoch {best.epoch}; since then the held-out loss rose by {rise:.2f} nats"
    fall = best.train_nats - last.train_nats
    return f"{said} while the training loss fell by {fall:.2f}: overfitting." if fall > 0 else f"{said}."


def terminal(rows: Sequence[HistoryRow], *, width: int = 72, height: int = 12) -> str:
    """Return both losses as lines of text; nothing for less than two validations.

    The first losses are far above the rest. They are cut off where they would take more than half of the
    height: the axis ends at twice the range of the second half of the curve.

    Args:
        rows: The run's history.
        width: Columns, the axis included.
        height: Lines of the curve.
    """
    if len(rows) < 2:
        return ""
    vertical = _vertical(rows, height - 1)
    horizontal = _Axis(rows[0].step, rows[-1].step, width - 9)
    grid = [[" "] * (width - 8) for _ in range(height)]
    for row in rows:
        column = round(horizontal.at(row.step))
        for mark, value in ((_TRAIN, row.train_nats), (_HELD_OUT, row.validation_nats)):
            if value is None:
                continue
            line = grid[height - 1 - round(vertical.at(value))]
            line[column] = mark if line[column] in (" ", mark) else _BOTH
    labelled = {0: vertical.high, height - 1: vertical.low}
    lines = [
        (f"{labelled[number]:5.2f} ┤" if number in labelled else "      │") + "".join(cells).rstrip()
        for number, cells in enumerate(grid)
    ]
    steps = f"{rows[0].step:,}", f"{rows[-1].step:,} steps"
    gap = " " * max(1, width - 7 - len(steps[0]) - len(steps[1]))
    legend = f"nats per character: {_TRAIN} training  {_HELD_OUT} held out  {_BOTH} both"
    return "\n".join(
        [*lines, "      └" + "─" * (width - 8), " " * 7 + steps[0] + gap + steps[1], legend]
    )


def svg(rows: Sequence[HistoryRow], *, title: str) -> str:
    """Return both losses as a picture; nothing for less than two validations.

    Args:
        rows: The run's history.
        title: What is shown.
    """
    if len(rows) < 2:
        return ""
    width, height, left, top = 560.0, 240.0, 60.0, 30.0
    vertical = _vertical(rows, height)
    horizontal = _Axis(rows[0].step, rows[-1].step, width)

    def place(step: int, nats: float) -> tuple[float, float]:
        return left + horizontal.at(step), top + height - vertical.at(nats)

    def line(points: Sequence[tuple[float, float]], colour: str) -> str:
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        return f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="2"/>'

    train = [place(row.step, row.train_nats) for row in rows]
    held_out = [place(row.step, row.validation_nats) for row in rows if row.validation_nats is not None]
    parts = [line(train, "#6b7280"), _text(train[-1], "training", "#6b7280")]
    if held_out:
        parts += [line(held_out, "#c2410c"), _text(held_out[-1], "held out", "#c2410c")]
        best = min((row for row in rows if row.validation_nats is not None), key=_held_out_nats)
        x, y = place(best.step, _held_out_nats(best))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#c2410c"/>')
        parts.append(_text((x - 8, y + 16), f"{_held_out_nats(best):.3f}", "#c2410c", anchor="end"))
    for tick in _ticks(vertical):
        y = top + height - vertical.at(tick)
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#9ca3af" '
            'stroke-opacity=".3"/>'
        )
        parts.append(_text((left - 10, y), f"{tick:g}", "#6b7280", anchor="end"))
    for step in (rows[0].step, rows[-1].step):
        parts.append(
            _text(
                (left + horizontal.at(step), top + height + 20), f"{step:,}", "#6b7280", anchor="middle"
            )
        )
    parts.append(_text((left, 14), "nats per character, by steps", "#6b7280"))
    name = html.escape(display.plain(title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 700 300" width="700" '
        'style="max-width:100%" font-family="system-ui,sans-serif" font-size="13">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _vertical(rows: Sequence[HistoryRow], places: float) -> _Axis:
    losses = [
        [value for value in (row.train_nats, row.validation_nats) if value is not None] for row in rows
    ]
    flat = [value for values in losses for value in values if math.isfinite(value)]
    late = [value for values in losses[len(losses) // 2 :] for value in values if math.isfinite(value)]
    low = min(flat)
    return _Axis(low, max(low + 1e-3, min(max(flat), low + 2 * (max(late) - low))), places)


def _held_out_nats(row: HistoryRow) -> float:
    return math.inf if row.validation_nats is None else row.validation_nats


def _ticks(axis: _Axis) -> list[float]:
    """Return round numbers within the axis, about five."""
    raw = (axis.high - axis.low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(axis.low / step)
    return [round(number * step, 6) for number in range(first, math.floor(axis.high / step) + 1)]


def _text(place: tuple[float, float], words: str, colour: str, *, anchor: str = "start") -> str:
    x, y = place
    dx = 6 if anchor == "start" else 0
    return (
        f'<text x="{x + dx:.1f}" y="{y + 4:.1f}" fill="{colour}" text-anchor="{anchor}">'
        f"{html.escape(words)}</text>"
    )
