"""Trained arrays -> one recurrent step in NumPy, over all rows at once; no TensorFlow.

Inside, everything is feature-major, `[features, rows]`: kernels are transposed once at load, and the
cost of a step is the product `recurrent [gates, units] @ hidden [units, rows]`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lstmega.config.model import GeneratorCell, GeneratorConfig, RecurrentConfig
from lstmega.errors import RunError, UsageError

Array = npt.NDArray[np.float32]
Ids = npt.NDArray[np.integer]
Weights = Mapping[str, Array]  # by the names of `weight_shapes`
# Each array is [units, rows]: (hidden, memory) for lstm, (hidden,) else.
LayerState = tuple[npt.NDArray[Any], ...]
States = tuple[LayerState, ...]  # lowest layer first

_NORM_EPSILON = 1e-3  # as in Keras' LayerNormalization
_TABLE_LIMIT = 1 << 26  # numbers: above 256 MB the embedding is multiplied at each step instead

# Place of each gate in Keras' layout, and its scale. Sigmoid gates come first, as one block, and are
# halved at load, because sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh then runs over all gates in
# place. Halving is exact.
_GATES: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "lstm": ((0, 1, 3, 2), (0.5, 0.5, 0.5, 1.0)),  # i f c o -> i f o c
    "gru": ((0, 1, 2), (0.5, 0.5, 1.0)),  # z r h
    "rnn": ((0,), (1.0,)),
}


@dataclass(frozen=True)
class Layer:
    """One recurrent layer's arrays in our layout; the gates are the first axis."""

    units: int
    kernel: Array  # [gates, width]
    recurrent: Array  # [gates, units]
    bias: Array  # [gates, 1]
    candidate_bias: Array  # [units, 1], gru only: inside the product with the reset gate

    def project(self, below: Array) -> Array:
        """Return the gates' inputs `[..., gates, rows]` of the layer's, `[..., width, rows]`."""
        return self.kernel @ below + self.bias


