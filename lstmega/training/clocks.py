"""Small memories of a training: loss and speed since the last validation, time of the last save."""

import time
from dataclasses import dataclass

SAVE_INTERVAL = 60.0  # seconds between states, where no number of steps is given
SAVE_SHARE = 0.02  # of the time, at most, for states that nobody asked for by number


@dataclass
class Meter:
    """Loss and speed since the last validation; validations do not count as training time."""

    nats: float = 0.0
    losses: int = 0
    smooth: float | None = None
    busy: float = 0.0  # seconds

    def add(self, nats: float, seconds: float) -> None:
        """Add a step: its loss per character, and the time since the step before."""
        self.nats, self.losses, self.busy = self.nats + nats, self.losses + 1, self.busy + seconds
        weight = max(0.02, 1 / self.losses)
        self.smooth = nats if self.smooth is None else self.smooth + weight * (nats - self.smooth)

    @property
    def mean(self) -> float:
        """Mean loss per character."""
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
        """Return whether to save after `step` steps, the last of which was just validated or not."""
        if self._every is not None:
            return step % self._every == 0 or validated
        since = time.monotonic() - self._last
        return (validated or since >= SAVE_INTERVAL) and since * SAVE_SHARE >= self._cost

    def saved(self, seconds: float) -> None:
        """Hear that a state has been saved, and how long that took."""
        self._last, self._cost = time.monotonic(), seconds
