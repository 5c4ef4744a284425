"""An n-gram model: counted in a second, the exact distribution after any text.

Interpolated Kneser-Ney with modified discounts (Chen and Goodman 1999, doi:10.1006/csla.1999.0128): the
highest order counts occurrences, each lower one the distinct characters before an n-gram; the lowest is
interpolated with the uniform distribution, so that nothing is impossible. Long n-grams seen only once
are left out, and their probability goes to the shorter ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from lstmega.errors import RunError

ORDERS = 12
COMPLETE = 5  # orders of which every n-gram is kept; of higher ones those that are seen twice
MOST_COUNTED = 8_000_000  # characters that are counted; of a longer text the last
# Size limit of the file: bytes for each counted character, plus a fixed number of bytes.
MOST_BYTES, FREE_BYTES = 6, 1 << 16
LEAST_PROBABILITY = np.float32(1e-30)  # its logarithm is finite

PARTS = ("ids", "shares", "rests", "children")  # of a level, as the file names them
_FEW_ROWS = 8  # up to which rows are computed one after another
_STEP = 16  # codes for each factor e of a kept probability: an error of 3% at most
_NONE = 255  # the code of 0
_DENSE = 1 << 18  # numbers of the distributions of an order that are computed beforehand, at most
_END = np.iinfo(np.int64).max
_VALUES = np.append(np.exp(-np.arange(_NONE) / _STEP), 0).astype(np.float32)

Ids = npt.NDArray[np.integer]
Codes = npt.NDArray[np.unsignedinteger]
Floats = npt.NDArray[np.float64]
Nodes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """The n-grams of one order that are kept, sorted by context and last id.

    Args:
        ids: The last id of each.
        shares: The discounted share of each after its context, as a code.
        rests: For each context, the share of all shorter contexts together, as a code.
        children: For each context, its number of n-grams.
    """

    ids: Codes
    shares: Codes
    rests: Codes
    children: Codes

    @property
    def bytes(self) -> int:
        """Size in a file."""
        return sum(array.nbytes for array in vars(self).values())


class NGram:
    """The distribution of the next id after the last ones.

    The n-grams that end a text are its `nodes`, `[orders - 1, rows]`: the number of the kept n-gram of
    each order plus one, 0 where there is none.

    Args:
        size: Number of ids.
        levels: Lowest order first. The contexts of each are the n-grams of the one before.

    Raises:
        ValueError: The n-grams of a level are not sorted, or their ends are not in the level below.
    """

    def __init__(self, size: int, levels: Sequence[Level]) -> None:
        self.size, self.levels = size, levels
        self._ids = [one.ids for one in levels]
        self._shares = [_VALUES[one.shares] for one in levels]
        self._rests = [_VALUES[one.rests] for one in levels]
        self._starts = [np.append(0, np.cumsum(one.children, dtype=np.int64)) for one in levels]
        self._codes = [  # context and last id as one number, and an end
            np.append(np.repeat(np.arange(len(one.rests)) * size, one.children) + one.ids, _END)
            for one in levels
        ]
        for number, codes in enumerate(self._codes):
            if (codes[1:] <= codes[:-1]).any():
                raise ValueError(f"the n-grams of order {number + 1} are not sorted")
        self._dense = self._low_orders()

    @property
    def order(self) -> int:
        """The highest order."""
        return len(self.levels)

    def begin(self, rows: int) -> Nodes:
        """Return the nodes before any text."""
        return np.zeros((self.order - 1, rows), np.int64)

    def advance(self, ids: Ids, nodes: Nodes) -> Nodes:
        """Return the nodes `[orders - 1, rows]` after one more id in each row, `[rows]`."""
        if len(ids) > _FEW_ROWS:
            return self.follow(ids[np.newaxis], nodes)[:, 0]
        found = np.zeros_like(nodes)
        for row, (identity, own) in enumerate(zip(ids.tolist(), nodes.T.tolist(), strict=True)):
            self._advance_row(identity, own, found[:, row])
        return found

    def follow(self, ids: Ids, nodes: Nodes, *, begins: int | None = None) -> Nodes:
        """Return the nodes after each of several ids, `[orders - 1, time, rows]`.

        Those of one order follow from those of the order below one id earlier, so that each order is
        one search, whatever the time.

        Args:
            ids: `[time, rows]`.
            nodes: Those before them, `[orders - 1, rows]`.
            begins: An id that nothing is known before.
        """
        found = np.empty((len(nodes), *ids.shape), np.int64)
        contexts = np.ones(ids.shape, np.int64)
        for number, codes in enumerate(self._codes[:-1]):
            wanted = (contexts - 1) * self.size + ids
            places = codes.searchsorted(wanted)
            found[number] = np.where((contexts > 0) & (codes[places] == wanted), places + 1, 0)
            contexts = np.concatenate([nodes[number][np.newaxis], found[number][:-1]])
            if begins is not None:
                contexts *= ids != begins
        return found

    def _advance_row(self, identity: int, nodes: list[int], found: Nodes) -> None:
        """Set the nodes of one row; where one is not known, no longer one is."""
        for number, context in enumerate([1, *nodes][: len(nodes)]):
            if not context:
                return
            starts, ids = self._starts[number], self._ids[number]
            first, last = starts[context - 1], starts[context]
            place = first + ids[first:last].searchsorted(identity)
            if place == last or ids[place] != identity:
                return
            found[number] = place + 1

    def probabilities(self, nodes: Nodes) -> npt.NDArray[np.float32]:
        """Return the probability of each id, `[rows, size]`; every row sums to 1."""
        rows = nodes.shape[1]
        found = np.full((rows, self.size), 1 / self.size, np.float32)
        if rows <= _FEW_ROWS:
            for row, own in zip(found, nodes.T.tolist(), strict=True):
                self._mix_row(row, own)
        else:
            self._mix_rows(found, nodes)
        found /= np.maximum(found.sum(axis=1, keepdims=True), LEAST_PROBABILITY)  # codes are rounded
        return found

    def _low_orders(self) -> list[npt.NDArray[np.float32]]:
        """Return the distributions of the lowest orders, `[contexts, size]` each."""
        found: list[npt.NDArray[np.float32]] = []
        lower = np.full((1, self.size), 1 / self.size, np.float32)
        # Each context without its first id, as a context of the order below.
        shorter = np.zeros(1, np.int64)
        for number, (level, starts) in enumerate(zip(self.levels, self._starts, strict=True)):
            contexts = np.repeat(np.arange(len(level.rests)), level.children)  # of each n-gram
            if len(level.rests) * self.size > _DENSE:
                break
            found.append(lower[shorter] * self._rests[number][:, np.newaxis])
            found[-1][contexts, level.ids] += self._shares[number]
            lower = found[-1]
            if number == 0:
                shorter = np.zeros(starts[-1], np.int64)
            else:
                codes = shorter[contexts] * self.size + level.ids
                shorter = self._codes[number - 1].searchsorted(codes)
                if (self._codes[number - 1][shorter] != codes).any():
                    raise ValueError(f"an n-gram of order {number + 1} has no end of order {number}")
        return found

    def _mix_row(self, found: npt.NDArray[np.float32], nodes: list[int]) -> None:
        known = [1, *nodes]
        done = min(len(self._dense), known.index(0) if 0 in known else len(known))
        if done:
            found[:] = self._dense[done - 1][known[done - 1] - 1]
        for number in range(done, len(known)):
            node = known[number]
            if not node:
                break
            starts = self._starts[number]
            first, last = starts[node - 1], starts[node]
            found *= self._rests[number][node - 1]
            found[self._ids[number][first:last]] += self._shares[number][first:last]

    def _mix_rows(self, found: npt.NDArray[np.float32], nodes: Nodes) -> None:
        for number, starts in enumerate(self._starts):
            contexts = nodes[number - 1] if number > 0 else np.ones(len(found), np.int64)
            rows = np.flatnonzero(contexts)
            known = contexts[rows] - 1
            if number < len(self._dense):
                found[rows] = self._dense[number][known]
                continue
            found[rows] *= self._rests[number][known, np.newaxis]
            counts = starts[known + 1] - starts[known]
            ends = counts.cumsum()
            grams = np.arange(counts.sum()) + np.repeat(starts[known] - ends + counts, counts)
            found[np.repeat(rows, counts), self._ids[number][grams]] += self._shares[number][grams]

    def depths(self, nodes: Nodes) -> npt.NDArray[np.intp]:
        """Return the length of the longest known context in each row, `[rows]`."""
        depths: npt.NDArray[np.intp] = (nodes > 0).sum(axis=0)
        return depths


class Counts:
    """All n-grams of a text, up to a highest order.

    They are read off the suffix array (Manber and Myers 1993): the suffixes that begin with an n-gram
    are neighbours in it, so that no order needs a sorting of its own.

    Args:
        ids: The text, `[characters]`; of a long one the last eight million.
        size: Number of ids.
        orders: The highest order; a shorter text has none above its length.
        begins: An id that nothing is known before: the line end, where lines are texts of their own.
            N-grams that begin with it have no ids before them, and keep their own counts.
    """

    def __init__(self, ids: Ids, size: int, orders: int = ORDERS, *, begins: int | None = None) -> None:
        # Commands that only read runs do without the library that sorts suffixes.
        from lstmega.data.suffix_array import sorted_suffixes  # noqa: PLC0415

        ids = ids[-MOST_COUNTED:]
        self.size, self.characters = size, len(ids)
        begins, bare = -1 if begins is None else begins, np.zeros(0, bool)
        self._orders: list[_Order] = []
        kind = "u1" if size <= 1 << 8 else ">u2" if size <= 1 << 16 else ">u4"  # sort as bytes do
        suffixes = sorted_suffixes(ids.astype(np.dtype(kind)))
        text = np.append(ids, np.full(orders, size)).astype(np.int32)  # an end that no n-gram has
        ranks = np.empty(len(ids) + 1, np.int32)
        ranks[suffixes] = np.arange(len(ids), dtype=np.int32)
        new = np.arange(len(ids)) == 0  # whether a suffix begins another n-gram than the one before
        below = np.zeros(len(ids), np.int32)  # the n-gram one shorter that each suffix begins with
        for order in range(1, min(orders, len(ids)) + 1):
            last = text[suffixes + order - 1]  # [suffixes]
            new[1:] |= last[1:] != last[:-1]
            places = np.flatnonzero(new)
            sizes, whole = np.diff(places, append=len(ids)), last[places] < size
            grams = np.repeat(np.cumsum(whole) - 1, sizes).astype(np.int32)  # [suffixes]
            counts, places = sizes[whole], places[whole]
            if order > 1:  # of each n-gram, the distinct ones one longer that end with it
                before = below[ranks[suffixes[places] + 1]]
                distinct = np.bincount(before, minlength=len(self._orders[-1].counts))
                self._orders[-1].before = np.where(bare, self._orders[-1].counts, distinct)
            bare = text[suffixes[places]] == begins  # whether each has nothing before it
            contexts = below[places]
            size_below = 1 if order == 1 else len(self._orders[-1].counts)
            self._orders.append(_Order(contexts, last[places], counts, counts, size_below))
            below = grams

    def model(self) -> NGram:
        """Return the model, of fewer or shorter n-grams where it would exceed `MOST_BYTES`."""
        most = MOST_BYTES * self.characters + FREE_BYTES
        for complete in range(COMPLETE, 0, -1):
            levels = list(self._levels(complete))
            if sum(level.bytes for level in levels) <= most:
                break
        while sum(level.bytes for level in levels) > most and len(levels) > 1:
            levels.pop()
        return NGram(self.size, levels)

    def _levels(self, complete: int) -> Iterator[Level]:
        kept = np.zeros(1, np.int64)  # the contexts that are kept
        for number, own in enumerate(self._orders):
            chosen = slice(None) if number < complete else own.counts > 1
            places = np.arange(len(own.counts))[chosen]
            new = np.full(own.contexts_size, -1, np.int64)
            new[kept] = np.arange(len(kept))
            contexts = new[own.contexts[places]]
            children = np.bincount(contexts, minlength=len(kept))
            shares = own.shares[places]
            rests = 1 - np.bincount(contexts, weights=shares, minlength=len(kept))
            narrow = np.min_scalar_type(self.size)
            yield Level(
                own.ids[places].astype(narrow),
                _coded(shares),
                _coded(rests).clip(max=_NONE - 1),
                children.astype(narrow),
            )
            kept = places


@dataclass
class _Order:
    """The n-grams of one order, sorted by context and last id.

    Args:
        contexts: The number of the n-gram one shorter that each begins with.
        ids: The last id of each.
        counts: Occurrences of each.
        before: Distinct ids before each, once the next order is counted.
        contexts_size: Number of n-grams one shorter.
    """

    contexts: npt.NDArray[np.integer]
    ids: Ids
    counts: Nodes
    before: Nodes
    contexts_size: int

    @cached_property
    def shares(self) -> Floats:
        """Return the discounted share of each n-gram after its context."""
        discounts = _discounts(self.before)[self.before.clip(max=3)]
        totals = np.bincount(self.contexts, weights=self.before, minlength=self.contexts_size)
        shares: Floats = (self.before - discounts) / totals[self.contexts].clip(min=1)
        return shares


def _discounts(counts: Nodes) -> Floats:
    """Return the discounts of n-grams seen 0, 1, 2 and 3 or more times."""
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if 0 in (n1, n2, n3):
        return np.array([0, 0.5, 0.5, 0.5])
    share = n1 / (n1 + 2 * n2)
    estimates = [1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    return np.array([0, *np.clip(estimates, 0.01, [1, 2, 3])])


def _coded(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return probabilities as codes, indices of `_VALUES`."""
    with np.errstate(divide="ignore"):
        codes = np.rint(-_STEP * np.log(values.clip(min=0)))
    return np.where(codes < _NONE, codes, _NONE).astype(np.uint8)


