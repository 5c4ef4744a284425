"""LogitsProcessors for what may follow: each takes logits and history, and returns logits.

-inf means "may not follow". The first three act on a model's own logits, the others on logits after
temperature. Their numbers are checked where they come in, by `GenerationConfig`.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lstmega.inference.decoder import Ids, log_softmax

Logits = npt.NDArray[np.float64]


ENDED = -1  # the id in the history of a row that has ended


class RowHistory:
    """The ids that each row of a batch has read and generated: the prompt, then its own.

    Args:
        prompt: `[time]`.
        rows: Texts that are generated side by side.
    """

    def __init__(self, prompt: Ids, rows: int) -> None:
        self.rows = rows
        self._prompt = self._length = len(prompt)
        self._buffer = np.empty((rows, max(64, 2 * len(prompt))), np.intp)
        self._buffer[:, : len(prompt)] = prompt

    @property
    def ids(self) -> npt.NDArray[np.intp]:
        """All ids, `[rows, time]`."""
        return self._buffer[:, : self._length]

    @property
    def written(self) -> npt.NDArray[np.intp]:
        """The ids after the prompt, `[rows, time]`."""
        return self._buffer[:, self._prompt : self._length]

    @property
    def length(self) -> int:
        """Number of ids after the prompt."""
        return self._length - self._prompt

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """Whether each row has ended, `[rows]`."""
        ended: npt.NDArray[np.bool_] = self._buffer[:, self._length - 1] == ENDED
        return ended

    def append(self, column: Ids) -> None:
        """Add the ids of one more time step, `[rows]`."""
        if self._length == self._buffer.shape[1]:
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)], axis=1)
        self._buffer[:, self._length] = column
        self._length += 1


class NewColumns:
    """Iterates over the ids that were generated since the last call."""

    def __init__(self) -> None:
        self._seen = 0

    def new(self, history: RowHistory) -> Iterator[npt.NDArray[np.intp]]:
        """Yield the new ids `[rows]` of each time step, oldest first; each once."""
        while self._seen < history.length:
            self._seen += 1
            yield history.written[:, self._seen - 1]


class LogitsProcessor(Protocol):
    """The interface of a logits processor."""

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return new logits, `[rows, vocabulary]`; the given ones are not modified."""
        ...


class Banned:
    """Exclude some ids always.

    Args:
        ids: The excluded ids.
    """

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at the banned ids."""
        barred = logits.copy()
        barred[:, self._ids] = -np.inf
        return barred


class RepetitionPenalty:
    """Make ids that occurred before less likely (Keskar et al. 2019, CTRL).

    Args:
        penalty: Divides positive logits and multiplies negative ones; below 1 it rewards repetition.
        window: Number of last ids that count, including the prompt's; None is all.
    """

    def __init__(self, penalty: float, window: int | None = None) -> None:
        self._penalty = penalty
        self._window = window

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with those of ids in the window reduced."""
        recent = history.ids if self._window is None else history.ids[:, -self._window :]
        rows, columns = np.nonzero(recent >= 0)
        seen = np.zeros(logits.shape, np.bool_)
        seen[rows, recent[rows, columns]] = True
        penalised = np.where(logits > 0, logits / self._penalty, logits * self._penalty)
        return np.where(seen, penalised, logits)


class NoRepeat:
    """Exclude n-grams that occurred before (Paulus et al. 2018), including the prompt's.

    A row where that would exclude every id is left alone.

    Args:
        size: n, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._followers: list[dict[bytes, set[int]]] = []
        self._seen = 0

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at ids that would complete a repeated n-gram."""
        self._catch_up(history)
        barred = logits.copy()
        for row, followers in enumerate(self._followers):
            before = history.ids[row, history.ids.shape[1] - self._size + 1 :].tobytes()
            if found := followers.get(before):
                barred[row, list(found)] = -np.inf
                if not np.isfinite(barred[row]).any():
                    barred[row] = logits[row]
        return barred

    def _catch_up(self, history: RowHistory) -> None:
        self._followers = self._followers or [{} for _ in range(history.rows)]
        for end in range(max(self._seen, self._size - 1), history.ids.shape[1]):
            for row, followers in enumerate(self._followers):
                before = history.ids[row, end - self._size + 1 : end].tobytes()
                followers.setdefault(before, set()).add(int(history.ids[row, end]))
        self._seen = history.ids.shape[1]


class TopK:
    """Keep the k most probable ids, all where there are fewer (Fan et al. 2018).

    Args:
        k: At least 1. The lower id ranks first among equals.
    """

    def __init__(self, k: int) -> None:
        self._k = k

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf outside the k most probable ids."""
        order = np.argsort(-logits, axis=1, kind="stable")  # [rows, rank] -> id
        return _without(logits, order[:, self._k :])


class TopP:
    """Keep the smallest set of most probable ids with this total probability (Holtzman et al. 2020).

    Args:
        p: Above 0 and at most 1. The lower id ranks first among equals; the most probable id always
            stays.
    """

    def __init__(self, p: float) -> None:
        self._p = p

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf outside the nucleus."""
        if self._p == 1:
            return logits
        return _nucleus(logits, np.argsort(-logits, axis=1, kind="stable"), self._p)


class MinP:
    """Keep ids with at least this fraction of the highest probability (Nguyen et al. 2024).

    Args:
        share: From 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at less probable ids."""
        if self._share == 0:
            return logits
        least = logits.max(axis=1, keepdims=True) + math.log(self._share)  # [rows, 1]
        return np.where(logits >= least, logits, -np.inf)


class Typical:
    """Keep the most typical ids with this total probability (Meister et al. 2023).

    An id is the more typical, the smaller the distance of its surprisal from the entropy.

    Args:
        mass: Above 0 and at most 1. The lower id ranks first among equals.
    """

    def __init__(self, mass: float) -> None:
        self._mass = mass

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at less typical ids."""
        if self._mass == 1:
            return logits
        surprisal = -log_softmax(logits)
        probabilities = np.exp(-surprisal)
        with np.errstate(invalid="ignore"):  # inf * 0 of excluded ids
            entropy = np.nansum(surprisal * probabilities, axis=1, keepdims=True)
        return _nucleus(
            logits, np.argsort(np.abs(surprisal - entropy), axis=1, kind="stable"), self._mass
        )


def _nucleus(logits: Logits, order: npt.NDArray[np.intp], share: float) -> Logits:
    """Return the logits with -inf behind the place in `order [rows, rank]` where `share` is reached."""
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
