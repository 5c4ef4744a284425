"""What each character of a text costs a trained model, in nats; NumPy alone.

Stream protocol: the state is carried from the first character to the last. To read many rows at once the
text is cut into lanes, and each lane reads `WARMUP` characters of its predecessor before it counts.

Window protocol, nanoGPT's habit: equal pieces, each read from the zero state. Its numbers are worse,
because a model begins each window in ignorance; they are there for comparison.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError
from lstmega.inference.decoder import Array, Decoder, States, kept

WARMUP = 256  # characters
_MOST_ROWS = 64
_LEAST_LANE = 512  # characters: shorter lanes would mostly warm up

Costs = npt.NDArray[np.float64]
Done = Callable[[int, int], None]  # (characters read, of how many)


@dataclass(frozen=True)
class Step:
    """What a model makes of one more character in each lane.

    Args:
        places: Where in the text the characters stand that were read, `[counted]`.
        counted: Which rows they are in, `[rows]`; a short last lane has ended before the others.
        logits: Of the character after each, `[rows, vocabulary]`.
        states: After each; every array is `[units, rows]`.
    """

    places: npt.NDArray[np.intp]
    counted: npt.NDArray[np.bool_]
    logits: Array
    states: States


def stream(
    decoder: Decoder, ids: npt.NDArray[np.integer], *, rows: int | None = None, done: Done | None = None
) -> Costs:
    """Return the cost of each id but the first, the state carried from the first to the last.

    Args:
        decoder: The model.
        ids: The text, `[characters]`, at least two.
        rows: Lanes to read side by side; 1 reads exactly, more from a warmed-up state. None takes as
            many as are worth it.
        done: Hears how far it is.

    Returns:
        Nats, `[characters - 1]`.

    Raises:
        UsageError: There is nothing to predict.
    """
    count = _count(ids)
    length, warmup = lane(count, rows)
    return _read(decoder, ids, length, warmup, done)


def windows(
    decoder: Decoder, ids: npt.NDArray[np.integer], *, length: int = 64, done: Done | None = None
) -> Costs:
    """Return the cost of each id but the first, read in windows of `length` from the zero state.

    Args:
        decoder: The model.
        ids: The text, `[characters]`, at least two.
        length: Characters that a window predicts.
        done: Hears how far it is.

    Returns:
        Nats, `[characters - 1]`.

    Raises:
        UsageError: There is nothing to predict, or the length is below 1.
    """
    if length < 1:
        raise UsageError(f"--window must be at least 1. Received: {length}.")
    count = _count(ids)
    costs = np.empty(count)
    block = _MOST_ROWS * length  # rows of one matrix; the cost of a window is its own
    for start in range(0, count, block):
        piece = ids[start : start + block + 1]
        costs[start : start + block] = _read(decoder, piece, length, 0, None)
        if done is not None:
            done(min(start + block, count), count)
    return costs


def _count(ids: npt.NDArray[np.integer]) -> int:
    if len(ids) < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {len(ids)}.")
    return len(ids) - 1


def lane(count: int, rows: int | None = None) -> tuple[int, int]:
    """Return the characters of a lane and those that it reads before it counts.

    Args:
        count: Characters to read.
        rows: Lanes to read side by side; 1 reads exactly, None takes as many as are worth it.
    """
    rows = rows or min(_MOST_ROWS, max(1, count // _LEAST_LANE))
    return -(-count // rows), WARMUP if rows > 1 else 0  # rounded up


def steps(
    decoder: Decoder,
    ids: npt.NDArray[np.integer],
    length: int,
    warmup: int,
    done: Done | None = None,
) -> Iterator[Step]:
    """Read a text in lanes side by side, each from the zero state `warmup` characters before.

    Args:
        decoder: The model.
        ids: The text, `[characters]`, at least one.
        length: Characters of a lane.
        warmup: Characters of its predecessor that a lane reads first; nothing is yielded for them.
        done: Hears how far it is.

    Yields:
        One step of all lanes; together every place of the text once.
    """
    count = len(ids)
    firsts = np.arange(0, count, length)  # [rows]
    states = decoder.zero_states(len(firsts))
    for step in range(-warmup, length):
        positions = firsts + step
        if (positions == 0).any():  # the text's own start: what was read before it was filler
            states = kept(states, positions != 0)
        logits, states = decoder.step(ids[positions.clip(0, count - 1)], states)
        if step >= 0:
            counted = positions < count
            yield Step(positions[counted], counted, logits, states)
        if done is not None and step % 64 == 0:
            done((step + warmup) * count // (length + warmup), count)


def _read(
    decoder: Decoder, ids: npt.NDArray[np.integer], length: int, warmup: int, done: Done | None
) -> Costs:
    costs = np.zeros(len(ids) - 1)
    for step in steps(decoder, ids[:-1], length, warmup, done):
        costs[step.places] = _nats(step.logits[step.counted], ids[step.places + 1])
    return costs


def _nats(logits: npt.NDArray[np.float32], ids: npt.NDArray[np.integer]) -> Costs:
    shifted = (logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
    chosen = shifted[np.arange(len(ids)), ids]
    costs: Costs = np.log(np.exp(shifted).sum(axis=1)) - chosen
    return costs
