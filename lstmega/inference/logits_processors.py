"""Rules for what may follow: each takes logits and history, and returns logits.

-inf means "may not follow". The first three act on a model's own logits, the others on logits after
temperature. Their numbers are checked where they come in, by `WritingOptions`.
"""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lstmega.inference.decoder import log_softmax
from lstmega.inference.row_history import History

Logits = npt.NDArray[np.float64]


class Filter(Protocol):
    """What all rules have in common."""

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return other logits, `[rows, vocabulary]`; those given are left alone."""
        ...


class Banned:
    """Some ids never follow.

    Args:
        ids: Which.
    """

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at the banned ids."""
        barred = logits.copy()
        barred[:, self._ids] = -np.inf
        return barred


class RepetitionPenalty:
    """Make what was there already less likely (Keskar et al. 2019, CTRL): positive logits are divided.

    Args:
        penalty: What they are divided by; negative logits are multiplied. Above 1; below 1 rewards.
        window: How many of the last ids count, the prompt's too; None is all.
    """

    def __init__(self, penalty: float, window: int | None = None) -> None:
        self._penalty = penalty
        self._window = window

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with those of ids in the window made smaller."""
        recent = history.ids if self._window is None else history.ids[:, -self._window :]
        rows, columns = np.nonzero(recent >= 0)
        seen = np.zeros(logits.shape, np.bool_)
        seen[rows, recent[rows, columns]] = True
        penalised = np.where(logits > 0, logits / self._penalty, logits * self._penalty)
        return np.where(seen, penalised, logits)


class NoRepeat:
    """No n ids in a row that were there before (Paulus et al. 2018), the prompt included.

    Where that would leave nothing, it does not hold for that id.

    Args:
        size: n, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._followers: list[dict[bytes, set[int]]] = []
        self._seen = 0

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf where an id would complete such a repetition."""
        self._catch_up(history)
        barred = logits.copy()
        for row, followers in enumerate(self._followers):
            before = history.ids[row, history.ids.shape[1] - self._size + 1 :].tobytes()
            if found := followers.get(before):
                barred[row, list(found)] = -np.inf
                if not np.isfinite(barred[row]).any():
                    barred[row] = logits[row]
        return barred

    def _catch_up(self, history: History) -> None:
        self._followers = self._followers or [{} for _ in range(history.rows)]
        for end in range(max(self._seen, self._size - 1), history.ids.shape[1]):
            for row, followers in enumerate(self._followers):
                before = history.ids[row, end - self._size + 1 : end].tobytes()
                followers.setdefault(before, set()).add(int(history.ids[row, end]))
        self._seen = history.ids.shape[1]


class TopK:
    """Only the k likeliest ids, all where there are fewer (Fan et al. 2018).

    Args:
        k: At least 1. The lower id ranks first among equals.
    """

    def __init__(self, k: int) -> None:
        self._k = k

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at all but the k likeliest."""
        order = np.argsort(-logits, axis=1, kind="stable")  # [rows, rank] -> id
        return _without(logits, order[:, self._k :])


class TopP:
    """Only the fewest likeliest ids that have this probability together (Holtzman et al. 2020).

    Args:
        p: Above 0 and at most 1. The lower id ranks first among equals; the likeliest always stays.
    """

    def __init__(self, p: float) -> None:
        self._p = p

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at what is beyond the nucleus."""
        if self._p == 1:
            return logits
        return _nucleus(logits, np.argsort(-logits, axis=1, kind="stable"), self._p)


class MinP:
    """Only ids at least this many times as probable as the likeliest one (Nguyen et al. 2024).

    Args:
        share: From 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at what is less likely."""
        if self._share == 0:
            return logits
        least = logits.max(axis=1, keepdims=True) + math.log(self._share)  # [rows, 1]
        return np.where(logits >= least, logits, -np.inf)


class Typical:
    """Only the most typical ids that have this probability together (Meister et al. 2023).

    Typical is what carries about as much information as is expected: the smaller the distance of its
    surprisal from the entropy, the more.

    Args:
        mass: Above 0 and at most 1. The lower id ranks first among equals.
    """

    def __init__(self, mass: float) -> None:
        self._mass = mass

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at what is less typical."""
        if self._mass == 1:
            return logits
        surprisal = -log_softmax(logits)
        probabilities = np.exp(-surprisal)
        with np.errstate(invalid="ignore"):  # inf * 0 of what may not follow
            entropy = np.nansum(surprisal * probabilities, axis=1, keepdims=True)
        return _nucleus(
            logits, np.argsort(np.abs(surprisal - entropy), axis=1, kind="stable"), self._mass
        )


def _nucleus(logits: Logits, order: npt.NDArray[np.intp], share: float) -> Logits:
    """Return the logits without what follows in `order [rows, rank]` when `share` is reached."""
    ranked = np.take_along_axis(logits, order, axis=1)  # [rows, rank]
    mass = np.cumsum(np.exp(ranked - logits.max(axis=1, keepdims=True)), axis=1)
    enough = np.zeros(logits.shape, np.bool_)
    enough[:, 1:] = mass[:, :-1] >= share * mass[:, -1:]
    kept = logits.copy()
    np.put_along_axis(kept, order, np.where(enough, -np.inf, ranked), axis=1)
    return kept


def _without(logits: Logits, ids: npt.NDArray[np.intp]) -> Logits:
    """Return the logits with -inf at `ids [rows, any]`."""
    kept = logits.copy()
    np.put_along_axis(kept, ids, -np.inf, axis=1)
    return kept
