"""Batches of one text, planned by pure functions of seed, epoch and batch number.

`LaneBatches` cuts the training ids into `rows` contiguous lanes; row r of batch k+1 continues row r of
batch k, so the recurrent state can be carried from batch to batch (truncated backpropagation through
time). `WindowBatches` draws overlapping windows that predict one character each. No class has a state,
so a position in the data is two integers: epoch and batch. `stream_plan` reads a text once, with the
state carried from its first character to its last: every held-out loss is measured that way.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.training import Order
from lstmega.errors import CorpusError, UsageError

_OFFSETS, _ORDER, _RESTARTS, _WINDOWS = 0, 1, 2, 30  # one random stream for each purpose

MAX_MEASURED = 500_000  # held-out characters: of a longer held-out text the first ones are measured
WARMUP = 256  # characters that a lane reads of its predecessor before it counts
STREAM_STEPS = 128  # the length of a lane is a multiple of this, and so is the warm-up
MOST_ROWS = 64  # rows that are read side by side, at most
_LEAST_LANE = 4 * WARMUP  # characters: shorter lanes would mostly warm up


@dataclass(frozen=True)
class BatchPlan:
    """The part of a text that the batches of an epoch read; arrays are `[batches, rows]` except `times`.

    Args:
        starts: Position of the first input.
        carries: 1 where a row continues from the state before, 0 where it starts from the zero state.
        times: Time steps of each batch, `[batches]`.
        firsts: The first step whose target counts; None where all steps of all rows count.
        ends: One past the last step whose target counts.
    """

    starts: npt.NDArray[np.int64]
    carries: npt.NDArray[np.float32]
    times: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64] | None = None
    ends: npt.NDArray[np.int64] | None = None

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays that are not None, in the order of the fields."""
        given = (self.starts, self.carries, self.times, self.firsts, self.ends)
        return tuple(array for array in given if array is not None)

    def after(self, batch: int) -> "BatchPlan":
        """Return the plan of the batches from `batch` on."""
        return BatchPlan(*(array[batch:] for array in self.arrays()))


class TextBatches(ABC):
    """A way to read a text in batches, epoch by epoch; a subclass has the sizes as fields.

    Attributes:
        rows: Rows of a batch.
        time_steps: Time steps of a batch, at most.
        masked: Whether a batch has steps that do not count, such as padding.
    """

    rows: int
    time_steps: int
    masked = False

    @property
    @abstractmethod
    def batches(self) -> int:
        """Batches of one epoch."""

    @property
    def characters(self) -> float:
        """Characters that a batch predicts, averaged over an epoch."""
        return float(self.rows * self.time_steps)

    @property
    def steps(self) -> float:
        """Time steps of a batch, averaged over an epoch."""
        return float(self.time_steps)

    @abstractmethod
    def plan(self, epoch: int) -> BatchPlan:
        """Return the plan of an epoch."""


def joined(plans: Sequence[BatchPlan]) -> BatchPlan:
    """Return several plans as one."""
    arrays = zip(*(plan.arrays() for plan in plans), strict=True)
    return BatchPlan(*(np.concatenate(parts) for parts in arrays))


