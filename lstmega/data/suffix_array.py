"""Where a text repeats another one, word for word: an exact index over a training text.

A suffix array (Manber and Myers 1993), sorted by libdivsufsort (Mori 2006), searched for all places of
a text at once. It takes five bytes for each indexed character, six where more than 254 are distinct.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import pydivsufsort

from lstmega.data.vocabulary import code_points
from lstmega.errors import UsageError

_CHUNK = 1 << 16  # characters coded or looked up at a time: bounds the memory
_BYTES = 8  # compared at a time
_FAR = 64  # characters: how far all places are searched at once; passages beyond are few
_MOST_DISTINCT = 65_534

Lengths = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Copy:
    """A passage that stands in both texts.

    Args:
        start: Where it begins in the text, in characters.
        length: How many characters it has.
        place: Where it begins in the indexed text.
    """

    start: int
    length: int
    place: int

    @property
    def end(self) -> int:
        """Where it has ended in the text."""
        return self.start + self.length


@dataclass(frozen=True)
class Matches:
    """For each character of a text, how far the indexed text goes along from there.

    Args:
        lengths: Characters of the longest common passage, `[characters]`.
        places: Where it begins in the indexed text, `[characters]`; anything where the length is 0.
    """

    lengths: Lengths
    places: Lengths

    def passages(self, least: int = 1) -> tuple[Copy, ...]:
        """Return the passages of at least so many characters that are no part of a longer one."""
        before = np.concatenate([[0], self.lengths[:-1]])
        begins = (self.lengths >= max(1, least)) & (self.lengths >= before)
        return tuple(
            Copy(int(start), int(self.lengths[start]), int(self.places[start]))
            for start in np.flatnonzero(begins)
        )

    def covered(self, least: int) -> int:
        """Return how many characters lie in passages of at least so many."""
        total, end = 0, 0
        for copy in self.passages(least):
            total += copy.end - max(end, copy.start)
            end = copy.end
        return total

    def novel(self, size: int) -> int:
        """Return how many places begin `size` characters that the indexed text does not have."""
        return int((self.lengths[: max(0, len(self.lengths) - size + 1)] < size).sum())


def cover(passages: Sequence[Copy]) -> tuple[Copy, ...]:
    """Return the fewest of `Matches.passages` that cover the same characters, in their order."""
    kept: list[Copy] = []
    for copy, following in zip_longest(passages, passages[1:]):
        # Starts and ends ascend: the next one reaches further, and may leave no gap.
        if kept and following is not None and following.start <= kept[-1].end:
            continue
        kept.append(copy)
    return tuple(kept)


class TextIndex:
    """A training text, ready to be asked what of another text it has.

    Args:
        text: Any text; it is not kept.

    Raises:
        UsageError: It has more than 65,534 distinct characters, or 2**30 or more in all.
    """

    def __init__(self, text: str) -> None:
        self._alphabet = code_points("".join(sorted(set(text))))
        if len(self._alphabet) > _MOST_DISTINCT or len(text) >= 1 << 30:
            raise UsageError(
                f"A text to be indexed has at most {_MOST_DISTINCT:,} distinct characters and "
                f"fewer than 2**30 in all. Received: {len(self._alphabet):,} and {len(text):,}."
            )
        kind = np.dtype(np.uint8 if len(self._alphabet) < 255 else ">u2")  # big-endian: bytes sort alike
        self._unknown = np.iinfo(kind).max
        self._data = self._coded(text, kind)
        self._suffixes = _sorted(self._data[: len(text)])

    def __len__(self) -> int:
        return len(self._suffixes)

    def matches(self, text: str) -> Matches:
        """Find for each character of a text the longest passage from there that the index has."""
        query = self._coded(text, self._data.dtype)
        lengths, places = np.zeros(len(text), np.int64), np.zeros(len(text), np.int64)
        for start in range(0, len(text) if len(self) else 0, _CHUNK):
            at = np.arange(start, min(start + _CHUNK, len(text)))
            lengths[at], places[at] = self._longest(query, at, len(text))
        self._follow(query[: len(text)], lengths, places)
        return Matches(lengths, places)

    def following(self, history: str) -> frozenset[str]:
        """Return each character that follows `history` somewhere in the indexed text."""
        codes = self._coded(history, self._data.dtype)[: len(history)]
        if (codes == self._unknown).any():
            return frozenset()
        return frozenset(map(chr, self._alphabet[list(self._next(codes.tobytes()))]))

    def _next(self, before: bytes) -> Iterator[int]:
        """Yield the positions in the alphabet of what follows, in order."""
        size = len(before) // self._data.itemsize
        at = self._first(before)
        while at < len(self):
            place = int(self._suffixes[at])
            passage = self._data[place : place + size + 1].tobytes()
            if not passage.startswith(before):
                return
            if code := int(self._data[place + size]):  # else the indexed text ends here
                yield code - 1
            at = bisect_right(self._suffixes, passage, lo=at, key=self._seen(size + 1))

    def _first(self, passage: bytes) -> int:
        """Return which suffix is the first that does not sort before a passage."""
        return bisect_left(self._suffixes, passage, key=self._seen(len(passage) // self._data.itemsize))

    def _seen(self, length: int) -> Callable[[int], bytes]:
        return lambda place: self._data[place : place + length].tobytes()

    def _coded(self, text: str, kind: np.dtype[np.unsignedinteger]) -> Codes:
        """Return characters as places in the alphabet from 1 on, and zeros behind the end."""
        codes = np.zeros(len(text) + _BYTES, kind)
        for start in range(0, len(text), _CHUNK):
            points = code_points(text[start : start + _CHUNK])
            found = np.searchsorted(self._alphabet, points)
            known = np.append(self._alphabet, 0xFFFFFFFF)[found] == points
            codes[start : start + len(points)] = np.where(known, found + 1, self._unknown)
        return codes

    def _longest(self, query: Codes, at: Lengths, end: int) -> tuple[Lengths, Lengths]:
        """Search for the first `_FAR` characters of all suffixes `query[at:]` at once, halving.

        What both neighbours of a suffix share with the query needs no second look: comparing begins
        behind it (Manber and Myers 1993).
        """
        low, high = np.full(len(at), -1), np.full(len(at), len(self))  # suffixes below and above
        below, above = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)  # shared with them
        while len(open_ := np.flatnonzero((high - low > 1) & (np.maximum(below, above) < _FAR))):
            middle = (low[open_] + high[open_]) // 2
            shared = np.minimum(below[open_], above[open_])
            shared, less = self._compare(query, at[open_], self._suffixes[middle], shared, end)
            low[open_[less]], below[open_[less]] = middle[less], shared[less]
            high[open_[~less]], above[open_[~less]] = middle[~less], shared[~less]
        nearer = below >= above
        neighbours = np.where(nearer, low, high).clip(0, len(self) - 1)
        return np.maximum(below, above), self._suffixes[neighbours].astype(np.int64)

    def _compare(
        self, query: Codes, at: Lengths, places: npt.NDArray[np.int32], shared: Lengths, end: int
    ) -> tuple[Lengths, npt.NDArray[np.bool_]]:
        """Return how far suffixes go along with the query, and whether they sort before it."""
        step = _BYTES // self._data.itemsize
        most = np.minimum(np.minimum(end - at, len(self) - places), _FAR)
        shared, less = shared.copy(), np.zeros(len(at), np.bool_)
        open_ = np.arange(len(at))
        while len(open_):
            offsets = shared[open_]
            ours = _words(query, at[open_] + offsets, step)
            theirs = _words(self._data, places[open_] + offsets, step)
            differ = ours != theirs
            first = differ.argmax(axis=1)
            rows = np.arange(len(open_))
            different = differ[rows, first]
            shared[open_] = np.minimum(offsets + np.where(different, first, step), most[open_])
            less[open_] = theirs[rows, first] < ours[rows, first]
            open_ = open_[~different & (offsets < most[open_])]  # the zeros behind an end count too
        return shared, less

    def _follow(self, query: Codes, lengths: Lengths, places: Lengths) -> None:
        """Put the whole lengths where `_FAR` characters were found.

        Going on through the query, a passage never ends before its predecessor (Chang and Lawler
        1994): up to the place from where one goes further, each is the rest of the one before.
        """
        turn = 0
        for start in np.flatnonzero(lengths >= _FAR).tolist():
            if start < turn:
                continue
            length, place = self._whole(query[start:])
            end = start + length
            turn = end - _FAR + 1  # from here on `_FAR` characters go further, or fewer were found
            if end < len(query):
                further = partial(self._has, query[: end + 1])
                turn = bisect_left(range(turn), True, lo=start + 1, key=further)
            inside = np.arange(start, turn)
            lengths[inside], places[inside] = end - inside, place + inside - start

    def _whole(self, query: Codes) -> tuple[int, int]:
        """Return how far the index goes along with a query from its start, and where."""
        size = _FAR
        while size < len(query) and self._has(query[:size]):
            size *= 2
        sizes = range(1, min(size, len(query)) + 1)
        length = bisect_left(sizes, True, key=lambda size: not self._has(query[:size]))
        return length, int(self._suffixes[self._first(query[:length].tobytes())])

    def _has(self, passage: Codes, start: int = 0) -> bool:
        wanted = passage[start:].tobytes()
        at = self._first(wanted)
        return at < len(self) and self._seen(len(passage) - start)(int(self._suffixes[at])) == wanted


def _sorted(codes: Codes) -> npt.NDArray[np.int32]:
    """Return where each suffix begins, in their order, `[characters]`.

    Big-endian numbers sort as their bytes do; of two bytes each only the first begins a suffix.
    """
    if len(codes) == 0:
        return np.empty(0, np.int32)
    width = codes.itemsize
    of_bytes: npt.NDArray[np.int32] = pydivsufsort.divsufsort(codes.view(np.uint8))
    if width == 1:
        return of_bytes
    suffixes, filled = np.empty(len(codes), np.int32), 0
    for start in range(0, len(of_bytes), _CHUNK):
        chunk = of_bytes[start : start + _CHUNK]
        begins = chunk[chunk % width == 0] // width
        suffixes[filled : filled + len(begins)] = begins
        filled += len(begins)
    return suffixes


def _words(codes: Codes, starts: Lengths, step: int) -> Codes:
    """Return `step` codes from each start, `[starts, step]`."""
    places = starts[:, np.newaxis] + np.arange(step)
    words: Codes = codes[np.minimum(places, len(codes) - 1)]
    return words
