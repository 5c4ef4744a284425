"""Sample token ids, one id for all rows at a time; no text.

logits -> hard constraints -> penalties -> / temperature -> truncation -> Gumbel-max -> ids [rows]
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.inference.adaptation import AdaptiveDecoder
from lstmega.inference.decoder import Array, Ids, States, Stepper, repeat
from lstmega.inference.logits_processors import ENDED, Logits, LogitsProcessor, RowHistory
from lstmega.inference.temperature import Varied

_SMALLEST = np.finfo(np.float64).tiny  # keeps log(0) out of the noise


@dataclass(frozen=True)
class Position:
    """The state of a decoder after a text; any number of texts may continue from it.

    Args:
        ids: The ids that were read, `[time]`.
        logits: Of the next id, `[1, vocabulary]`.
        states: Of one row.
        decoder: The decoder that has adapted to the text; None where none adapts.
    """

    ids: Ids
    logits: Array
    states: States
    decoder: AdaptiveDecoder | None = None


@dataclass(frozen=True)
class GeneratedStep:
    """The sampled ids of all rows at one time step.

    Args:
        ids: `[rows]`; `ENDED` once a row has ended.
        logits: The model's own, before temperature and processors, `[rows, vocabulary]`.
        states: The decoder's before these ids; they may have more rows, which mean nothing.
    """

    ids: npt.NDArray[np.intp]
    logits: Array
    states: States


@dataclass(frozen=True)
class LogitsProcessors:
    """Processors in the order in which they are applied.

    Args:
        constraints: Hard constraints on the model's own logits; a row without any id left ends.
        penalties: Applied to what the constraints leave.
        truncation: Applied to the logits after temperature.
    """

    constraints: Sequence[LogitsProcessor] = ()
    penalties: Sequence[LogitsProcessor] = ()
    truncation: Sequence[Callable[[Logits], Logits]] = ()


def read(decoder: Stepper, ids: Ids, after: Position | None = None) -> Position:
    """Read a text once.

    Args:
        decoder: The model.
        ids: `[time]`, at least one.
        after: The position to continue from; None is the zero state.
    """
    states = decoder.zero_states(1) if after is None else after.states
    logits, states = decoder.read(ids, states)
    return Position(ids if after is None else np.concatenate([after.ids, ids]), logits, states)


def learn(
    decoder: AdaptiveDecoder, ids: Ids, after: Position | None = None, *, own: bool = True
) -> Position:
    """Read a text once, and adapt to it; arguments as for `read`, after a position of this function.

    Args:
        own: False reads without learning.
    """
    states = decoder.zero_states(1) if after is None else after.states
    if after is not None and after.decoder is not None:
        decoder = after.decoder
    learnt, logits, states = (decoder.learn if own else decoder.skip)(ids, states)
    ids = ids if after is None else np.concatenate([after.ids, ids])
    return Position(ids, logits, states, learnt)


def choose(
    logits: npt.NDArray[np.floating],
    temperatures: npt.NDArray[np.float64],
    processors: LogitsProcessors,
    history: RowHistory,
    generators: Sequence[np.random.Generator],
) -> npt.NDArray[np.intp]:
    """Draw one id per row.

    The Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): argmax(logits / temperature + g) has
    the softmax distribution where g = -log(e), e ~ Exp(1). In float64.

    Args:
        logits: `[rows, vocabulary]`; -inf is never drawn.
        temperatures: `[rows]`, finite, at least 0; 0 takes the most probable id, the lowest of equals.
        processors: Constraints, penalties and truncation.
        history: The ids that each row has read and generated.
        generators: One per row.

    Returns:
        Ids `[rows]`, `ENDED` where no id is left.
    """
    scaled: Logits = logits.astype(np.float64, order="C")  # [rows, vocabulary]
    for process in processors.constraints:
        scaled = process(scaled, history)
    ended = np.isneginf(scaled).all(axis=1) | history.ended
    if ended.any():
        scaled = np.where(ended[:, np.newaxis], 0, scaled)
    for process in processors.penalties:
        scaled = process(scaled, history)
    # With the largest at 0 no temperature can make a nan: the others go to -inf at worst.
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled /= np.where(temperatures > 0, temperatures, 1.0)[:, np.newaxis]
    for truncate in processors.truncation:
        scaled = truncate(scaled)
    noise = np.ones_like(scaled)
    for row, generator in enumerate(generators):
        if temperatures[row] > 0:
            generator.standard_exponential(out=noise[row])
    np.maximum(noise, _SMALLEST, out=noise)
    ids: npt.NDArray[np.intp] = (scaled - np.log(noise, out=noise)).argmax(axis=1)
    ids[ended] = ENDED
    return ids  # [rows]


def generate_ids(
    decoder: Stepper,
    start: Position,
    *,
    temperatures: Sequence[float],
    seed: int,
    processors: LogitsProcessors | None = None,
    vary: Varied | None = None,
) -> Iterator[GeneratedStep]:
    """Continue a text: yield one id for each row at a time, until all rows have ended.

    A row's randomness depends on (seed, its temperature, its number among the rows of the same
    temperature) alone, so other rows and their order do not change its text. The one exception: a BLAS
    library may round the last bits of a logit (about 1e-7) differently for another number of rows, which
    changes a text where two candidates are that close (in none of 20,000 characters compared). The same
    rows on the same machine always give the same texts.

    Args:
        decoder: The model.
        start: The position that all rows continue from.
        temperatures: One per row.
        seed: From 0 to 2**63 - 1.
        processors: None does not change the logits. They keep state for the rows of one call.
        vary: Temperatures that replace those of the rows.
    """
    processors = processors or LogitsProcessors()
    generators = _generators(temperatures, seed)
    rows, fixed = len(temperatures), np.array(temperatures, np.float64)
    history = RowHistory(start.ids, rows)
    # BLAS kernels take columns by fours: five rows cost more than eight (measured, OpenBLAS).
    padded = np.zeros(rows if rows < 4 else rows + -rows % 4, np.intp)
    logits, states = np.repeat(start.logits, rows, axis=0), repeat(start.states, len(padded))
    while True:
        now = fixed if vary is None else vary(history)  # [rows]
        ids = choose(logits, now, processors, history, generators)
        if (ids == ENDED).all():
            return
        yield GeneratedStep(ids, logits, states)
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
