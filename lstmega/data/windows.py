"""Overlapping windows that predict one character each: how recurrent generators used to be trained.

Each window is read from the zero state, and only the character behind it counts. The windows are views
of one array of ids, never arrays of their own (Keras' old example made a dense one-hot array of them).
"""

from dataclasses import dataclass

import numpy as np

from lstmega.data.batching import Plan
from lstmega.errors import CorpusError

_WINDOWS = 30  # the random stream of this purpose


@dataclass(frozen=True)
class Windows:
    """Batches of `[rows, time_steps]` windows over a text of `length` ids.

    Args:
        length: Ids of the text.
        rows: Rows of a batch; an incomplete last one is left out of an epoch.
        time_steps: Characters of a window.
        stride: Characters from the start of one window to that of the next.
        seed: Decides the order; None is that of the text.

    Raises:
        CorpusError: The text is shorter than one batch.
    """

    length: int
    rows: int
    time_steps: int
    stride: int
    seed: int | None = None

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
        """Batches of one epoch."""
        return self.windows // self.rows

    @property
    def characters(self) -> float:
        """Characters that a batch predicts: one a window."""
        return float(self.rows)

    @property
    def steps(self) -> float:
        """Steps of a batch."""
        return float(self.time_steps)

    @property
    def masked(self) -> bool:
        """Whether there are steps that do not count: all but the last."""
        return True

    def plan(self, epoch: int) -> Plan:
        """Return what an epoch reads."""
        count = self.batches * self.rows
        order = np.arange(self.windows)
        if self.seed is not None:
            order = np.random.default_rng([self.seed, _WINDOWS, epoch]).permutation(self.windows)
        starts = (order[:count] * self.stride).reshape(self.batches, self.rows)
        carries = np.zeros(starts.shape, np.float32)
        times = np.full(self.batches, self.time_steps)
        ends = np.full(starts.shape, self.time_steps)
        return Plan(starts, carries, times, ends - 1, ends)
