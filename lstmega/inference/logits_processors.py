"""Logits processors: functions that return new logits, with -inf for a token that must not follow.

Constraints and penalties act on a model's own logits and take the history of the rows; truncation acts
on logits after temperature. All logits are float64, `[rows, vocabulary]`. Parameters come first, for
`functools.partial`; `GenerationConfig` checks them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

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


LogitsProcessor: TypeAlias = Callable[[Logits, RowHistory], Logits]


def ban(ids: Sequence[int], logits: Logits, history: RowHistory) -> Logits:
    """Exclude some ids always."""
    kept = logits.copy()
    kept[:, ids] = -np.inf
    return kept


def penalise_repetition(
    penalty: float, window: int | None, logits: Logits, history: RowHistory
) -> Logits:
    """Make ids that occurred before less probable (Keskar et al. 2019, CTRL).

    Args:
        penalty: Divides positive logits and multiplies negative ones; below 1 it rewards repetition.
        window: Number of last ids that count, including the prompt's; None is all.
    """
    recent = history.ids if window is None else history.ids[:, -window:]
    rows, columns = np.nonzero(recent >= 0)
    seen = np.zeros(logits.shape, np.bool_)
    seen[rows, recent[rows, columns]] = True
    return np.where(seen, np.where(logits > 0, logits / penalty, logits * penalty), logits)


class NoRepeat:
    """Exclude ids that would complete an n-gram again (Paulus et al. 2018); the prompt counts.

    A row where that would exclude every id is not changed. An instance serves one batch.

    Args:
        size: n, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._followers: list[dict[bytes, set[int]]] = []
        self._seen = 0

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        self._read_new(history)
        kept = logits.copy()
        for row, followers in enumerate(self._followers):
            before = history.ids[row, history.ids.shape[1] - self._size + 1 :].tobytes()
            if found := followers.get(before):
                kept[row, list(found)] = -np.inf
                if not np.isfinite(kept[row]).any():
                    kept[row] = logits[row]
        return kept

    def _read_new(self, history: RowHistory) -> None:
        self._followers = self._followers or [{} for _ in range(history.rows)]
        for end in range(max(self._seen, self._size - 1), history.ids.shape[1]):
            for row, followers in enumerate(self._followers):
                before = history.ids[row, end - self._size + 1 : end].tobytes()
                followers.setdefault(before, set()).add(int(history.ids[row, end]))
        self._seen = history.ids.shape[1]


def top_k(k: int, logits: Logits) -> Logits:
    """Keep the k most probable ids, the lower of two equals (Fan et al. 2018)."""
    kept = logits.copy()
    order = np.argsort(-logits, axis=1, kind="stable")  # [rows, rank] -> id
    np.put_along_axis(kept, order[:, k:], -np.inf, axis=1)
    return kept


def top_p(p: float, logits: Logits) -> Logits:
    """Keep the smallest set of most probable ids with this total probability (Holtzman et al. 2020).

    The lower id ranks first among equals; the most probable id is always kept.
    """
    if p == 1:
        return logits
    return _nucleus(logits, np.argsort(-logits, axis=1, kind="stable"), p)


def min_p(share: float, logits: Logits) -> Logits:
    """Keep ids with at least this fraction of the highest probability (Nguyen et al. 2024)."""
    if share == 0:
        return logits
    least = logits.max(axis=1, keepdims=True) + math.log(share)  # [rows, 1]
    return np.where(logits >= least, logits, -np.inf)


def typical_p(mass: float, logits: Logits) -> Logits:
    """Keep the most typical ids with this total probability (Meister et al. 2023).

    An id is the more typical, the nearer its surprisal is to the entropy; the lower id ranks first
    among equals.
    """
    if mass == 1:
        return logits
    surprisal = -log_softmax(logits)
    with np.errstate(invalid="ignore"):  # inf * 0 of excluded ids
        entropy = np.nansum(surprisal * np.exp(-surprisal), axis=1, keepdims=True)
    return _nucleus(logits, np.argsort(np.abs(surprisal - entropy), axis=1, kind="stable"), mass)


TRUNCATION: Mapping[str, Callable[[Any, Logits], Logits]] = {  # by option, in the order of application
    "top_k": top_k,
    "top_p": top_p,
    "min_p": min_p,
    "typical_p": typical_p,
}


def _nucleus(logits: Logits, order: npt.NDArray[np.intp], share: float) -> Logits:
    """Return the logits with -inf behind the place in `order [rows, rank]` where `share` is reached."""
    ranked = np.take_along_axis(logits, order, axis=1)  # [rows, rank]
    mass = np.cumsum(np.exp(ranked - logits.max(axis=1, keepdims=True)), axis=1)
    enough = np.zeros(logits.shape, np.bool_)
    enough[:, 1:] = mass[:, :-1] >= share * mass[:, -1:]
    kept = logits.copy()
    np.put_along_axis(kept, order, np.where(enough, -np.inf, ranked), axis=1)
    return kept