@dataclass(frozen=True)
class LaneBatches(TextBatches):
    """Batches of `[rows, time_steps]` windows over a text of `length` ids.

    Args:
        length: Training ids; the last one is only ever a target.
        rows: Rows of a batch.
        time_steps: Ids of a row.
        order: `lanes` continues each row from batch to batch; `shuffled` draws the same windows in
            random order, each from the zero state.
        restarts: Fraction of rows that restart from the zero state at each batch, so that the model also
            learns from a cold start.
        seed: Decides each epoch's offset, order and restarts.

    Raises:
        CorpusError: The text is shorter than one batch.
    """

    length: int
    rows: int
    time_steps: int
    order: Order = "lanes"
    restarts: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batches == 0:
            needed = self.rows * self.time_steps + 1
            time_steps = min(self.time_steps, max(1, self.length - 1))
            rows = max(1, (self.length - 1) // time_steps)
            advice = f"try --batch-size {rows} --sequence-length {time_steps}"
            raise CorpusError(
                f"The text is too short for one batch of {self.rows} rows x {self.time_steps} "
                f"characters: training needs {needed:,} characters, has {self.length:,}; "
                f"{advice if self.length > 1 else 'training needs at least two characters'}."
            )

    @property
    def batches(self) -> int:
        return max(0, self.length - 1) // self.rows // self.time_steps

    def plan(self, epoch: int) -> BatchPlan:
        times = np.full(self.batches, self.time_steps)
        return BatchPlan(self.starts(epoch), self.carries(epoch), times)

    def starts(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the position of the first input of every window, `[batches, rows]`.

        Ids that do not fill a batch are skipped: as many as a seeded offset says at the front, the
        others at the end. So window borders differ between epochs, and every id is read in some epoch.
        """
        windows = self.rows * self.batches
        spare = self.length - 1 - windows * self.time_steps
        offset = self._random(_OFFSETS, epoch).integers(spare + 1)
        order = np.arange(windows).reshape(self.rows, self.batches).T  # [batches, rows]
        if self.order == "shuffled":
            order = self._random(_ORDER, epoch).permutation(windows).reshape(order.shape)
        return np.asarray(offset + order * self.time_steps, np.int64)

    def carries(self, epoch: int) -> npt.NDArray[np.float32]:
        """Return which rows continue from the state before: 1, or 0 from zero, `[batches, rows]`.

        An epoch's first batch starts from the zero state, as does every shuffled window.
        """
        shape = (self.batches, self.rows)
        if self.order == "shuffled":
            return np.zeros(shape, np.float32)
        carries = self._random(_RESTARTS, epoch).random(shape) >= self.restarts
        carries[0] = False
        return carries.astype(np.float32)

    def _random(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, epoch])


@dataclass(frozen=True)
class WindowBatches(TextBatches):
    """Batches of overlapping windows `[rows, time_steps]`, after Keras' old text-generation example.

    Each window is read from the zero state, and only the character behind it counts. The windows are
    views of one array of ids, never arrays of their own.

    Args:
        length: Ids of the text.
        rows: Rows of a batch; an incomplete last one is left out of an epoch.
        time_steps: Characters of a window.
        stride: Characters from the start of one window to that of the next.
        seed: Decides the order; None keeps the order of the text.

    Raises:
        CorpusError: The text is shorter than one batch.
    """

    length: int
    rows: int
    time_steps: int
    stride: int
    seed: int | None = None

    masked = True  # all steps but the last

    def __post_init__(self) -> None:
        if self.batches == 0:
            needed = self.time_steps + (self.rows - 1) * self.stride + 1
            raise CorpusError(
                f"The text is too short for one batch of {self.rows} windows of {self.time_steps} "
                f"characters, {self.stride} apart: training needs {needed:,} characters, has "
                f"{self.length:,}; try a smaller --batch-size or --sequence-length."
            )

    @property
    def windows(self) -> int:
        """Windows of the text."""
        return max(0, (self.length - self.time_steps - 1) // self.stride + 1)

    @property
    def batches(self) -> int:
        return self.windows // self.rows

    @property
    def characters(self) -> float:
        return float(self.rows)

    def plan(self, epoch: int) -> BatchPlan:
        count = self.batches * self.rows
        order = np.arange(self.windows)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, _WINDOWS, epoch]).permutation(self.windows)
        numbers = order[:count].reshape(self.batches, self.rows)
        return _plan_of_windows(numbers, self.windows, self.time_steps, self.stride)


def window_plan(length: int, rows: int, time_steps: int, stride: int) -> BatchPlan:
    """Return the plan that reads every window of a text of `length` ids once, in the order of the text.

    Args:
        length: More than `time_steps`.
        rows: Rows of a batch, at most; the last batch is filled with rows that do not count.
        time_steps: Characters of a window.
        stride: Characters from the start of one window to that of the next.
    """
    windows = (length - time_steps - 1) // stride + 1
    rows = min(rows, windows)
    batches = -(-windows // rows)
    numbers = np.arange(batches * rows).reshape(batches, rows)
    return _plan_of_windows(numbers, windows, time_steps, stride)


def _plan_of_windows(
    numbers: npt.NDArray[np.int64], windows: int, time_steps: int, stride: int
) -> BatchPlan:
    """Return the plan that reads windows by number, `[batches, rows]`; the rest is padding."""
    times, ends = np.full(len(numbers), time_steps), np.full(numbers.shape, time_steps)
    firsts = np.where(numbers < windows, time_steps - 1, time_steps)
    starts = numbers.clip(max=windows - 1) * stride
    return BatchPlan(starts, np.zeros(numbers.shape, np.float32), times, firsts, ends)


def measured_part(held_out: str, most: int = MAX_MEASURED, *, lines: bool = False) -> str:
    """Return the part of a held-out text that is measured: its first characters, or whole lines."""
    if len(held_out) <= most:
        return held_out
    part = held_out[:most]
    return part[: part.rfind("\n") + 1] if lines else part


def stream_lanes(count: int, rows: int | None = None) -> tuple[int, int, int]:
    """Return how a text is read once with the state carried along: rows, lane length and warm-up.

    To read many rows side by side the text is cut into lanes, and each lane reads the end of its
    predecessor, the warm-up, before it counts. Training, `evaluate` and `compare` all read this way, so
    that a run has one held-out loss.

    Args:
        count: Characters to predict.
        rows: Lanes; 1 reads exactly, None takes as many as are worth it.
    """
    rows = rows or min(MOST_ROWS, max(1, count // _LEAST_LANE))
    length = -(-count // (rows * STREAM_STEPS)) * STREAM_STEPS  # rounded up
    return rows, length, WARMUP if rows > 1 else 0


def stream_plan(length: int, *, rows: int | None = None) -> BatchPlan:
    """Return the plan that reads a text of `length` ids once with the state carried along.

    Args:
        length: At least two.
        rows: Lanes; None takes as many as are worth it.

    Raises:
        UsageError: The text has no character to predict.
    """
    if length < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {length}.")
    count = length - 1
    rows, lane, warmup = stream_lanes(count, rows)
    lanes = np.arange(rows) * lane  # first counted position of each row
    read = np.arange(-warmup, lane, STREAM_STEPS)
    starts = lanes[None, :] + read[:, None]  # [batches, rows]
    carries = (starts > 0).astype(np.float32)
    carries[0] = 0  # every lane's warm-up begins from the zero state
    left = np.minimum(lanes + lane, count) - starts
    ends = np.where(read[:, None] < 0, 0, left.clip(0, STREAM_STEPS))
    times = np.full(len(starts), STREAM_STEPS)
    return BatchPlan(starts, carries, times, np.zeros_like(ends), ends)
