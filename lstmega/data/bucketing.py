"""Batches of short sequences: lines of a text, and labelled examples, in buckets of similar length.

Every line is read from the zero state, and from the line end before it, which thereby means "a line
begins"; the line end behind it is the last character to predict. Sequences of similar length share a
batch, padded to the longest row with zeros; padding never counts. A line that is longer than a row
continues in the next batch. Blank lines are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import BatchPlan
from lstmega.errors import CorpusError

_SPLIT, _NEAR, _ORDER = range(20, 23)  # one random stream for each purpose
_EXAMPLE_SPLIT, _EXAMPLE_NEAR, _EXAMPLE_ORDER = range(40, 43)
_PARTS = 4  # a batch's steps are a multiple of a quarter of a power of two: few shapes, little padding

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


def nonblank_lines(text: str) -> list[str]:
    """Return the lines that are not blank, each without its end."""
    return [line for line in text.split("\n") if line.strip()]


def split_lines(text: str, validation: float, seed: int) -> tuple[str, str]:
    """Return the lines to train on and the held-out lines, in their order and with their ends.

    The held-out fraction `validation` of the distinct lines, rounded down, is drawn at random, because
    lists are often sorted. Equal lines stay on one side.
    """
    lines = nonblank_lines(text)
    distinct = list(dict.fromkeys(lines))
    count = int(len(distinct) * validation)
    drawn = np.random.default_rng([seed, _SPLIT]).permutation(len(distinct))[:count]
    held_out = {distinct[number] for number in drawn}
    parts = ([line for line in lines if (line in held_out) is out] for out in (False, True))
    training, tail = ("".join(f"{line}\n" for line in part) for part in parts)
    return training, tail


@dataclass(frozen=True)
class LineBatches:
    """Batches of lines. The ids of a line include the line end behind it, not the one before it.

    Args:
        ends: Positions of the line ends in a text that begins with a line end, `[lines + 1]`.
        most_rows: Rows of a batch; no more than there are lines.
        time_steps: Steps of a row, at most.
        seed: Decides which lines share a batch, and the order of batches; None sorts by length.

    Raises:
        CorpusError: There is no line.
    """

    ends: Ints = field(repr=False)
    most_rows: int
    time_steps: int
    seed: int | None = None

    @classmethod
    def of(cls, text: str, rows: int, time_steps: int, seed: int | None = None) -> "LineBatches":
        """Make batches of a text from `split_lines`; positions refer to `"\\n" + text`."""
        points = np.frombuffer(f"\n{text}".encode("utf-32-le", "surrogatepass"), "<u4")
        return cls(np.flatnonzero(points == ord("\n")), rows, time_steps, seed)

    def __post_init__(self) -> None:
        if len(self.ends) < 2:
            raise CorpusError("--lines needs a line that is not blank. Received: none.")

    @property
    def rows(self) -> int:
        """Rows of a batch."""
        return min(self.most_rows, len(self.lengths))

    @property
    def masked(self) -> bool:
        """Whether a batch has steps that do not count: padding."""
        return True

    @cached_property
    def lengths(self) -> Ints:
        """Characters of each line, its end included, `[lines]`."""
        return np.diff(self.ends)

    @cached_property
    def characters(self) -> float:
        """Characters that a batch predicts, averaged over an epoch."""
        return float(self.lengths.sum() / self.batches)

    @cached_property
    def steps(self) -> float:
        """Time steps of a batch, averaged over an epoch."""
        return float(self.plan(0).times.mean())

    @cached_property
    def batches(self) -> int:
        """Batches of one epoch; the lengths of the batches are the same in every epoch."""
        return sum(-(-int(longest) // self.time_steps) for longest in self._longest())

    def _longest(self) -> Ints:
        """Return the length of the longest line of each group of rows, shortest group first."""
        ordered = np.sort(self.lengths)
        last = np.arange(self.rows - 1, len(ordered) + self.rows - 1, self.rows)
        longest: Ints = ordered[last.clip(max=len(ordered) - 1)]
        return longest

    def plan(self, epoch: int) -> BatchPlan:
        """Return the plan of an epoch: each line once."""
        noise = None if self.seed is None else self._random(_NEAR, epoch)
        groups = grouped(self.lengths, self.rows, noise)  # [groups, rows], -1 where there is no line
        lengths = np.where(groups < 0, 0, self.lengths[groups])
        begins = self.ends[groups]
        parts = []
        for number in self._shuffled(len(groups), epoch):
            pieces = -(-int(lengths[number].max()) // self.time_steps)
            read = np.arange(pieces)[:, np.newaxis] * self.time_steps  # [pieces, 1]
            left = (lengths[number] - read).clip(0, self.time_steps)  # [pieces, rows]
            carries = np.broadcast_to(read > 0, left.shape).astype(np.float32)
            parts.append((begins[number] + read, carries, left))
        starts, carries, left = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        times = np.minimum(self.time_steps, rounded(left.max(axis=1)))
        return BatchPlan(starts, carries, times, np.zeros_like(left), left)

    def _shuffled(self, groups: int, epoch: int) -> npt.NDArray[np.int64]:
        return (
            np.arange(groups) if self.seed is None else self._random(_ORDER, epoch).permutation(groups)
        )

    def _random(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, purpose, epoch])


def grouped(lengths: Ints, rows: int, noise: np.random.Generator | None) -> npt.NDArray[np.int64]:
    """Return which sequences share a batch: those of similar length.

    Args:
        lengths: Of each sequence, `[sequences]`.
        rows: Of a batch.
        noise: Decides which sequences of equal length share a batch; None keeps their order.

    Returns:
        `[batches, rows]`, the shortest first, -1 where there are no more.
    """
    count = len(lengths)
    ties = np.arange(count) if noise is None else noise.permutation(count)
    groups = np.full(-(-count // rows) * rows, -1)
    groups[:count] = np.lexsort((ties, lengths))
    return groups.reshape(-1, rows)


def rounded(lengths: Ints) -> Ints:
    """Return lengths rounded up to one of few: 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, ..."""
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, 16))).astype(np.int64)
    unit = power // _PARTS
    multiple: Ints = -(-lengths // unit) * unit
    return multiple


@dataclass(frozen=True)
class Batch:
    """Sequences side by side.

    Args:
        inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`; zeros behind a row's length.
        lengths: Valid steps of each row, `[rows]`; at least 1.
        labels: Class of each row, `[rows]`; -1 where a row is padding.
        places: The example in each row, `[rows]`.
    """

    inputs: Array
    lengths: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]
    places: Ints


@dataclass(frozen=True)
class Examples:
    """Sequences and their classes, all in one array, one behind the other.

    Args:
        values: All steps of all sequences, `[steps]` ids or `[steps, features]` numbers.
        starts: Where each sequence begins, `[examples]`.
        lengths: Its steps, `[examples]`.
        labels: Its class, `[examples]`.
    """

    values: Array
    starts: Ints
    lengths: Ints
    labels: Ints

    @classmethod
    def of(cls, sequences: Sequence[Array], labels: Sequence[int], *, most: int) -> "Examples":
        """Concatenate sequences, each at least one step long and cut to `most` steps."""
        cut = [sequence[:most] for sequence in sequences]
        lengths = np.array([len(sequence) for sequence in cut], np.int64)
        return cls(
            np.concatenate(cut), np.cumsum(lengths) - lengths, lengths, np.array(labels, np.int64)
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, places: Ints, time: int, rows: int | None = None) -> Batch:
        """Return examples side by side.

        Args:
            places: The examples, `[at most rows]`.
            time: Steps of the batch, at least those of the longest.
            rows: Rows of the batch; examples repeat to fill it.
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
class ExampleBatches:
    """Batches of examples of similar length, drawn anew for each epoch.

    Args:
        examples: All examples.
        places: Those to read, `[examples]`.
        most_rows: Rows of a batch; no more than there are examples.
        seed: Decides which examples share a batch, and the order; None sorts by length.
    """

    examples: Examples
    places: Ints
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
        """Time steps of a batch, averaged over an epoch."""
        return float(np.mean([batch.inputs.shape[1] for batch in self.epoch(0)]))

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from `first` on: each example once."""
        lengths = self.examples.lengths[self.places]
        noise = None if self.seed is None else self._random(_EXAMPLE_NEAR, epoch)
        groups = grouped(lengths, self.rows, noise)  # [batches, rows], -1 where there is none
        order = np.arange(len(groups))
        if self.seed is not None:
            order = self._random(_EXAMPLE_ORDER, epoch).permutation(len(groups))
        for number in order[first:]:
            group = groups[number][groups[number] >= 0]
            time = int(rounded(lengths[group].max(keepdims=True))[0])
            yield self.examples.batch(self.places[group], time, self.rows)

    def _random(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, purpose, epoch])


def split_examples(
    keys: Sequence[Any], labels: Sequence[Any], validation: float, seed: int, *, distinct: bool
) -> tuple[Ints, Ints]:
    """Return which examples to train on and which to hold out, each in order.

    Args:
        keys: Equal for equal sequences, `[examples]`.
        labels: Their classes, `[examples]`.
        validation: Fraction that is held out, rounded down.
        seed: Of the random draw.
        distinct: Leave out repeats of a sequence with the same class, and keep equal sequences on one
            side; otherwise any example is drawn, and a sequence may be on both sides.
    """
    if not distinct:
        order = np.random.default_rng([seed, _EXAMPLE_SPLIT]).permutation(len(keys))
        count = int(len(keys) * validation)
        return np.sort(order[count:]), np.sort(order[:count])
    first: dict[tuple[Any, Any], int] = {}
    for place, pair in enumerate(zip(keys, labels, strict=True)):
        first.setdefault(pair, place)
    different = list(dict.fromkeys(key for key, _ in first))
    drawn = np.random.default_rng([seed, _EXAMPLE_SPLIT]).permutation(len(different))
    held_out = {different[number] for number in drawn[: int(len(different) * validation)]}
    sides: tuple[list[int], list[int]] = ([], [])
    for (key, _), place in first.items():
        sides[key in held_out].append(place)
    return np.array(sides[0], np.int64), np.array(sides[1], np.int64)
