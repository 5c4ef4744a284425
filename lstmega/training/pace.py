"""Keeps the time of `--minutes`: measures a running training, and moves the end of its schedule."""

import math
from dataclasses import dataclass

from lstmega.training.schedule import Schedule

_CHECKS = 50  # times, about, that a plan is compared with the clock
_OFTEN = 0.5  # seconds between two, at least
_WORTH = 0.01  # of the whole time: a plan that misses by less stays
_MEMORY = 0.05  # of the whole time, in which a step is forgotten; and
_LEAST_MEMORY = 1.0  # seconds, at least
_WEIGHT = 0.5  # of the last round


@dataclass
class Pace:
    """How fast a training is now, and when it has to be over.

    Args:
        budget: Seconds of the whole training.
        end: When everything has to be done, by `time.monotonic`.
        step: Seconds of a step.
        round: Seconds of a validation, with previews and saves.
        final: Seconds that are needed after the last step, at that speed.
    """

    budget: float
    end: float
    step: float
    round: float
    final: float

    def __post_init__(self) -> None:
        self._first, self._seconds, self._steps, self._checked = self.step, 0.0, 0.0, -math.inf

    def stepped(self, seconds: float) -> None:
        """Count a step; the last twentieth of the time has most of the weight."""
        kept = math.exp(-seconds / max(_LEAST_MEMORY, _MEMORY * self.budget))
        self._seconds, self._steps = kept * self._seconds + seconds, kept * self._steps + 1
        self.step = self._seconds / self._steps

    def validated(self, seconds: float) -> None:
        """Count a validation, with previews and saves."""
        self.round += _WEIGHT * (seconds - self.round)

    def total(self, now: float, done: int, spacing: float) -> int:
        """Return the number of steps after which the training ends in time; at least one more.

        Args:
            now: The time, by `time.monotonic`.
            done: Steps done.
            spacing: Steps between validations.
        """
        left = self.end - now - self.final * self.step / self._first - self.round
        return done + max(1, int(left / (self.step + self.round / spacing)))

    def revised(self, now: float, done: int, schedule: Schedule) -> int | None:
        """Return another number of steps, where the schedule would miss its time and it is worth it."""
        if now - self._checked < max(_OFTEN, self.budget / _CHECKS) or done < schedule.planned_until:
            return None
        self._checked = now
        total = self.total(now, done, schedule.spacing)
        missed = abs(total - schedule.total_steps) * (self.step + self.round / schedule.spacing)
        return total if missed > _WORTH * self.budget else None