class Decoder:
    """One recurrent step over all rows.

    `step`, `read` and `follow` return new states and never modify old ones, so that a caller may keep,
    fork and repeat them. The last bits of a row's logits depend on the number of rows, because a BLAS
    library sums in another order for another shape.

    Args:
        options: The model's options.
        weights: float32 arrays with the shapes of `options.weight_shapes`.
        begins: An id that resets the state: the line end, where lines are texts of their own.

    Raises:
        RunError: A weight is missing, unexpected, of another shape or type, or not finite.
    """

    def __init__(self, options: GeneratorConfig, weights: Weights, *, begins: int | None = None):
        self.vocabulary_size = _check(options, weights)
        self._begins = begins
        self._units = options.units
        self._arrays_per_state = 2 if options.cell == "lstm" else 1
        self._cell = CELLS[options.cell]
        self._layers = [
            layer_of(options.cell, options.units, weights, name) for (name,) in options.layer_names()
        ]
        self._residual = options.residual
        self._norms = norms_of(options, weights)
        self._hidden = [_dense(weights, name) for name in options.hidden_names()]
        self._logits_kernel, self._logits_bias = _head(options, weights)
        embeddings, first = weights["embedding/embeddings"], self._layers[0]
        self._folded = self.vocabulary_size * len(first.bias) <= _TABLE_LIMIT
        self._table = (  # [vocabulary, gates], or [vocabulary, embedding] where that is too large
            embeddings @ first.kernel.T + first.bias.T if self._folded else embeddings.copy()
        )

    def zero_states(self, rows: int) -> States:
        """Return the states before any text: per layer `(hidden, memory)` or `(hidden,)`."""
        zeros = np.zeros((self._units, rows), np.float32)
        return ((zeros,) * self._arrays_per_state,) * len(self._layers)

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read one id per row.

        Args:
            ids: `[rows]`, each from 0 to vocabulary_size - 1.
            states: Of as many rows.

        Returns:
            Logits of the next id, `[rows, vocabulary]`, and the new states.
        """
        top, states = self._advance(ids, states)
        return self._logits(top), states

    def follow(self, ids: Ids, states: States) -> Iterator[tuple[Array, States]]:
        """Read known ids, `[time, rows]`; yield what `step` returns after each."""
        for row in ids:
            logits, states = self.step(row, states)
            yield logits, states

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read a prompt, `ids [time]`, into every row; return as `step`.

        Raises:
            UsageError: There is no id.
        """
        if len(ids) == 0:
            raise UsageError("A prompt to read must have at least one id. Received: none.")
        for position in range(len(ids)):
            top, states = self._advance(ids[position : position + 1], states)
        return self._logits(top), states

    def logits(self, ids: Ids) -> Array:
        """Return the logits `[time, vocabulary]` after each of `ids [time]`, from the zero state."""
        return logits_after(self, ids, self.vocabulary_size)

    def features(self, states: States) -> Array:
        """Return the hidden state of the highest layer, `[units, rows]`."""
        return states[-1][0]

    def _advance(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Return the output layer's input, `[units, rows]`, and the new states."""
        if self._begins is not None and (beginning := ids == self._begins).any():
            states = kept(states, ~beginning)
        top = self._table[ids].T  # [gates or embedding, rows]
        new: list[LayerState] = []
        for number, (layer, state) in enumerate(zip(self._layers, states, strict=True)):
            below = self._normed(top, number - 1) if number > 0 else top
            inputs = below if number == 0 and self._folded else layer.project(below)
            new.append(self._cell(layer, inputs, state))
            top = new[-1][0] + top if self._residual and number > 0 else new[-1][0]  # [units, rows]
        top = self._normed(top, len(self._layers) - 1)
        for kernel, bias in self._hidden:
            top = np.maximum(kernel @ top + bias, 0)
        return top, tuple(new)

    def _normed(self, hidden: Array, number: int) -> Array:
        """Apply the normalisation above layer `number`, if there is one."""
        return layer_norm(hidden, *self._norms[number]) if self._norms else hidden

    def _logits(self, top: Array) -> Array:
        logits: Array = self._logits_kernel @ top  # [vocabulary, rows]
        logits += self._logits_bias
        return logits.T  # [rows, vocabulary]


class WindowDecoder(Decoder):
    """A decoder for windowed models: at each step, reads the last `window` ids from the zero state.

    Its state is the window, `[window, rows]`: ids plus one, 0 where nothing was read yet.
    """

    def __init__(self, options: GeneratorConfig, weights: Weights, *, window: int) -> None:
        super().__init__(options, weights)
        self._window = window

    def zero_states(self, rows: int) -> States:
        return ((np.zeros((self._window, rows), np.float32),),)

    def features(self, states: States) -> Array:
        """Return nothing, `[0, rows]`: the state is a window of ids."""
        return states[0][0][:0]

    def _advance(self, ids: Ids, states: States) -> tuple[Array, States]:
        window = np.concatenate([states[0][0][1:], ids[np.newaxis] + np.float32(1)])  # [window, rows]
        inner = super().zero_states(window.shape[1])
        for column in window.astype(np.int64):
            if column.any():
                top, inner = super()._advance((column - 1).clip(min=0), inner)
                inner = kept(inner, column > 0)
        return top, ((window,),)


class Stepper(Protocol):
    """The interface of a decoder; each state array has its rows on the last axis."""

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [time]`; return logits `[rows, vocabulary]` and new states."""

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [rows]`; return logits `[rows, vocabulary]` and new states."""


class Reader(Stepper, Protocol):
    """A decoder that also reads a known text, many ids at once.

    What `follow` yields may be parts of larger arrays: who keeps them keeps a copy.
    """

    def follow(self, ids: Ids, states: States) -> Iterator[tuple[Array, States]]:
        """Read known `ids [time, rows]`; yield what `step` returns after each."""


class AdaptableStepper(Reader, Protocol):
    """A decoder whose hidden state can be read."""

    def features(self, states: States) -> Array:
        """Return the hidden state of the highest layer, `[units, rows]`."""


def logits_after(decoder: Stepper, ids: Ids, size: int) -> Array:
    """Return a decoder's logits `[time, size]` after each of `ids [time]`, from the zero state."""
    states, logits = decoder.zero_states(1), np.empty((len(ids), size), np.float32)
    for position in range(len(ids)):
        row, states = decoder.step(ids[position : position + 1], states)
        logits[position] = row[0]
    return logits


def kept(states: States, keep: npt.NDArray[np.bool_]) -> States:
    """Return the states with those of other rows set to zero; `keep` is `[rows]`."""
    return tuple(tuple(array * keep for array in state) for state in states)


def repeat(states: States, rows: int) -> States:
    """Return the states of one row, `[units, 1]`, as those of many, `[units, rows]`."""
    return tuple(tuple(np.repeat(array, rows, axis=1) for array in state) for state in states)


def log_softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return logarithms of probabilities, `[rows, vocabulary]`, in float64."""
    shifted: npt.NDArray[np.float64] = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


# A cell takes the gates' `inputs [gates, rows]` (one column where all rows read the same id), and
# returns new arrays; only arrays that it made are written in place. Equations as in Keras.


def _lstm(layer: Layer, inputs: Array, state: LayerState) -> LayerState:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000."""
    hidden, memory = state
    gates: Array = layer.recurrent @ hidden  # [4 * units, rows]
    gates += inputs
    np.tanh(gates, out=gates)
    _to_sigmoid(gates[: 3 * layer.units])
    i, f, o, c = gates.reshape(4, layer.units, -1)  # each [units, rows]
    c *= i
    new_memory = f * memory
    new_memory += c
    new_hidden = np.tanh(new_memory)
    new_hidden *= o
    return new_hidden, new_memory


def _gru(layer: Layer, inputs: Array, state: LayerState) -> LayerState:
    """Cho et al. 2014, with the reset gate after the product (`reset_after=True`, as in cuDNN)."""
    (hidden,) = state
    gates: Array = layer.recurrent @ hidden  # [3 * units, rows]
    sigmoids, h = gates[: 2 * layer.units], gates[2 * layer.units :]
    sigmoids += inputs[: 2 * layer.units]
    np.tanh(sigmoids, out=sigmoids)
    _to_sigmoid(sigmoids)
    z, r = sigmoids.reshape(2, layer.units, -1)  # each [units, rows]
    h += layer.candidate_bias
    h *= r
    h += inputs[2 * layer.units :]
    np.tanh(h, out=h)
    new_hidden = hidden - h  # z * hidden + (1 - z) * h, with one product
    new_hidden *= z
    new_hidden += h
    return (new_hidden,)


def _rnn(layer: Layer, inputs: Array, state: LayerState) -> LayerState:
    """Elman 1990."""
    new_hidden: Array = layer.recurrent @ state[0]  # [units, rows]
    new_hidden += inputs
    np.tanh(new_hidden, out=new_hidden)
    return (new_hidden,)


CELLS: Mapping[str, Callable[[Layer, Array, LayerState], LayerState]] = {
    "lstm": _lstm,
    "gru": _gru,
    "rnn": _rnn,
}


def _to_sigmoid(tanh_of_half: Array) -> None:
    tanh_of_half *= 0.5
    tanh_of_half += 0.5


def layer_of(cell: GeneratorCell, units: int, weights: Weights, name: str) -> Layer:
    """Return the arrays of one recurrent layer."""
    kernel, recurrent, bias = (
        _our_gates(cell, weights[f"{name}/{part}"]) for part in ("kernel", "recurrent_kernel", "bias")
    )
    candidate_bias = np.zeros((0, 1), np.float32)
    if cell == "gru":
        # Only the candidate's recurrent bias stands inside the reset product; the rest just adds.
        candidate_bias = bias[2 * units :, 1:].copy()  # [units, 1]
        bias[: 2 * units, 0] += bias[: 2 * units, 1]
    return Layer(units, kernel, recurrent, bias[:, :1].copy(), candidate_bias)


def norms_of(options: RecurrentConfig, weights: Weights) -> list[tuple[Array, Array]]:
    """Return gamma and beta `[width]` of each layer normalisation, lowest first."""
    return [(weights[f"{name}/gamma"], weights[f"{name}/beta"]) for name in options.norm_names()]


def layer_norm(hidden: Array, gamma: Array, beta: Array) -> Array:
    """Normalise the features of `hidden [..., width, rows]` (Ba et al. 2016, arXiv:1607.06450).

    `gamma` and `beta` are `[width]`.
    """
    centred = hidden - hidden.mean(axis=-2, keepdims=True)
    centred /= np.sqrt((centred * centred).mean(axis=-2, keepdims=True) + _NORM_EPSILON)
    normed: Array = centred * gamma[:, np.newaxis] + beta[:, np.newaxis]
    return normed


def _head(options: GeneratorConfig, weights: Weights) -> tuple[Array, Array]:
    """Return the output layer's kernel `[vocabulary, units]` and bias `[vocabulary, 1]`."""
    if not options.tied:
        return _dense(weights, "logits")
    embeddings = weights["embedding/embeddings"]
    kernel = embeddings @ weights["projection/kernel"].T
    return np.ascontiguousarray(kernel), (embeddings @ weights["projection/bias"])[:, np.newaxis]


def _dense(weights: Weights, name: str) -> tuple[Array, Array]:
    """Return a dense layer's kernel `[outputs, inputs]` and bias `[outputs, 1]`."""
    kernel = np.array(weights[f"{name}/kernel"].T, order="C")
    return kernel, weights[f"{name}/bias"][:, np.newaxis].copy()


def _our_gates(cell: str, array: Array) -> Array:
    """Return Keras' `[n, gates]` (or `[gates]`) as ours, `[gates, n]`: ordered and scaled."""
    order, scale = _GATES[cell]
    blocks = array.T.reshape(len(order), -1, array.size // array.shape[-1])  # [gate, units, n]
    ours = blocks[list(order)] * np.array(scale, np.float32)[:, np.newaxis, np.newaxis]
    return np.ascontiguousarray(ours.reshape(array.shape[-1], -1))  # [gates, n]


def _check(options: GeneratorConfig, weights: Weights) -> int:
    """Check every weight and return the size of the vocabulary."""
    embeddings = weights.get("embedding/embeddings")
    vocabulary_size = len(embeddings) if embeddings is not None and embeddings.ndim == 2 else 1
    shapes = options.weight_shapes(vocabulary_size)
    missing, unexpected = sorted(shapes.keys() - weights), sorted(weights.keys() - shapes)
    if missing or unexpected:
        raise RunError(
            "The weights are not those of this model. "
            f"Missing: {missing}. Unexpected: {unexpected}. Expected: {list(shapes)}."
        )
    for name, shape in shapes.items():
        array = weights[name]
        if array.shape != shape or array.dtype != np.float32:
            received, expected = f"{array.dtype} {array.shape}", f"float32 {shape}"
        elif not np.isfinite(array).all():
            received, expected = "values that are not finite", "finite numbers"
        else:
            continue
        raise RunError(f"The weight {name} is unusable. Received: {received}. Expected: {expected}.")
    return vocabulary_size
