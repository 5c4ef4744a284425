"""What each row of a batch has read and written so far, for whatever chooses the next ids."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.integer]

ENDED = -1  # stands in the history of a row to which nothing could follow


class History:
    """The prompt's ids, the same for all rows, and the ids written since.

    Args:
        prompt: `[time]`.
        rows: Texts that are written side by side.
    """

    def __init__(self, prompt: Ids, rows: int) -> None:
        self.rows = rows
        self._prompt = self._length = len(prompt)
        self._buffer = np.empty((rows, max(64, 2 * len(prompt))), np.intp)
        self._buffer[:, : len(prompt)] = prompt

    @property
    def ids(self) -> npt.NDArray[np.intp]:
        """Everything, `[rows, time]`."""
        return self._buffer[:, : self._length]

    @property
    def written(self) -> npt.NDArray[np.intp]:
        """What follows the prompt, `[rows, time]`."""
        return self._buffer[:, self._prompt : self._length]

    @property
    def length(self) -> int:
        """How many ids were written after the prompt."""
        return self._length - self._prompt

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """Which rows have ended, `[rows]`."""
        ended: npt.NDArray[np.bool_] = self._buffer[:, self._length - 1] == ENDED
        return ended

    def append(self, column: Ids) -> None:
        """Add the ids that were just written, `[rows]`."""
        if self._length == self._buffer.shape[1]:
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)], axis=1)
        self._buffer[:, self._length] = column
        self._length += 1


class Follower:
    """Hands out what was written since it was last asked: for what counts along as a text grows."""

    def __init__(self) -> None:
        self._seen = 0

    def new(self, history: History) -> Iterator[npt.NDArray[np.intp]]:
        """Yield the new columns `[rows]`, oldest first; each once."""
        while self._seen < history.length:
            self._seen += 1
            yield history.written[:, self._seen - 1]
