"""Labelled sequences as arrays: how they are held out, and how they are read in batches.

All sequences lie in one array, one behind the other. A batch is gathered from it, padded to its longest
row with zeros; models are told the lengths, and no prediction depends on the padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.data.bucketing import grouped, rounded

_SPLIT, _NEAR, _ORDER = range(40, 43)  # one random stream for each purpose
Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Sequences side by side.

    Args:
        inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`; zeros behind a row's length.
        lengths: Valid steps of each row, `[rows]`; at least 1.
        labels: Class of each row, `[rows]`; -1 where a row only fills the batch.
        places: Which example each row is, `[rows]`.
    """

    inputs: Array
    lengths: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    places: Numbers


@dataclass(frozen=True)
class Examples:
    """Sequences and their classes.

    Args:
        values: All steps of all sequences, `[steps]` ids or `[steps, features]` numbers.
        starts: Where each sequence begins, `[examples]`.
        lengths: Its steps, `[examples]`.
        labels: Its class, `[examples]`.
    """

    values: Array
    starts: Numbers
    lengths: Numbers
    labels: Numbers

    @classmethod
    def of(cls, sequences: Sequence[Array], labels: Sequence[int], *, most: int) -> "Examples":
        """Put sequences together; each at least one step long, and cut to `most`."""
        cut = [sequence[:most] for sequence in sequences]
        lengths = np.array([len(sequence) for sequence in cut], np.int64)
        return cls(
            np.concatenate(cut), np.cumsum(lengths) - lengths, lengths, np.array(labels, np.int64)
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, places: Numbers, time: int, rows: int | None = None) -> Batch:
        """Return examples side by side.

        Args:
            places: Which, `[at most rows]`.
            time: Steps of the batch, at least those of the longest.
            rows: Rows of the batch; the last ones fill it, repeating the first.
        """
        filled = np.resize(places, rows or len(places))
        lengths, steps = self.lengths[filled], np.arange(time)
        positions = (self.starts[filled, np.newaxis] + steps).clip(max=len(self.values) - 1)
        inputs = self.values[positions]  # [rows, time, ...]
        valid = steps < lengths[:, np.newaxis]
        inputs = inputs * valid.reshape(valid.shape + (1,) * (inputs.ndim - 2)).astype(inputs.dtype)
        labels = self.labels[filled].astype(np.int32)
        labels[len(places) :] = -1
        return Batch(inputs, lengths.astype(np.int32), labels, filled)


@dataclass(frozen=True)
class Bucketed:
    """Batches of examples of about one length; which meet is drawn anew for each epoch.

    Args:
        examples: What is read.
        places: Which of them, `[examples]`.
        most_rows: Rows of a batch; no more than there are examples.
        seed: Decides which meet, and the order; None is the order of length.
    """

    examples: Examples
    places: Numbers
    most_rows: int
    seed: int | None = None

    @property
    def rows(self) -> int:
        """Rows of a batch."""
        return min(self.most_rows, len(self.places))

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.places) // self.rows)

    @cached_property
    def steps(self) -> float:
        """Steps of a batch, on average over an epoch."""
        return float(np.mean([batch.inputs.shape[1] for batch in self.epoch(0)]))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from `first` on: each example once."""
        lengths = self.examples.lengths[self.places]
        noise = None if self.seed is None else self._random(_NEAR, epoch)
        groups = grouped(lengths, self.rows, noise)  # [batches, rows], -1 where there is none
        order = np.arange(len(groups))
        if self.seed is not None:
            order = self._random(_ORDER, epoch).permutation(len(groups))
        for number in order[first:]:
            group = groups[number][groups[number] >= 0]
            time = int(rounded(lengths[group].max(keepdims=True))[0])
            yield self.examples.batch(self.places[group], time, self.rows)

    def _random(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, purpose, epoch])


def split(
    keys: Sequence[Any], labels: Sequence[Any], validation: float, seed: int, *, distinct: bool
) -> tuple[Numbers, Numbers]:
    """Return which examples to train on and which to hold out, each in order.

    Args:
        keys: What makes a sequence equal to another, `[examples]`.
        labels: Their classes, `[examples]`.
        validation: Share that is held out, rounded down.
        seed: Decides which.
        distinct: Leave out repeats of a sequence with the same class, and keep equal sequences together;
            else any example is drawn, and a sequence may be on both sides.
    """
    if not distinct:
        order = np.random.default_rng([seed, _SPLIT]).permutation(len(keys))
        count = int(len(keys) * validation)
        return np.sort(order[count:]), np.sort(order[:count])
    first: dict[tuple[Any, Any], int] = {}
    for place, pair in enumerate(zip(keys, labels, strict=True)):
        first.setdefault(pair, place)
    different = list(dict.fromkeys(key for key, _ in first))
    drawn = np.random.default_rng([seed, _SPLIT]).permutation(len(different))
    held_out = {different[number] for number in drawn[: int(len(different) * validation)]}
    sides: tuple[list[int], list[int]] = ([], [])
    for (key, _), place in first.items():
        sides[key in held_out].append(place)
    return np.array(sides[0], np.int64), np.array(sides[1], np.int64)
