"""Batches of short sequences, in buckets of similar length: lines of a text, and labelled examples.

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

from lstmega.data.batching import BatchPlan, TextBatches
from lstmega.data.vocabulary import code_points
from lstmega.errors import CorpusError

_LINE_SPLIT, _EXAMPLE_SPLIT = 20, 40  # one random stream for each purpose
_LINE_STREAMS, _EXAMPLE_STREAMS = (21, 22), (41, 42)  # ties between equal lengths, order of batches
_CHUNK = 1 << 20  # characters searched for line ends at a time: bounds the memory
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
    held_out = _drawn(list(dict.fromkeys(lines)), validation, [seed, _LINE_SPLIT])
    parts: tuple[list[str], list[str]] = ([], [])
    for line in lines:
        parts[line in held_out].append(f"{line}\n")
    return "".join(parts[0]), "".join(parts[1])


def _drawn(distinct: Sequence[Any], fraction: float, seed: list[int]) -> set[Any]:
    drawn = np.random.default_rng(seed).permutation(len(distinct))
    return {distinct[number] for number in drawn[: int(len(distinct) * fraction)]}


@dataclass(frozen=True)
class LineBatches(TextBatches):
    """Batches of lines. The ids of a line include the line end behind it, not the one before it.

    Args:
        ends: Positions of the line ends in a text that begins with a line end, `[lines + 1]`.
        rows: Rows of a batch; reduced to the number of lines.
        time_steps: Steps of a row, at most.
        seed: Decides which lines share a batch, and the order of batches; None sorts by length.

    Raises:
        CorpusError: There is no line.
    """

    ends: Ints = field(repr=False)
    rows: int
    time_steps: int
    seed: int | None = None

    masked = True

    @classmethod
    def of(cls, text: str, rows: int, time_steps: int, seed: int | None = None) -> "LineBatches":
        """Make batches of a text from `split_lines`; positions refer to `"\\n" + text`."""
        ends = [np.zeros(1, np.int64)]
        for start in range(0, len(text), _CHUNK):
            points = code_points(text[start : start + _CHUNK])
            ends.append(np.flatnonzero(points == ord("\n")) + start + 1)
        return cls(np.concatenate(ends), rows, time_steps, seed)

    def __post_init__(self) -> None:
        if len(self.ends) < 2:
            raise CorpusError("--lines needs a line that is not blank. Received: none.")
        object.__setattr__(self, "rows", min(self.rows, len(self.ends) - 1))

    @cached_property
    def lengths(self) -> Ints:
        """Characters of each line, its end included, `[lines]`."""
        return np.diff(self.ends)

    @cached_property
    def _times(self) -> Ints:
        """Time steps of the batches; sorted, they are the same in every epoch."""
        return self.plan(0).times

    @property
    def batches(self) -> int:
        return len(self._times)

    @property
    def characters(self) -> float:
        return float(self.lengths.sum() / self.batches)

    @property
    def steps(self) -> float:
        return float(self._times.mean())

    def plan(self, epoch: int) -> BatchPlan:
        parts = []
        for group in _groups(self.lengths, self.rows, self.seed, epoch, _LINE_STREAMS):
            lengths = np.where(group < 0, 0, self.lengths[group])
            pieces = -(-int(lengths.max()) // self.time_steps)
            read = np.arange(pieces)[:, np.newaxis] * self.time_steps  # [pieces, 1]
            left = (lengths - read).clip(0, self.time_steps)  # [pieces, rows]
            carries = np.broadcast_to(read > 0, left.shape).astype(np.float32)
            parts.append((self.ends[group] + read, carries, left))
        starts, carries, left = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        times = np.minimum(self.time_steps, rounded(left.max(axis=1)))
        return BatchPlan(starts, carries, times, np.zeros_like(left), left)


def _groups(lengths: Ints, rows: int, seed: int | None, epoch: int, streams: tuple[int, int]) -> Ints:
    """Return the sequences of each batch, those of similar length together: `[batches, rows]`.

    -1 stands where there is none; without a seed the sequences are sorted by length.
    """
    count = len(lengths)
    groups = np.full(-(-count // rows) * rows, -1).reshape(-1, rows)
    if seed is None:
        groups.flat[:count] = np.argsort(lengths, stable=True)
        return groups
    ties, order = (np.random.default_rng([seed, stream, epoch]) for stream in streams)
    groups.flat[:count] = np.lexsort((ties.permutation(count), lengths))
    return order.permutation(groups)


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
    """Sequences and their classes, concatenated in one array.

    Args:
        values: All steps of all sequences, `[steps]` ids or `[steps, features]` numbers.
        starts: Position of each sequence's first step, `[examples]`.
        lengths: Steps of each sequence, `[examples]`.
        labels: Class of each sequence, `[examples]`.
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
        places: The examples to read, `[examples]`.
        rows: Rows of a batch; reduced to the number of examples.
        seed: Decides which examples share a batch, and the order; None sorts by length.
    """

    examples: Examples
    places: Ints
    rows: int
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", min(self.rows, len(self.places)))

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
        groups = _groups(lengths, self.rows, self.seed, epoch, _EXAMPLE_STREAMS)
        for padded in groups[first:]:
            group = padded[padded >= 0]
            time = int(rounded(lengths[group].max(keepdims=True))[0])
            yield self.examples.batch(self.places[group], time, self.rows)


def split_examples(
    keys: Sequence[Any], labels: Sequence[Any], validation: float, seed: int, *, distinct: bool
) -> tuple[Ints, Ints]:
    """Return the places of the examples to train on and of the held-out examples, each in order.

    Args:
        keys: Equal for equal sequences, `[examples]`.
        labels: Their classes, `[examples]`.
        validation: Held-out fraction, rounded down.
        seed: Seed of the random draw.
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
    held_out = _drawn(list(dict.fromkeys(key for key, _ in first)), validation, [seed, _EXAMPLE_SPLIT])
    sides: tuple[list[int], list[int]] = ([], [])
    for (key, _), place in first.items():
        sides[key in held_out].append(place)
    return np.array(sides[0], np.int64), np.array(sides[1], np.int64)
