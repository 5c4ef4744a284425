"""Simple models to compare a trained one with, estimated on the same training text, in seconds.

Uniform and unigram, interpolated Kneser-Ney n-grams, and three compressors. Like the trained model they
predict each held-out character but the first.
"""

import bz2
import gzip
import lzma
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import MAX_MEASURED
from lstmega.runs.record import MOST_LEARNT, Baseline

ORDERS = 8
_PILOT = 0.05  # share of the training text that chooses the order

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def measure(training: str, held_out: str, *, tokens: str = "char") -> list[Baseline]:
    """Return the costs of simple models of `training` on `held_out`.

    Args:
        training: The training text; of a long one the last two million characters. Without one there are
            only uniform and compressors.
        held_out: The text to predict; no baselines below two characters.
        tokens: `byte` where a character stands for a byte; otherwise the compressors read UTF-8.
    """
    training, held_out = training[-MOST_LEARNT:], held_out[:MAX_MEASURED]
    if len(held_out) < 2:
        return []
    ids = _ids(training + held_out)
    size, before = int(ids.max()) + 1, len(training)
    found = [Baseline("uniform", math.log2(size))]
    if training:
        found += _counted(ids[:before], ids[before:], size)
    codec = ("latin-1", "strict") if tokens == "byte" else ("utf-8", "surrogatepass")
    read = training.encode(*codec), held_out.encode(*codec)
    return found + [
        Baseline(name, 8 * _growth(compress, *read) / len(held_out))
        for name, compress in _COMPRESSORS.items()
    ]


def published(text_sha256: str, held_out_characters: int) -> tuple[Baseline, ...]:
    """Return published results for exactly this text and held-out tail."""
    return _PUBLISHED.get((text_sha256, held_out_characters), ())


def _ids(text: str) -> Ids:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    ids: Ids = np.unique(points, return_inverse=True)[1].astype(np.int64)
    return ids


def _counted(training: Ids, held_out: Ids, size: int) -> list[Baseline]:
    counts = np.bincount(training, minlength=size) + 1
    unigram = -np.log2(counts[held_out[1:]] / counts.sum()).mean()
    pilot = max(1, int(len(training) * _PILOT))
    trial = KneserNey(training[:-pilot], size).bits(training[-pilot:]).mean(axis=1)
    order = int(trial.argmin()) + 1 if len(trial) else 1
    best = KneserNey(training, size).bits(held_out)[order - 1, 1:].mean()
    return [Baseline("unigram", float(unigram)), Baseline(f"{order}-gram (Kneser-Ney)", float(best))]


class KneserNey:
    """Interpolated n-gram models of all orders, with modified Kneser-Ney discounts.

    Chen and Goodman 1999 (doi:10.1006/csla.1999.0128): the highest order counts occurrences, each lower
    one the distinct characters before an n-gram. The lowest is interpolated with the uniform
    distribution, so that nothing is impossible.

    Args:
        ids: The training text, `[characters]`.
        size: Number of ids.
        orders: The highest order; a shorter text has none above its length.
    """

    def __init__(self, ids: Ids, size: int, orders: int = ORDERS) -> None:
        self._size = size
        self._levels: list[_Level] = []
        grams, contexts = np.zeros(len(ids) + 1, np.int64), 1  # the n-gram that ends here: at first none
        for order in range(1, min(orders, len(ids)) + 1):
            codes = grams[:-1] * size + ids[order - 1 :]  # context and character as one number
            known, first, grams_of_next, counts = np.unique(
                codes, return_index=True, return_inverse=True, return_counts=True
            )
            if order > 1:  # of each n-gram, the distinct ones one longer that end with it
                self._levels[-1].count_before(np.bincount(grams[first + 1], minlength=contexts))
            self._levels.append(_Level(known, counts, contexts, size))
            grams, contexts = grams_of_next.astype(np.int64), len(known)

    def bits(self, ids: Ids) -> Floats:
        """Return the cost of each id by the model of each order, from no context, `[orders, ids]`."""
        found = np.zeros(len(ids), np.int64)  # the n-gram that ends here, or -1; order 0 is known
        lower = np.full(len(ids), 1 / self._size)
        costs = np.empty((len(self._levels), len(ids)))
        for number, level in enumerate(self._levels):
            contexts = np.concatenate([[-1], found[:-1]]) if number > 0 else found
            found = level.find(contexts, ids)
            costs[number] = -np.log2(level.mixed(level.top, contexts, found, lower))
            lower = level.mixed(level.below, contexts, found, lower)
        return costs


@dataclass(frozen=True)
class _Shares:
    """A discounted distribution: the share of each n-gram, and the remainder of each context."""

    gram: Floats
    rest: Floats


class _Level:
    """The n-grams of one order.

    Args:
        codes: Sorted, context * size + character.
        counts: Occurrences of each.
        contexts: Number of contexts.
        size: Number of ids.
    """

    def __init__(self, codes: Ids, counts: Ids, contexts: int, size: int) -> None:
        self._codes, self._size, self._contexts = codes, size, contexts
        self.top = self.below = self._shares(counts)

    def count_before(self, counts: Ids) -> None:
        """Set the counts that this order has below a higher one."""
        self.below = self._shares(counts)

    def find(self, contexts: Ids, ids: Ids) -> Ids:
        """Return the number of each n-gram, -1 where it or its context is unknown."""
        codes = contexts * self._size + ids
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return np.where((contexts >= 0) & (self._codes[places] == codes), places, -1)

    def mixed(self, shares: _Shares, contexts: Ids, found: Ids, lower: Floats) -> Floats:
        """Return the probabilities, interpolated with those of the order below."""
        rest = np.where(contexts >= 0, shares.rest[contexts], 1.0)
        gram = np.where(found >= 0, shares.gram[found], 0.0)
        mixed: Floats = gram + rest * lower
        return mixed

    def _shares(self, counts: Ids) -> _Shares:
        contexts = self._codes // self._size
        discounts = _discounts(counts)[counts.clip(max=3)]
        totals = np.bincount(contexts, weights=counts, minlength=self._contexts)
        taken = np.bincount(contexts, weights=discounts, minlength=self._contexts)
        rest = np.divide(taken, totals, out=np.ones_like(totals), where=totals > 0)
        gram = np.divide(counts - discounts, totals[contexts].clip(min=1))
        return _Shares(gram, rest)


def _discounts(counts: Ids) -> Floats:
    """Return the discounts of n-grams seen 0, 1, 2 and 3 or more times."""
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if 0 in (n1, n2, n3):
        return np.array([0, 0.5, 0.5, 0.5])
    share = n1 / (n1 + 2 * n2)
    estimates = [1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    return np.array([0, *np.clip(estimates, 0.01, [1, 2, 3])])


def _growth(compress: Callable[[bytes], bytes], before: bytes, text: bytes) -> int:
    """Return the number of bytes by which a compressed text grows when another is appended.

    A compressor that works in blocks can need fewer bytes for the longer text: that counts as 0.
    """
    return max(0, len(compress(before + text)) - (len(compress(before)) if before else 0))


# nanoGPT's readme, in nats: 64-character windows, and windows of 256.
_TINY_SHAKESPEARE = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
_PUBLISHED = {
    (_TINY_SHAKESPEARE, 111_540): (
        Baseline("nanoGPT's CPU recipe", 1.88 / math.log(2)),
        Baseline("nanoGPT's GPU recipe", 1.4697 / math.log(2)),
    )
}
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 9),
    "bzip2": lambda content: bz2.compress(content, 9),
    "xz": lambda content: lzma.compress(content, preset=6),
}
