"""Choose what follows, a column of ids for all rows at a time; ids only, no text.

logits -> rules of history -> / temperature -> rules of shape -> Gumbel-max -> ids [rows]
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lstmega.inference.decoder import Array, Ids, States, repeat
from lstmega.inference.logits_processors import Filter, Logits
from lstmega.inference.row_history import ENDED, History
from lstmega.inference.temperature import Fixed, Varied

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


@dataclass(frozen=True)
class Position:
    """A decoder after a text: a value, from which any number of texts may go on.

    Args:
        ids: What was read, `[time]`.
        logits: Of the next id, `[1, vocabulary]`.
        states: Of one row.
    """

    ids: Ids
    logits: Array
    states: States


@dataclass(frozen=True)
class Column:
    """What was chosen for all rows at one place.

    Args:
        ids: `[rows]`; `ENDED` from where nothing may follow.
        logits: The model's own, before temperature and rules, `[rows, vocabulary]`.
    """

    ids: npt.NDArray[np.intp]
    logits: Array


@dataclass(frozen=True)
class Rules:
    """What may follow.

    Args:
        hard: Hold always; a row to which they leave nothing ends. On the model's own logits.
        soft: Follow, in their order, on what these left.
        shape: Follow, in their order, on the logits after temperature.
    """

    hard: tuple[Filter, ...] = ()
    soft: tuple[Filter, ...] = ()
    shape: tuple[Filter, ...] = ()


def read(decoder: Stepper, ids: Ids, after: Position | None = None) -> Position:
    """Read a text once.

    Args:
        decoder: What makes logits from ids.
        ids: `[time]`, at least one.
        after: Where to go on; None is the zero state.
    """
    states = decoder.zero_states(1) if after is None else after.states
    logits, states = decoder.read(ids, states)
    return Position(ids if after is None else np.concatenate([after.ids, ids]), logits, states)


def choose(
    logits: npt.NDArray[np.floating],
    temperatures: npt.NDArray[np.float64],
    rules: Rules,
    history: History,
    generators: Sequence[np.random.Generator],
) -> npt.NDArray[np.intp]:
    """Draw one id per row.

    The Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): argmax(logits / temperature + g) has
    the softmax distribution where g = -log(e), e ~ Exp(1). In float64.

    Args:
        logits: `[rows, vocabulary]`; -inf is never drawn.
        temperatures: `[rows]`, finite, at least 0; 0 takes the most probable id, the lowest where
            several are.
        rules: What may follow.
        history: What each row has read and written.
        generators: One per row; only its own row draws from it.

    Returns:
        Ids `[rows]`, `ENDED` where nothing may follow.
    """
    scaled: Logits = logits.astype(np.float64, order="C")  # [rows, vocabulary]
    for rule in rules.hard:
        scaled = rule(scaled, history)
    ended = np.isneginf(scaled).all(axis=1) | history.ended
    if ended.any():
        scaled = np.where(ended[:, np.newaxis], 0, scaled)
    for rule in rules.soft:
        scaled = rule(scaled, history)
    # With the largest at 0 no temperature can make a nan: the others go to -inf at worst.
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled /= np.where(temperatures > 0, temperatures, 1.0)[:, np.newaxis]
    for rule in rules.shape:
        scaled = rule(scaled, history)
    noise = np.ones_like(scaled)
    for row, generator in enumerate(generators):
        if temperatures[row] > 0:
            generator.standard_exponential(out=noise[row])
    np.maximum(noise, _SMALLEST, out=noise)
    ids: npt.NDArray[np.intp] = (scaled - np.log(noise, out=noise)).argmax(axis=1)
    ids[ended] = ENDED
    return ids  # [rows]


def columns(
    decoder: Stepper,
    start: Position,
    *,
    temperatures: Sequence[float],
    seed: int,
    rules: Rules | None = None,
    vary: Varied | None = None,
) -> Iterator[Column]:
    """Yield what follows a text, one column of all rows at a time, until all rows have ended.

    A row's randomness comes from (seed, its temperature, its number among the rows of the same
    temperature) alone. So the row of temperature 0.8 writes the same text whatever other
    temperatures and however many repeats are asked for, and in whatever order. The one exception:
    a BLAS library may round the last bits of a logit (about 1e-7) otherwise for another number of
    rows, which changes a text from where two candidates were that close (in none of the 20,000
    characters that we compared). The same rows on the same machine always write the same texts.

    Args:
        decoder: What makes logits from ids; see `Stepper`.
        start: Where all rows go on from.
        temperatures: One per row.
        seed: From 0 to 2**63 - 1.
        rules: What may follow; None is everything. Rules remember the rows of one call.
        vary: Temperatures that replace those of the rows.
    """
    rules = rules or Rules()
    generators = _generators(temperatures, seed)
    rows = len(temperatures)
    temperature = vary or Fixed(temperatures)
    history = History(start.ids, rows)
    # BLAS kernels take columns by fours: five rows cost more than eight (measured, OpenBLAS).
    padded = np.zeros(rows if rows < 4 else rows + -rows % 4, np.intp)
    logits, states = np.repeat(start.logits, rows, axis=0), repeat(start.states, len(padded))
    while True:
        ids = choose(logits, temperature(history), rules, history, generators)
        if (ids == ENDED).all():
            return
        yield Column(ids, logits)
        history.append(ids)
        padded[:rows] = ids.clip(min=0)
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
