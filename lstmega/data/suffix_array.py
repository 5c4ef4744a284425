"""Exact index of a training text, which finds the passages that another text has in common with it.

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
_FAR = 64  # characters of the search of all places at once; longer passages are few
_MOST_DISTINCT = 65_534

Lengths = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Copy:
    """A passage of both texts.

    Args:
        start: Its start in the text, in characters.
        length: Its length in characters.
        place: Its start in the indexed text.
    """

    start: int
    length: int
    place: int

    @property
    def end(self) -> int:
        """One past its last character in the text."""
        return self.start + self.length


@dataclass(frozen=True)
class Matches:
    """For each character of a text, the longest passage from there that the indexed text has.

    Args:
        lengths: Characters of the passage, `[characters]`.
        places: Its start in the indexed text, `[characters]`; undefined where the length is 0.
    """

    lengths: Lengths
    places: Lengths

    def passages(self, least: int = 1) -> tuple[Copy, ...]:
        """Return the passages of at least `least` characters that are not part of a longer one."""
        before = np.concatenate([[0], self.lengths[:-1]])
        begins = (self.lengths >= max(1, least)) & (self.lengths >= before)
        return tuple(
            Copy(int(start), int(self.lengths[start]), int(self.places[start]))
            for start in np.flatnonzero(begins)
        )

    def covered(self, least: int) -> int:
        """Return the number of characters in passages of at least `least` characters."""
        total, end = 0, 0
        for copy in self.passages(least):
            total += copy.end - max(end, copy.start)
            end = copy.end
        return total

    def novel(self, size: int) -> int:
        """Return the number of sequences of `size` characters that the indexed text does not have."""
        return int((self.lengths[: max(0, len(self.lengths) - size + 1)] < size).sum())


def cover(passages: Sequence[Copy]) -> tuple[Copy, ...]:
    """Return the fewest of `Matches.passages` that cover the same characters, in their order."""
    kept: list[Copy] = []
    for copy, following in zip_longest(passages, passages[1:]):
        # Starts and ends ascend: the next passage ends later, and must leave no gap.
        if kept and following is not None and following.start <= kept[-1].end:
            continue
        kept.append(copy)
    return tuple(kept)


class TextIndex:
    """The suffix array of a training text.

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
        self._suffixes = sorted_suffixes(self._data[: len(text)])

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
        """Yield the positions in the alphabet of the characters that follow, in order."""
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
        """Return the number of the first suffix that does not sort before a passage."""
        return bisect_left(self._suffixes, passage, key=self._seen(len(passage) // self._data.itemsize))

    def _seen(self, length: int) -> Callable[[int], bytes]:
        return lambda place: self._data[place : place + length].tobytes()

    def _coded(self, text: str, kind: np.dtype[np.unsignedinteger]) -> Codes:
        """Return positions in the alphabet, from 1, with zeros behind the end of the text."""
        codes = np.zeros(len(text) + _BYTES, kind)
        for start in range(0, len(text), _CHUNK):
            points = code_points(text[start : start + _CHUNK])
            found = np.searchsorted(self._alphabet, points)
            known = np.append(self._alphabet, 0xFFFFFFFF)[found] == points
            codes[start : start + len(points)] = np.where(known, found + 1, self._unknown)
        return codes

    def _longest(self, query: Codes, at: Lengths, end: int) -> tuple[Lengths, Lengths]:
        """Find the first `_FAR` characters of all suffixes `query[at:]` at once, by binary search.

        A comparison skips the characters that both neighbours share with the query (Manber and Myers
        1993).
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
        """Return the characters shared with suffixes, and whether these sort before the query."""
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
        """Set the full lengths where `_FAR` characters were found.

        A passage never ends before the passage of the character before it (Chang and Lawler 1994): up to
        the first character whose passage ends later, each is the rest of the previous one.
        """
        turn = 0
        for start in np.flatnonzero(lengths >= _FAR).tolist():
            if start < turn:
                continue
            length, place = self._whole(query[start:])
            end = start + length
            turn = end - _FAR + 1  # from here on a passage ends later, or is shorter than `_FAR`
            if end < len(query):
                further = partial(self._has, query[: end + 1])
                turn = bisect_left(range(turn), True, lo=start + 1, key=further)
            inside = np.arange(start, turn)
            lengths[inside], places[inside] = end - inside, place + inside - start

    def _whole(self, query: Codes) -> tuple[int, int]:
        """Return length and place of the longest passage from the start of a query."""
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


def sorted_suffixes(codes: Codes) -> npt.NDArray[np.int32]:
    """Return the starts of the sorted suffixes, `[characters]`.

    Big-endian numbers sort as their bytes do; only the first of two bytes begins a suffix.
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