def pack(model: NGram) -> bytes:
    """Return a model as the content of a safetensors file."""
    return safetensors.numpy.save(
        {
            f"{number}/{name}": getattr(level, name)
            for number, level in enumerate(model.levels)
            for name in PARTS
        }
    )


def unpack(content: bytes, size: int, where: str) -> NGram:
    """Return the model of a file that `pack` wrote.

    Args:
        content: The whole file.
        size: Number of ids.
        where: The file's name in messages.

    Raises:
        RunError: It is no such file, or of another vocabulary.
    """
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError) as error:  # the key is a type that NumPy lacks
        raise RunError(f"{where} is damaged: {error}.") from error
    narrow, contexts = np.min_scalar_type(size), 1
    byte = np.dtype(np.uint8)
    kinds = dict(zip(PARTS, (narrow, byte, byte, narrow), strict=True))
    levels = []
    for number in range(len(arrays) // len(kinds)):
        found = (arrays.get(f"{number}/{name}", np.empty((0, 0))) for name in kinds)
        level = Level(*found)
        if any(array.dtype != kinds[name] or array.ndim != 1 for name, array in vars(level).items()):
            raise RunError(f"{where} is damaged: order {number + 1} is incomplete or of another type.")
        grams = int(level.children.sum(dtype=np.int64))
        if not (
            len(level.rests) == len(level.children) == contexts
            and len(level.ids) == len(level.shares) == grams
            and (level.ids < size).all()
            and (level.rests < _NONE).all()
        ):
            raise RunError(f"{where} is damaged: the n-grams of order {number + 1} do not fit.")
        levels.append(level)
        contexts = grams
    if not levels or len(arrays) % len(kinds):
        raise RunError(f"{where} holds no n-grams.")
    try:
        return NGram(size, levels)
    except ValueError as error:
        raise RunError(f"{where} is damaged: {error}.") from error
