"""When things happen in a training: a pure function of the options and the number of steps.

A step is one batch; `step` counts the steps done, so a fresh run is at step 0. Resuming needs nothing
but that number.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

LONG_EPOCH = 1000  # steps: longer epochs are validated in equal parts of at least this length
SHORT_EPOCH = 50  # steps: of many shorter epochs not each is validated
MANY_EPOCHS = 30


_READING_COST = 0.4  # of a step on as many characters: validation has no backward pass
_ROUND_COST = 0.3  # seconds of each validation for previews and saving
_SPARE = 0.92  # of the time that is left: a slower minute


@dataclass(frozen=True)
class Schedule:
    """Epochs, validations and learning rates of a run.

    Args:
        total_steps: Steps of the whole run.
        epoch_steps: Steps of one pass over the text.
        peak: Highest learning rate.
        shape: `cosine` rises over `warmup` steps and falls to 1% of the peak; `constant` stays.
        warmup: Steps of the rise.
    """

    total_steps: int
    epoch_steps: int
    peak: float
    shape: Literal["cosine", "constant"] = "cosine"
    warmup: int = 0

    @property
    def epochs(self) -> int:
        """Passes over the text, a broken last one included."""
        return math.ceil(self.total_steps / self.epoch_steps)

    def position(self, step: int) -> tuple[int, int]:
        """Return (epoch, batch) of the batch that follows `step` finished steps, both from 0."""
        return divmod(step, self.epoch_steps)

    def learning_rate(self, step: int) -> float:
        """Return the rate of the batch that follows `step` steps (SGDR's cosine, arXiv:1608.03983)."""
        if self.shape == "constant":
            return self.peak
        warmup = min(self.warmup, self.total_steps // 2)
        if step < warmup:
            return self.peak * (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, self.total_steps - warmup)
        return self.peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))

    def validates(self, step: int) -> bool:
        """Return whether the held-out text is measured once `step` steps are done.

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

    def steps_in(self, left: float, seconds: float, reading: float) -> int:
        """Return how many steps fit into a time, validations included.

        Args:
            left: Seconds that there are.
            seconds: Of one step.
            reading: Length of the text that a validation reads, in steps of as many characters.
        """
        long_run = dataclasses.replace(self, total_steps=max(1, int(left / seconds)))
        validation = _READING_COST * seconds * reading + _ROUND_COST
        return int(_SPARE * left / (seconds + validation / long_run.spacing))

    @property
    def spacing(self) -> float:
        """Steps between validations, on average."""
        return self.epoch_steps * self._every / self._parts

    @property
    def _parts(self) -> int:
        return max(1, self.epoch_steps // LONG_EPOCH)

    @property
    def _every(self) -> int:
        return max(1, math.ceil(min(self.epochs / MANY_EPOCHS, SHORT_EPOCH / self.epoch_steps)))
