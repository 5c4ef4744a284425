"""Keeps the time of `--minutes`: measures a running training, and moves the end of its schedule."""

import math
from dataclasses import dataclass

from lstmega.training.schedule import Schedule

_CHECKS = 50  # comparisons of the plan with the clock in the whole time, at most
_CHECK_INTERVAL = 0.5  # seconds between two comparisons, at least
_TOLERANCE = 0.01  # of the whole time: a plan that misses the end by less stays
# Time after which the speed of a step counts for a third: a share of the whole, and seconds at least.
_MEMORY_SHARE, _LEAST_MEMORY = 0.05, 1.0
_NEW_WEIGHT = 0.5  # of the last validation in their average


@dataclass
class Pace:
    """How fast a training is now, and when it has to be over.

    Args:
        budget: Seconds of the whole training.
        end: When everything has to be done, by `time.monotonic`.
        step: Seconds of a step; what was measured first is forgotten like any other step.
        validation: Seconds of a validation, with previews and saves.
        final: Seconds that are needed after the last step, at that speed.
    """

    budget: float
    end: float
    step: float
    validation: float
    final: float

    def __post_init__(self) -> None:
        self._memory = max(_LEAST_MEMORY, _MEMORY_SHARE * self.budget)
        self._first, self._checked = self.step, math.inf
        self._seconds, self._steps = self._memory, self._memory / self.step

    def stepped(self, seconds: float) -> None:
        """Count a step."""
        kept = math.exp(-seconds / self._memory)
        self._seconds, self._steps = kept * self._seconds + seconds, kept * self._steps + 1
        self.step = self._seconds / self._steps

    def validated(self, seconds: float) -> None:
        """Count a validation, with previews and saves."""
        self.validation += _NEW_WEIGHT * (seconds - self.validation)

    def total(self, now: float, done: int, spacing: float) -> int:
        """Return the number of steps after which the training ends in time; at least one.

        Args:
            now: The time, by `time.monotonic`.
            done: Steps done.
            spacing: Steps between validations.
        """
        left = self.end - now - self.final * self.step / self._first - self.validation
        return max(1, done + max(0, int(left / (self.step + self.validation / spacing))))

    def revised(self, now: float, done: int, schedule: Schedule) -> int | None:
        """Return another number of steps, where the schedule would miss its time and it is worth it."""
        interval = max(_CHECK_INTERVAL, self.budget / _CHECKS)
        if math.isinf(self._checked):
            self._checked = now  # the first comparison is one interval away
        if now - self._checked < interval or done < schedule.planned_until:
            return None
        self._checked = now
        total = self.total(now, done, schedule.spacing)
        missed = abs(total - schedule.total_steps) * (self.step + self.validation / schedule.spacing)
        return total if missed > _TOLERANCE * self.budget else None
