"""Fit the exponents of a mixture on held-out text, which neither of its models has learnt from.

They are charged for: each costs half the logarithm of the number of characters (Rissanen 1978,
doi:10.1016/0005-1098(78)90005-5), spread over the held-out text. Among the network alone, the n-gram
model alone, one pair of exponents, and a pair for each length of the known context, the cheapest is
taken; so a mixture is never worse than counting on the text that decided.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import stream_lanes
from lstmega.evaluation import scoring
from lstmega.inference.decoder import log_softmax
from lstmega.inference.mixture import NETWORK, NGRAM, Exponents, PairedDecoder, mix, split
from lstmega.runs.record import Losses

FITTED = 30_000  # held-out characters that exponents are fitted on, at most
_MOST_KEPT = 16_000_000  # numbers of distributions that are kept at once
_LANES = 8  # of a long text that is read for fitting alone, at least
_PRIOR = 100.0  # characters that speak for one pair of exponents
_ROUNDS = 15  # of Newton's method; it ends earlier where nothing changes
_STEP = 0.5  # the largest change of an exponent in a round
_ENOUGH = 1e-3  # the change that ends it

Ids = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]
# What both models predict for many characters at once, these characters' ids, and their places.
_Step = tuple[Floats, Ids, npt.NDArray[np.intp]]


def mixed(decoder: PairedDecoder, ids: Ids) -> tuple[Exponents, Losses]:
    """Return the exponents to mix two models with, and the losses on the text that decided them.

    Args:
        decoder: Has both models.
        ids: The held-out text, `[characters]`, at least two.
    """
    kept = None
    if 2 * decoder.vocabulary_size * len(ids) <= _MOST_KEPT:
        kept = list(_steps(decoder, ids))  # read once, for both
    exponents = fit(decoder, ids, kept)
    network, ngram, nats = measure(exponents, kept or _steps(decoder, ids))
    alone = min((network, NETWORK), (ngram, NGRAM))
    cost = charge(exponents, len(ids) - 1)
    if alone[0] <= nats + cost:  # exponents are fitted on a part of a long text
        exponents, nats, cost = alone[1], alone[0], 0.0
    return exponents, Losses(network=network, ngram=ngram, nats=nats + cost, charge=cost)


def fit(decoder: PairedDecoder, ids: Ids, steps: Iterable[_Step] | None = None) -> Exponents:
    """Return the exponents that predict a text best; of a long one characters from all over count.

    Args:
        decoder, ids: As for `mixed`.
        steps: The text, where it was read before.
    """
    most = min(FITTED, _MOST_KEPT // (2 * decoder.vocabulary_size))
    every, count = 1, len(ids)
    if steps is None:
        rows = stream_lanes(len(ids) - 1)[0]
        every = min(math.ceil(count / most), max(1, rows // _LANES))
        steps = _steps(decoder, ids, every)
    thin = math.ceil(count / every / most)
    chosen = [
        (logits[places % thin == 0], targets[places % thin == 0]) for logits, targets, places in steps
    ]
    parts, targets = (np.concatenate(items) for items in zip(*chosen, strict=True))
    network, ngram, depths = split(parts)
    deepest = int(depths.max())
    pairs = np.tile(_newton(network, ngram, targets, np.array([0.5, 0.5]), 0), (deepest + 1, 1))
    own = pairs.copy()
    for depth in np.unique(depths):
        at = depths == depth
        own[depth] = _newton(network[at], ngram[at], targets[at], pairs[depth], _PRIOR)
    found: list[Exponents] = [NETWORK, NGRAM, _pairs(pairs[:1]), _pairs(own)]
    costs = [
        scoring.nats(mix(parts, np.array(one, np.float32)), targets).mean() + charge(one, len(ids) - 1)
        for one in found
    ]
    return found[int(np.argmin(costs))]


def charge(exponents: Exponents, characters: int) -> float:
    """Return the description length of exponents, in nats for each predicted character of a text."""
    fitted = 0 if exponents in (NETWORK, NGRAM) else 2 * len(exponents)
    return fitted * math.log(max(2, characters)) / 2 / characters


def measure(exponents: Exponents, steps: Iterable[_Step]) -> list[float]:
    """Return the costs of network, n-gram model and mixture on a text that was read, in nats."""
    models, sums, count = [np.array(one, np.float32) for one in (NETWORK, NGRAM, exponents)], [], 0
    for logits, targets, _ in steps:
        sums.append([scoring.nats(mix(logits, one), targets).sum() for one in models])
        count += len(targets)
    costs: list[float] = (np.sum(sums, axis=0) / count).tolist()
    return costs


def _pairs(exponents: Exact) -> Exponents:
    return tuple((a, b) for a, b in exponents.tolist())


def _steps(decoder: PairedDecoder, ids: Ids, every: int = 1) -> Iterator[_Step]:
    """Read every n-th lane of a text."""
    _, length, warmup = stream_lanes(len(ids) - 1)
    for step in scoring.steps(decoder, ids[:-1], length, warmup, every=every):
        yield step.logits[step.counted], ids[step.places + 1], step.places


def _newton(network: Floats, ngram: Floats, targets: Ids, start: Exact, prior: float) -> Exact:
    """Return the pair of exponents with the least cost; the cost is convex in them.

    Args:
        network, ngram: Logarithms of probabilities, `[characters, vocabulary]`.
        targets: `[characters]`.
        start: The first guess, which is also what the prior expects.
        prior: Strength of the prior; 0 has none.
    """
    rows, pair, models = np.arange(len(targets)), start.copy(), (network, ngram)
    wanted = np.array([one[rows, targets].sum(dtype=np.float64) for one in models])
    for _ in range(_ROUNDS):
        a, b = pair.astype(np.float32)
        shares = np.exp(log_softmax(a * network + b * ngram))  # [characters, vocabulary]
        weighted = [shares * one for one in models]
        means = np.array([one.sum(axis=1) for one in weighted])  # [2, characters]
        slope = wanted - means.sum(axis=1) - prior * (pair - start)
        second = [[np.vdot(one, other) for other in models] for one in weighted]
        curve = np.array(second) - means @ means.T
        change = np.linalg.solve(curve + (prior + 1e-6) * np.eye(2), slope).clip(-_STEP, _STEP)
        pair = (pair + change).clip(0, 2)
        if abs(change).max() < _ENOUGH:
            break
    return pair
