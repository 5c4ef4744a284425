"""A text whose lines are texts of their own: how it is held out, and how it is read in batches.

Every line is read from the zero state, and from the line end before it, which so means "a line begins";
the line end behind it is the last that it has to predict. Lines of about one length share a batch; what
pads a row is not counted. A line that is longer than a row goes on in the next batch. Blank lines are
left out.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import Plan
from lstmega.errors import CorpusError

_SPLIT, _NEAR, _ORDER = range(20, 23)  # one random stream for each purpose, none of them a lane's
_PARTS = 4  # a batch's steps are a multiple of a quarter of a power of two: few shapes, little padding

Ends = npt.NDArray[np.int64]


def kept(text: str) -> list[str]:
    """Return the lines that are not blank, each without its end."""
    return [line for line in text.split("\n") if line.strip()]


def split(text: str, validation: float, seed: int) -> tuple[str, str]:
    """Return the lines to train on and the held-out ones, each in its order and with its end.

    Held out is the share `validation` of the distinct lines, rounded down, drawn at random: lists are
    sorted more often than not. Equal lines stay together.
    """
    lines = kept(text)
    distinct = list(dict.fromkeys(lines))
    count = int(len(distinct) * validation)
    drawn = np.random.default_rng([seed, _SPLIT]).permutation(len(distinct))[:count]
    held_out = {distinct[number] for number in drawn}
    parts = ([line for line in lines if (line in held_out) is out] for out in (False, True))
    training, tail = ("".join(f"{line}\n" for line in part) for part in parts)
    return training, tail


@dataclass(frozen=True)
class Lines:
    """Batches of lines; a line's ids are those behind the line end before it, its own end included.

    Args:
        ends: Position of each line end in a text that begins with one, that included, `[lines + 1]`.
        most_rows: Rows of a batch; no more than there are lines.
        time_steps: Steps of a row, at most.
        seed: Decides which lines meet, and the order of the batches; None is the order of length.

    Raises:
        CorpusError: There is no line.
    """

    ends: Ends = field(repr=False)
    most_rows: int
    time_steps: int
    seed: int | None = None

    @classmethod
    def of(cls, text: str, rows: int, time_steps: int, seed: int | None = None) -> "Lines":
        """Make them of a text as `split` returns it; positions are those in `"\\n" + text`."""
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
        """Whether there are steps that do not count: padding."""
        return True

    @cached_property
    def lengths(self) -> Ends:
        """Characters of each line, its end included, `[lines]`."""
        return np.diff(self.ends)

    @cached_property
    def characters(self) -> float:
        """Characters that a batch predicts, on average over an epoch."""
        return float(self.lengths.sum() / self.batches)

    @cached_property
    def steps(self) -> float:
        """Steps of a batch, on average over an epoch."""
        return float(self.plan(0).times.mean())

    @cached_property
    def batches(self) -> int:
        """Batches of one epoch: of each length as many, so that epochs are equally long."""
        return sum(-(-int(longest) // self.time_steps) for longest in self._longest())

    def _longest(self) -> Ends:
        """Return the length of the longest line of each group of rows, shortest group first."""
        ordered = np.sort(self.lengths)
        last = np.arange(self.rows - 1, len(ordered) + self.rows - 1, self.rows)
        longest: Ends = ordered[last.clip(max=len(ordered) - 1)]
        return longest

    def plan(self, epoch: int) -> Plan:
        """Return what an epoch reads: each line once."""
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
        return Plan(starts, carries, times, np.zeros_like(left), left)

    def _shuffled(self, groups: int, epoch: int) -> npt.NDArray[np.int64]:
        return (
            np.arange(groups) if self.seed is None else self._random(_ORDER, epoch).permutation(groups)
        )

    def _random(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, purpose, epoch])


def grouped(lengths: Ends, rows: int, noise: np.random.Generator | None) -> npt.NDArray[np.int64]:
    """Return which sequences share a batch: those of about one length.

    Args:
        lengths: Of each sequence, `[sequences]`.
        rows: Of a batch.
        noise: Decides which of equal length meet; None is their order.

    Returns:
        `[batches, rows]`, the shortest first, -1 where there are no more.
    """
    count = len(lengths)
    ties = np.arange(count) if noise is None else noise.permutation(count)
    groups = np.full(-(-count // rows) * rows, -1)
    groups[:count] = np.lexsort((ties, lengths))
    return groups.reshape(-1, rows)


def rounded(lengths: Ends) -> Ends:
    """Return lengths rounded up to one of few: 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, ..."""
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, 16))).astype(np.int64)
    unit = power // _PARTS
    multiple: Ends = -(-lengths // unit) * unit
    return multiple
