"""Choose what follows: temperature, filters, Gumbel-max; ids only, no text.

    logits / temperature -> top-k -> top-p -> min-p -> Gumbel-max -> ids [rows]

`columns` is the engine: one column of ids for all rows at a time, for ever.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lstmega.checks import real, refusal, whole
from lstmega.decoder import Array, Ids, States, repeat
from lstmega.errors import UsageError

Logits = npt.NDArray[np.float64]

_MOST_TEMPERATURES = 1000
_SMALLEST = np.finfo(np.float64).tiny  # keeps log(0) out of the noise


class Stepper(Protocol):
    """What `columns` needs of a decoder; each state array has its rows on the last axis."""

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""
        ...

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [time]`; return logits `[rows, vocabulary]` and new states."""
        ...

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [rows]`; return logits `[rows, vocabulary]` and new states."""
        ...


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Read a list of temperatures as the command line takes it.

    Args:
        text: Numbers and ranges `start:stop:step` (the end included) between commas:
            `0.5,0.8`, `0.2:1.4:0.2`, `0,0.5:1:0.25`.

    Returns:
        The temperatures in the order given, ranges in decimal steps without drift.

    Raises:
        UsageError: A part is no number of at least 0, a range runs backwards, or there are more
            than 1,000.
    """
    temperatures: list[float] = []
    for part in text.split(","):
        temperatures += _temperature_range(part.strip(), text)
    if len(temperatures) > _MOST_TEMPERATURES:
        raise _bad_temperatures(f"lists more than {_MOST_TEMPERATURES} numbers", text)
    return tuple(temperatures)


def _temperature_range(part: str, text: str) -> list[float]:
    try:
        values = [Decimal(piece.strip()) for piece in part.split(":")]
    except InvalidOperation:
        raise _bad_temperatures(f"has {part!r:.60}, which is no number", text) from None
    for value in values:
        if not value.is_finite() or not math.isfinite(float(value)) or value < 0:
            raise _bad_temperatures(f"has {value}, which is not finite and at least 0", text)
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


def _bad_temperatures(what: str, received: object) -> UsageError:
    return UsageError(
        f"--temps {what}. Received: {received!r:.200}. "
        "Accepted: finite numbers of at least 0 and ranges, such as 0.5,0.8 or 0.2:1.4:0.2."
    )


def check_temperatures(values: Iterable[float]) -> list[float]:
    """Return temperatures as floats.

    Raises:
        UsageError: One is not finite or below 0, there is none, or there are more than 1,000.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise refusal("temperatures", "a list of numbers of at least 0", values)
    found = list(values)
    if not 0 < len(found) <= _MOST_TEMPERATURES:
        raise refusal("--temps", f"from 1 to {_MOST_TEMPERATURES} numbers", f"{len(found)} numbers")
    for value in found:
        if real("--temps", value) < 0:
            raise refusal("--temps", "at least 0", value)
    return [float(value) for value in found]


@dataclass(frozen=True)
class Filters:
    """Which ids may follow, from the logits after temperature, in the order of the fields.

    Args:
        top_k: Keep the k most probable ids, all where there are fewer (Fan et al. 2018).
        top_p: Of these keep the fewest most probable ones that together have at least this share
            of the probability (nucleus sampling, Holtzman et al. 2020).
        min_p: Of these keep those at least this many times as probable as the most probable one
            (Nguyen et al. 2024).

    The lower id ranks first among equals. The most probable id always stays.

    Raises:
        UsageError: A value is out of bounds.
    """

    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None:
            whole("--top-k", self.top_k, 1, sys.maxsize)
        if self.top_p is not None and not 0 < real("--top-p", self.top_p) <= 1:
            raise refusal("--top-p", "above 0 and at most 1", self.top_p)
        if self.min_p is not None and not 0 <= real("--min-p", self.min_p) <= 1:
            raise refusal("--min-p", "from 0 to 1", self.min_p)

    def apply(self, logits: Logits) -> Logits:
        """Return the logits with -inf for every id that may not follow.

        Args:
            logits: `[rows, vocabulary]`, after temperature.
        """
        if self.top_k is not None or (self.top_p is not None and self.top_p < 1):
            logits = self._ranked(logits)
        if self.min_p:
            least = logits.max(axis=1, keepdims=True) + math.log(self.min_p)  # [rows, 1]
            logits = np.where(logits >= least, logits, -np.inf)
        return logits

    def _ranked(self, logits: Logits) -> Logits:
        order = np.argsort(-logits, axis=1, kind="stable")  # [rows, rank] -> id
        ranked = np.take_along_axis(logits, order, axis=1)  # [rows, rank]
        if self.top_k is not None:
            ranked[:, self.top_k :] = -np.inf
        if self.top_p is not None and self.top_p < 1:
            mass = np.cumsum(np.exp(ranked - ranked[:, :1]), axis=1)  # [rows, rank]
            ranked[:, 1:][mass[:, :-1] >= self.top_p * mass[:, -1:]] = -np.inf
        kept = np.empty_like(logits)
        np.put_along_axis(kept, order, ranked, axis=1)
        return kept  # [rows, vocabulary]


def choose(
    logits: npt.NDArray[np.floating],
    temperatures: npt.NDArray[np.float64],
    filters: Filters,
    generators: Sequence[np.random.Generator],
) -> npt.NDArray[np.intp]:
    """Draw one id per row.

    The Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): argmax(logits / temperature + g) has
    the softmax distribution where g = -log(e), e ~ Exp(1). In float64.

    Args:
        logits: `[rows, vocabulary]`, at least one finite per row; -inf is never drawn.
        temperatures: `[rows]`, finite, at least 0; 0 takes the most probable id, the lowest where
            several are.
        filters: Applied after temperature (after temperature 1 where it is 0).
        generators: One per row; only its own row draws from it.

    Returns:
        Ids `[rows]`.
    """
    scaled = logits.astype(np.float64, order="C")  # [rows, vocabulary]
    # With the largest at 0 no temperature can make a nan: the others go to -inf at worst.
    scaled -= scaled.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled /= np.where(temperatures > 0, temperatures, 1.0)[:, np.newaxis]
    scaled = filters.apply(scaled)
    noise = np.ones_like(scaled)
    for row, generator in enumerate(generators):
        if temperatures[row] > 0:
            generator.standard_exponential(out=noise[row])
    np.maximum(noise, _SMALLEST, out=noise)
    scaled -= np.log(noise, out=noise)
    ids: npt.NDArray[np.intp] = scaled.argmax(axis=1)
    return ids  # [rows]


def columns(
    decoder: Stepper,
    prompt_ids: Ids,
    *,
    temperatures: Sequence[float],
    seed: int,
    filters: Filters | None = None,
    forbidden: Sequence[int] = (),
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the ids that follow a prompt, one column of all rows at a time, for ever.

    A row's randomness comes from (seed, its temperature, its number among the rows of the same
    temperature) alone. So the row of temperature 0.8 writes the same text whatever other
    temperatures and however many repeats are asked for, and in whatever order. The one exception:
    a BLAS library may round the last bits of a logit (about 1e-7) otherwise for another number of
    rows, which changes a text from where two candidates were that close (in none of the 20,000
    characters that we compared). The same rows on the same machine always write the same texts.

    Args:
        decoder: What makes logits from ids; see `Stepper`.
        prompt_ids: `[time]`, at least one; read once, then repeated to all rows.
        temperatures: One per row.
        seed: From 0 to 2**63 - 1.
        filters: None keeps every id.
        forbidden: Ids that never follow.

    Yields:
        Ids `[rows]`.
    """
    filters = filters or Filters()
    generators = _generators(temperatures, seed)
    by_row = np.array(temperatures, np.float64)  # [rows]
    logits, states = decoder.read(prompt_ids, decoder.zero_states(1))  # [1, vocabulary]
    logits, rows = np.repeat(logits, len(by_row), axis=0), len(by_row)
    # BLAS kernels take columns by fours: five rows cost more than eight (measured, OpenBLAS).
    padded = np.zeros(rows if rows < 4 else rows + -rows % 4, np.intp)
    states = repeat(states, len(padded))
    barred = np.zeros(logits.shape[1], np.float32)  # [vocabulary]
    barred[list(forbidden)] = -np.inf
    while True:
        ids = choose(logits + barred if forbidden else logits, by_row, filters, generators)
        yield ids
        padded[:rows] = ids
        logits, states = decoder.step(padded, states)
        logits = logits[:rows]  # [rows, vocabulary]


def _generators(temperatures: Sequence[float], seed: int) -> list[np.random.Generator]:
    seen: Counter[float] = Counter()
    generators = []
    for temperature in temperatures:
        bits = int(np.float64(temperature).view(np.uint64))
        generators.append(np.random.default_rng([seed, bits, seen[temperature]]))
        seen[temperature] += 1
    return generators
