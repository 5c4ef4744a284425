"""The schedule of a training: epochs, validations, learning rate, saves.

`Schedule` is a pure function of the options and the planned number of steps, which `--minutes` may
change on the way (`pace.py`). A step is one batch; `step` counts the steps done, so a fresh run is at
step 0, and a resumed run needs nothing but that number.
"""

import dataclasses
import math
import time
from dataclasses import dataclass

from lstmega.config.training import ScheduleName
from lstmega.runs.record import Planned

LONG_EPOCH = 1000  # steps: longer epochs are validated in equal parts of at least this length
SHORT_EPOCH = 50  # steps: of many shorter epochs not each is validated
MANY_EPOCHS = 30
SAVE_INTERVAL = 60.0  # seconds between training states, where no number of steps is given
SAVE_SHARE = 0.02  # of the training time, at most, for states that are saved by time

READING_COST = 0.4  # of a step on as many characters: validation has no backward pass
ROUND_COST = 0.3  # seconds of each validation for previews and saving


@dataclass(frozen=True)
class Schedule:
    """Epochs, validations and learning rates of a run.

    Args:
        total_steps: Steps of the whole run.
        epoch_steps: Steps of one pass over the training data.
        peak: Highest learning rate.
        shape: `cosine` rises over `warmup` steps and falls to 1% of the peak; `constant` stays.
        warmup: Steps of the rise.
        earlier: Numbers of steps that were planned before, oldest first. A change of plan stretches what
            is left of the cosine.
    """

    total_steps: int
    epoch_steps: int
    peak: float
    shape: ScheduleName = "cosine"
    warmup: int = 0
    earlier: tuple[Planned, ...] = ()

    @property
    def epochs(self) -> int:
        """Passes over the data, including a last partial one."""
        return math.ceil(self.total_steps / self.epoch_steps)

    def position(self, step: int) -> tuple[int, int]:
        """Return (epoch, batch) of the batch that follows `step` finished steps, both from 0."""
        return divmod(step, self.epoch_steps)

    def learning_rate(self, step: int) -> float:
        """Return the rate of the batch that follows `step` steps (SGDR's cosine, arXiv:1608.03983)."""
        if self.shape == "constant":
            return self.peak
        warmup = self._warmup
        if step < warmup:
            return self.peak * (step + 1) / (warmup + 1)
        return self.peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, self._progress(step)))))

    def _progress(self, step: int) -> float:
        """Return the share of the cosine that is behind, from 0."""
        done, start = 0.0, self._warmup
        for plan in (*self.earlier, Planned(until=step, total_steps=self.total_steps)):
            end = min(step, plan.until)
            if end > start:
                done += (1 - done) * (end - start) / max(1, plan.total_steps - start)
                start = end
        return done

    @property
    def _warmup(self) -> int:
        return min(self.warmup, self._first_total // 2)

    @property
    def _first_total(self) -> int:
        return self.earlier[0].total_steps if self.earlier else self.total_steps

    @property
    def planned_until(self) -> int:
        """The step from which on the plan may change: what was done once is done alike again."""
        return max(self._warmup, self.earlier[-1].until if self.earlier else 0)

    def replanned(self, step: int, total_steps: int) -> "Schedule":
        """Return the schedule that ends after another number of steps, decided after `step`."""
        before = Planned(until=step, total_steps=self.total_steps)
        return dataclasses.replace(self, total_steps=total_steps, earlier=(*self.earlier, before))

    def validates(self, step: int) -> bool:
        """Return whether the held-out data is measured once `step` steps are done.

        At the end of every epoch and of the run; within long epochs in equal parts; and of more than
        `MANY_EPOCHS` short epochs only at every n-th.
        """
        if step == self.total_steps:
            return True
        epoch, batch = self.position(step)
        if batch == 0:
            return step > 0 and epoch % self._every == 0
        parts = self._parts
        return batch * parts // self.epoch_steps > (batch - 1) * parts // self.epoch_steps

    @property
    def spacing(self) -> float:
        """Steps between validations, on average."""
        return self.epoch_steps * self._every / self._parts

    @property
    def _parts(self) -> int:
        return max(1, self.epoch_steps // LONG_EPOCH)

    @property
    def _every(self) -> int:
        epochs = math.ceil(self._first_total / self.epoch_steps)
        return max(1, math.ceil(min(epochs / MANY_EPOCHS, SHORT_EPOCH / self.epoch_steps)))


@dataclass
class Meter:
    """Loss and speed since the last validation; validations do not count as training time."""

    nats: float = 0.0
    losses: int = 0
    smooth: float | None = None
    busy: float = 0.0  # seconds

    def add(self, nats: float, seconds: float) -> None:
        """Add a step: its loss per unit, and the time since the step before."""
        self.nats, self.losses, self.busy = self.nats + nats, self.losses + 1, self.busy + seconds
        weight = max(0.02, 1 / self.losses)
        self.smooth = nats if self.smooth is None else self.smooth + weight * (nats - self.smooth)

    @property
    def mean(self) -> float:
        """Mean loss per unit."""
        return self.nats / self.losses


class SaveClock:
    """Decides when a training state is due.

    Args:
        every: Steps between states; None saves by time, and never for more than `SAVE_SHARE` of it.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._last, self._cost = time.monotonic(), 0.0

    def due(self, step: int, *, validated: bool) -> bool:
        """Return whether to save after `step` steps; `validated` means that a validation just ended."""
        if self._every is not None:
            return step % self._every == 0 or validated
        since = time.monotonic() - self._last
        return (validated or since >= SAVE_INTERVAL) and since * SAVE_SHARE >= self._cost

    def saved(self, seconds: float) -> None:
        """Record that a state was saved, and the seconds that it took."""
        self._last, self._cost = time.monotonic(), seconds
