"""Temperatures, by which logits are divided: the command line's lists and ranges, changes in a text.

Temperature 0 takes the most probable id, 1 keeps the model's own distribution.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from itertools import chain

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_float, usage_error
from lstmega.config.generation import Vary
from lstmega.errors import UsageError
from lstmega.inference.logits_processors import RowHistory

OVER = 40  # tokens of a line within which `line` goes through its temperatures

_MOST_TEMPERATURES = 1000
_HOTTEST = 3  # of the command line: hotter text is noise, and the number mostly a decimal comma
_COMMA = re.compile(r"(\d+),(\d+)")


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Parse the command line's list of temperatures.

    Args:
        text: Numbers and ranges `start:stop:step` (the end included) between commas:
            `0.5,0.8`, `0.2:1.4:0.2`, `0,0.5:1:0.25`.

    Returns:
        The temperatures in the order given, ranges in decimal steps without drift.

    Raises:
        UsageError: A part is not a number from 0 to 3, a range has no end, there are more than 1,000, or
            the list is one number with a decimal comma, such as `0,5`.
    """
    if _COMMA.fullmatch(text.strip()):
        raise _bad_temperatures("reads as one number with a decimal comma", text)
    return _temperatures(text)


def _temperatures(text: str) -> tuple[float, ...]:
    parts = (_temperature_range(part.strip(), text) for part in text.split(","))
    temperatures = tuple(chain.from_iterable(parts))
    if len(temperatures) > _MOST_TEMPERATURES:
        raise _bad_temperatures(f"lists more than {_MOST_TEMPERATURES} numbers", text)
    return temperatures


def _temperature_range(part: str, text: str) -> list[float]:
    try:
        values = [Decimal(piece.strip()) for piece in part.split(":")]
    except InvalidOperation:
        raise _bad_temperatures(f"has {part!r:.60}, which is no number", text) from None
    for value in values:
        if not (value.is_finite() and value >= 0):
            raise _bad_temperatures(f"has {value}, which is not finite and at least 0", text)
    if max(values) > _HOTTEST and len(values) != 2:
        raise _bad_temperatures(f"has {max(values)}, which is above {_HOTTEST}", text)
    if len(values) == 1:
        return [float(values[0])]
    if len(values) != 3:
        raise _bad_temperatures(f"has {part!r:.60}, which is no start:stop:step", text)
    start, stop, step = values
    if step == 0 or stop < start:
        raise _bad_temperatures(f"has {part!r:.60}, which never reaches its end", text)
    if (stop - start) / step > _MOST_TEMPERATURES:
        raise _bad_temperatures(f"lists more than {_MOST_TEMPERATURES} numbers", text)
    return [float(start + number * step) for number in range(int((stop - start) / step) + 1)]


def _bad_temperatures(what: str, received: str) -> UsageError:
    return UsageError(
        f"--temps {what}. Received: {received!r:.200}. {_meant(received)}"
        f"Accepted: numbers from 0 to {_HOTTEST} and ranges, such as 0.5,0.8 or 0.2:1.4:0.2."
    )


def _meant(received: str) -> str:
    """Return a question about decimal commas, where the list is one with points in their place."""
    pointed = _COMMA.sub(r"\1.\2", received.strip())
    with suppress(UsageError):
        if pointed != received.strip() and _temperatures(pointed):
            return f"Did you mean {pointed}? "
    return ""


def check_temperatures(values: Iterable[float]) -> list[float]:
    """Return temperatures as floats.

    Raises:
        UsageError: One is not finite or below 0, there is none, or there are more than 1,000.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise usage_error("temperatures", "a list of numbers of at least 0", values)
    found = list(values)
    if not 0 < len(found) <= _MOST_TEMPERATURES:
        raise usage_error("--temps", f"from 1 to {_MOST_TEMPERATURES} numbers", f"{len(found)} numbers")
    temperatures = [check_float("--temps", value) for value in found]
    if min(temperatures) < 0:
        raise usage_error("--temps", "at least 0", min(temperatures))
    return temperatures


class Varied:
    """Temperatures that change within each text, after textgenrnn's cycled lists.

    Args:
        temperatures: The cycle.
        by: `char` takes the next one for each token and begins again after the last; `word` for each
            word; `line` moves evenly from the first to the last within the first `OVER` tokens of a
            line, and keeps the last until the line ends.
        ends: Ids that end a word (white space) or a line.
        rows: Texts that are generated side by side.
    """

    def __init__(self, temperatures: Sequence[float], by: Vary, ends: Iterable[int], rows: int) -> None:
        self._temperatures = np.array(temperatures, np.float64)
        self._by = by
        self._ends = np.array(sorted(ends), np.intp)
        self._read = 0  # ids of each row that are counted below
        self._words = np.zeros(rows, np.intp)  # ended so far
        self._places = np.zeros(rows, np.intp)  # tokens since the last end
        self._inside = np.zeros(rows, np.bool_)  # whether a word has begun

    def __call__(self, history: RowHistory) -> npt.NDArray[np.float64]:
        """Return the temperatures of the next ids, `[rows]`."""
        for column in history.written[:, self._read :].T:
            ended = np.isin(column, self._ends)
            self._words += ended & self._inside  # spaces in a row end one word
            self._inside = ~ended
            self._places = np.where(ended, 0, self._places + 1)
        self._read = history.length
        count = len(self._temperatures)
        if self._by == "line":
            shares = np.minimum(self._places / OVER, 1) * (count - 1)
            found: npt.NDArray[np.float64] = np.interp(shares, np.arange(count), self._temperatures)
        else:
            turns = self._words if self._by == "word" else np.full_like(self._words, history.length)
            found = self._temperatures[turns % count]
        return found
