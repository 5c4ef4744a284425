"""A network and an n-gram model as one decoder.

Their distributions are combined log-linearly and renormalised over the whole vocabulary (Klakow 1998,
"Log-linear interpolation of language models"): p(c) ~ network(c)^a * ngram(c)^b. The exponents a and b
depend on the length of the longest context that the n-gram model knows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.inference.decoder import AdaptableStepper, Array, Decoder, Ids, States, logits_after
from lstmega.inference.ngram import LEAST_PROBABILITY, NGram, Nodes

Exponents = Sequence[tuple[float, float]]  # of network and n-gram model, by length of the known context

_NUMBERS = 1 << 19  # of distributions that are computed at once, about

NETWORK, NGRAM = ((1.0, 0.0),), ((0.0, 1.0),)  # the exponents of one model alone


class NGramDecoder:
    """An n-gram model with the interface of `Decoder`; its state is the model's nodes.

    Args:
        model: The n-gram model.
        begins: An id that resets the state: the line end, where lines are texts of their own.
    """

    def __init__(self, model: NGram, *, begins: int | None = None) -> None:
        self.model, self._begins = model, begins

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""
        return ((self.model.begin(rows),),)

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read one id per row, `[rows]`; return the logits `[rows, vocabulary]` and new states."""
        nodes = self._after(ids, states[0][0])
        return self._logits(nodes), ((nodes,),)

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read a prompt, `ids [time]`, into every row; return as `step`."""
        nodes = states[0][0]
        for identity in ids[-self.model.order :]:  # earlier ones leave no trace
            nodes = self._after(np.repeat(identity, nodes.shape[1]), nodes)
        return self._logits(nodes), ((nodes,),)

    def follow(self, ids: Ids, states: States) -> Iterator[tuple[Array, States]]:
        """Read known ids, `[time, rows]`; yield what `step` returns after each."""
        rows, nodes = ids.shape[1], states[0][0]
        block = max(1, _NUMBERS // (rows * self.model.size))
        for start in range(0, len(ids), block):
            known = self.model.follow(ids[start : start + block], nodes, begins=self._begins)
            orders, times, _ = known.shape
            logits = self._logits(known.reshape(orders, times * rows)).reshape(times, rows, -1)
            for time in range(times):
                nodes = known[:, time]
                yield logits[time], ((nodes,),)

    def features(self, states: States) -> Array:
        """Return nothing, `[0, rows]`: counts have no hidden state."""
        return np.empty((0, states[0][0].shape[1]), np.float32)

    def _after(self, ids: Ids, nodes: Nodes) -> Nodes:
        if self._begins is not None:
            nodes = nodes * (ids != self._begins)
        return self.model.advance(ids, nodes)

    def _logits(self, nodes: Nodes) -> Array:
        logits: Array = np.log(np.maximum(self.model.probabilities(nodes), LEAST_PROBABILITY))
        return logits


class PairedDecoder:
    """Both models over the same rows; what to sample from is made of it by `MixedDecoder`.

    It is called as a `Decoder`, but its logits are `[rows, 2 * vocabulary + 1]`, for `split`: those of
    the network, those of the n-gram model, and the length of the context that the n-gram model knows.
    Its states are the network's, then the nodes.

    Args:
        network: The network.
        ngram: The n-gram model of the same ids.
    """

    def __init__(self, network: Decoder, ngram: NGramDecoder) -> None:
        self.vocabulary_size = network.vocabulary_size
        self.network, self.ngram = network, ngram

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""
        return self.network.zero_states(rows) + self.ngram.zero_states(rows)

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read one id per row, `[rows]`."""
        network = self.network.step(ids, states[:-1])
        return self._joined(network, self.ngram.step(ids, states[-1:]))

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read a prompt, `ids [time]`, into every row."""
        network = self.network.read(ids, states[:-1])
        return self._joined(network, self.ngram.read(ids, states[-1:]))

    def follow(self, ids: Ids, states: States) -> Iterator[tuple[Array, States]]:
        """Read known ids, `[time, rows]`; yield what `step` returns after each."""
        network, ngram = self.network.follow(ids, states[:-1]), self.ngram.follow(ids, states[-1:])
        return map(self._joined, network, ngram)

    def features(self, states: States) -> Array:
        """Return the hidden state of the network's highest layer, `[units, rows]`."""
        return self.network.features(states[:-1])

    def _joined(
        self, network: tuple[Array, States], ngram: tuple[Array, States]
    ) -> tuple[Array, States]:
        nodes: Nodes = ngram[1][0][0]
        depths = self.ngram.model.depths(nodes)[:, np.newaxis].astype(np.float32)
        return np.concatenate([network[0], ngram[0], depths], axis=1), network[1] + ngram[1]


class MixedDecoder:
    """The mixture of both models, with the interface of `Decoder`.

    Args:
        pair: Both models.
        exponents: For each length of the known context from 0; the last serves all longer ones.
    """

    def __init__(self, pair: PairedDecoder, exponents: Exponents) -> None:
        self.pair, self.zero_states, self.features = pair, pair.zero_states, pair.features
        self._exponents = np.array(exponents, np.float32)
        both = np.array(exponents).sum(axis=1)
        self._shares = np.array(exponents)[:, 1] / np.where(both > 0, both, 1)

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read one id per row, `[rows]`; return the logits `[rows, vocabulary]` and new states."""
        logits, states = self.pair.step(ids, states)
        return mix(logits, self._exponents), states

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read a prompt, `ids [time]`, into every row; return as `step`."""
        logits, states = self.pair.read(ids, states)
        return mix(logits, self._exponents), states

    def follow(self, ids: Ids, states: States) -> Iterator[tuple[Array, States]]:
        """Read known ids, `[time, rows]`; yield what `step` returns after each."""
        for logits, after in self.pair.follow(ids, states):
            yield mix(logits, self._exponents), after

    def logits(self, ids: Ids) -> Array:
        """Return the logits `[time, vocabulary]` after each of `ids [time]`, from the zero state."""
        return logits_after(self, ids, self.pair.vocabulary_size)

    def ngram_shares(self, states: States) -> npt.NDArray[np.float64]:
        """Return the n-gram model's share of both exponents for the next id of each row, `[rows]`."""
        nodes: Nodes = states[-1][0]
        depths = self.pair.ngram.model.depths(nodes).clip(max=len(self._shares) - 1)
        shares: npt.NDArray[np.float64] = self._shares[depths]
        return shares


def mixed(pair: PairedDecoder, exponents: Exponents) -> AdaptableStepper:
    """Return what two models write with: one of them alone, where the other has no share."""
    if exponents == NETWORK:
        return pair.network
    return pair.ngram if exponents == NGRAM else MixedDecoder(pair, exponents)


def mix(logits: Array, exponents: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
    """Return the logits of the mixture, `[rows, vocabulary]`.

    Args:
        logits: Those of `PairedDecoder`.
        exponents: For each length of the known context, `[lengths, 2]`; the last serves all longer ones.
    """
    network, ngram, depths = split(logits)
    own = exponents[depths.clip(max=len(exponents) - 1)]  # [rows, 2]
    mixed: npt.NDArray[Any] = own[:, :1] * network + own[:, 1:] * ngram
    return mixed


def split(logits: Array) -> tuple[Array, Array, Ids]:
    """Return the logits of both models, `[rows, vocabulary]` each, and the lengths of known contexts."""
    size = logits.shape[1] // 2
    return logits[:, :size], logits[:, size : 2 * size], logits[:, -1].astype(np.intp)
