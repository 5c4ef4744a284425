"""Fit the exponents of a mixture on held-out text, which neither of its models has learnt from.

They are charged for: each costs half the logarithm of the number of characters (Rissanen 1978,
doi:10.1016/0005-1098(78)90005-5), spread over the held-out text. Among the network alone, the n-gram
model alone, one pair of exponents, and a pair for each length of the known context, the cheapest is
taken; so a mixture is not worse than counting on the text that it was fitted on.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import stream_lanes
from lstmega.evaluation import scoring
from lstmega.inference import ngram
from lstmega.inference.decoder import log_softmax
from lstmega.inference.mixture import COUNTS, NETWORK, Exponents, PairedDecoder, mix, split
from lstmega.runs.record import Losses, Mixture
from lstmega.runs.run import GeneratorRun

FITTED = 30_000  # held-out characters that exponents are fitted on, at most
_NUMBERS = 16_000_000  # of both distributions at once, at most
_PRIOR = 100.0  # characters that speak for one pair of exponents
_ROUNDS = 15  # of Newton's method; it ends earlier where nothing changes
_STEP = 0.5  # the largest change of an exponent in a round
_ENOUGH = 1e-3  # the change that ends it

Ids = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]


def mixed(run: GeneratorRun, learnt: Ids, held_out: Ids) -> Mixture:
    """Count the training text of a run, write the n-gram model, and mix it with the best weights.

    Args:
        run: A trained run.
        learnt, held_out: The ids of its training and of its held-out text.
    """
    model = ngram.Counts(learnt, len(run.vocabulary)).model()
    decoder = run.paired(model)
    exponents = fit(decoder, held_out)
    losses = measure(decoder, exponents, held_out)
    return Mixture(
        sha256=run.write_ngram(ngram.pack(model)),
        order=model.order,
        exponents=tuple(exponents),
        **vars(losses),
    )


def fit(decoder: PairedDecoder, ids: Ids) -> Exponents:
    """Return the exponents that predict a held-out text best; `ids [characters]`, at least two."""
    most = min(FITTED, _NUMBERS // (2 * decoder.vocabulary_size)) + 1
    read = list(_steps(decoder, ids[:most]))
    parts = np.concatenate([logits for logits, _ in read])
    network, ngram, depths = split(parts)
    targets = np.concatenate([wanted for _, wanted in read])
    deepest = int(depths.max())
    pairs = np.tile(_newton(network, ngram, targets, np.array([0.5, 0.5]), 0), (deepest + 1, 1))
    own = pairs.copy()
    for depth in np.unique(depths):
        at = depths == depth
        own[depth] = _newton(network[at], ngram[at], targets[at], pairs[depth], _PRIOR)
    found: list[Exponents] = [NETWORK, COUNTS, _pairs(pairs[:1]), _pairs(own)]
    costs = [
        scoring.nats(mix(parts, np.array(one)), targets).mean() + charge(one, len(ids) - 1)
        for one in found
    ]
    return found[int(np.argmin(costs))]


def charge(exponents: Exponents, characters: int) -> float:
    """Return the description length of exponents, in nats for each predicted character of a text."""
    fitted = 0 if exponents in (NETWORK, COUNTS) else 2 * len(exponents)
    return fitted * math.log(max(2, characters)) / 2 / characters


def measure(decoder: PairedDecoder, exponents: Exponents, ids: Ids) -> Losses:
    """Measure both models and their mixture on a held-out text, in one reading.

    Args:
        decoder: Has both models.
        exponents: As `fit` returns them.
        ids: The text, `[characters]`.
    """
    models, sums = [np.array(one) for one in (NETWORK, COUNTS, exponents)], np.zeros(3)
    for parts, targets in _steps(decoder, ids):
        sums += [scoring.nats(mix(parts, one), targets).sum() for one in models]
    network, ngram, mixed = (sums / (len(ids) - 1)).tolist()
    cost = charge(exponents, len(ids) - 1)
    return Losses(network=network, ngram=ngram, nats=mixed + cost, charge=cost)


def _pairs(exponents: Exact) -> Exponents:
    return tuple((a, b) for a, b in exponents.tolist())


def _steps(decoder: PairedDecoder, ids: Ids) -> Iterator[tuple[Floats, Ids]]:
    """Yield what both models predict for many characters at once, and the characters' ids."""
    _, length, warmup = stream_lanes(len(ids) - 1)
    for step in scoring.steps(decoder, ids[:-1], length, warmup):
        yield step.logits[step.counted], ids[step.places + 1]


def _newton(network: Floats, ngram: Floats, targets: Ids, start: Exact, prior: float) -> Exact:
    """Return the pair of exponents with the least cost; the cost is convex in them.

    Args:
        network, ngram: Logarithms of probabilities, `[characters, vocabulary]`.
        targets: `[characters]`.
        start: The first guess, which is also what the prior expects.
        prior: Strength of the prior; 0 has none.
    """
    rows, pair = np.arange(len(targets)), start.copy()
    models = (network, ngram)
    wanted = np.array([one[rows, targets].sum(dtype=np.float64) for one in models])
    for _ in range(_ROUNDS):
        shares = np.exp(log_softmax(pair[0] * network + pair[1] * ngram))  # [characters, vocabulary]
        means = [(shares * one).sum(axis=1) for one in models]
        slope = wanted - [mean.sum() for mean in means] - prior * (pair - start)
        curve = np.array(
            [
                [
                    ((shares * a * b).sum(axis=1) - mean_a * mean_b).sum()
                    for b, mean_b in zip(models, means, strict=True)
                ]
                for a, mean_a in zip(models, means, strict=True)
            ]
        )
        change = np.linalg.solve(curve + (prior + 1e-6) * np.eye(2), slope).clip(-_STEP, _STEP)
        pair = (pair + change).clip(0, 2)
        if abs(change).max() < _ENOUGH:
            break
    return pair
