"""Where each row of each batch starts: a pure function of (length, rows, time, seed, epoch, batch).

`Plan` says what an epoch reads; `Lanes` makes one of a text that goes on, `lines` of a text whose lines
are texts of their own, `windows` of overlapping ones.

The training ids are cut into `rows` contiguous lanes; row r of batch k+1 continues row r of batch k, so
recurrent state can be carried from batch to batch (truncated backpropagation through time). Because
nothing here has a memory, a position in the data is two integers: epoch and batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lstmega.config.options import Order
from lstmega.errors import CorpusError

_OFFSETS, _ORDER, _RESTARTS = range(3)  # one random stream for each purpose


@dataclass(frozen=True)
class Plan:
    """What the batches of an epoch read, each `[batches, rows]` but `times`.

    Args:
        starts: Position of the first input.
        carries: 1 where a row goes on from the state before, 0 from the zero state.
        times: Steps of each batch, `[batches]`.
        firsts: The first step whose target counts; None where all steps of all rows count.
        ends: The step before which the targets count.
    """

    starts: npt.NDArray[np.int64]
    carries: npt.NDArray[np.float32]
    times: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64] | None = None
    ends: npt.NDArray[np.int64] | None = None

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return what there is, in the order of the fields."""
        given = (self.starts, self.carries, self.times, self.firsts, self.ends)
        return tuple(array for array in given if array is not None)

    def after(self, batch: int) -> "Plan":
        """Return the plan of the batches from `batch` on."""
        return Plan(*(array[batch:] for array in self.arrays()))


class Plans(Protocol):
    """A way to read a text in batches."""

    @property
    def rows(self) -> int:
        """Rows of a batch."""
        ...

    @property
    def batches(self) -> int:
        """Batches of one epoch."""
        ...

    @property
    def characters(self) -> float:
        """Characters that a batch predicts, on average over an epoch."""
        ...

    @property
    def masked(self) -> bool:
        """Whether there are steps that do not count."""
        ...

    @property
    def steps(self) -> float:
        """Steps of a batch, on average over an epoch."""
        ...

    def plan(self, epoch: int) -> Plan:
        """Return what an epoch reads."""
        ...


def joined(plans: Sequence[Plan]) -> Plan:
    """Return several plans, one after the other."""
    arrays = zip(*(plan.arrays() for plan in plans), strict=True)
    return Plan(*(np.concatenate(parts) for parts in arrays))


@dataclass(frozen=True)
class Lanes:
    """Batches of `[rows, time_steps]` windows over a text of `length` ids.

    Args:
        length: Training ids; the last one is only ever a target.
        rows: Rows of a batch.
        time_steps: Ids of a row.
        order: `lanes` continues each row from batch to batch; `shuffled` draws the same windows in
            random order, each from the zero state.
        restarts: Share of rows that restart from the zero state at each batch, so that the model also
            knows a cold start.
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
            raise CorpusError(self._too_short())

    @property
    def batches(self) -> int:
        """Batches of one epoch."""
        return max(0, self.length - 1) // self.rows // self.time_steps

    @property
    def characters(self) -> float:
        """Characters that a batch predicts."""
        return float(self.rows * self.time_steps)

    @property
    def steps(self) -> float:
        """Steps of a batch."""
        return float(self.time_steps)

    @property
    def masked(self) -> bool:
        """Whether there are steps that do not count: none."""
        return False

    def plan(self, epoch: int) -> Plan:
        """Return what an epoch reads."""
        times = np.full(self.batches, self.time_steps)
        return Plan(self.starts(epoch), self.carries(epoch), times)

    def starts(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the position of the first input of every window, `[batches, rows]`.

        The ids that do not fill a batch move from the end to the front by a seeded offset, so that
        window borders differ between epochs and every id is seen.
        """
        windows = self.rows * self.batches
        spare = self.length - 1 - windows * self.time_steps
        offset = self._random(_OFFSETS, epoch).integers(spare + 1)
        order = np.arange(windows).reshape(self.rows, self.batches).T  # [batches, rows]
        if self.order == "shuffled":
            order = self._random(_ORDER, epoch).permutation(windows).reshape(order.shape)
        return np.asarray(offset + order * self.time_steps, np.int64)

    def carries(self, epoch: int) -> npt.NDArray[np.float32]:
        """Return 1 where a row goes on from the state before, 0 from the zero state, `[batches, rows]`.

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

    def _too_short(self) -> str:
        needed = self.rows * self.time_steps + 1
        time_steps = min(self.time_steps, max(1, self.length - 1))
        rows = max(1, (self.length - 1) // time_steps)
        advice = f"try --batch-size {rows} --sequence-length {time_steps}"
        return (
            f"The text is too short for one batch of {self.rows} rows x {self.time_steps} characters: "
            f"training needs {needed:,} characters, has {self.length:,}; "
            + (advice if self.length > 1 else "two characters are the least that can be trained on")
            + "."
        )
