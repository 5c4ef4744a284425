"""The backbone that generators and classifiers share: embedding, recurrent stack, normalisation.

A network is a plain `keras.Model`. The same wiring builds it symbolically and computes its gradient
step, where dropout masks are arguments.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lstmega.config.model import RecurrentConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference.decoder import Array, Weights
from lstmega.nn import precision, rnn
from lstmega.nn.devices import keras, tf
from lstmega.nn.dropout import NO_MASKS, Masks, MaskSpecs, masked_kernel

Tensor = Any
Tensors = Sequence[Tensor]
Layers = Mapping[str, keras.Layer]

CELLS = {"lstm": rnn.LSTM, "gru": rnn.GRU, "rnn": keras.layers.SimpleRNN}
_FOLDED = 3  # the cost of a feature in rows of a table (`rnn_loops._weight_gradients`)
_SEEDS = 4096  # more than any network has weights


def seeds_of(seed: int) -> Iterator[int]:
    """Yield one seed for each weight initialiser of a network; nothing global is touched."""
    return iter(np.random.SeedSequence(seed).generate_state(_SEEDS).tolist())


def recurrent_layers(config: RecurrentConfig, seeds: Iterator[int]) -> list[keras.Layer]:
    """Make the recurrent layers and normalisations of a configuration, untrained.

    The arguments are those with which Keras picks cuDNN on a GPU: tanh, sigmoid, bias, no recurrent
    dropout, no unrolling.
    """
    layers = []
    for name in (name for names in config.layer_names() for name in names):
        kernel, recurrent = next(seeds), next(seeds)
        layers.append(
            CELLS[config.cell](
                config.units,
                return_sequences=True,
                return_state=True,
                kernel_initializer=keras.initializers.GlorotUniform(seed=kernel),
                recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent),
                seed=recurrent,  # of Keras' own dropout: never used, but part of the exact state
                dtype="float32",
                name=name,
            )
        )
    norms = (keras.layers.LayerNormalization(dtype="float32", name=name) for name in config.norm_names())
    return [*layers, *norms]


def dense(units: int, name: str, seed: int, activation: str | None = None) -> keras.layers.Dense:
    """Make a dense layer, untrained."""
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(units, activation, kernel_initializer=start, dtype="float32", name=name)


def applied(layer: keras.layers.Dense, inputs: Tensor) -> Tensor:
    """Apply a dense layer to `[rows, time, features]` with the precision of the step."""
    if isinstance(inputs, keras.KerasTensor):
        return layer(inputs)
    return layer.activation(precision.dense(inputs, layer.kernel) + layer.bias)


def states_of(config: RecurrentConfig) -> tuple[str, ...]:
    """Return the names of a recurrent layer's states: `h` and `c`, or `h`."""
    return ("h", "c") if config.cell == "lstm" else ("h",)


def kernel_masks(config: RecurrentConfig) -> MaskSpecs:
    """Return rate and shape of the masks of all recurrent kernels."""
    return {
        name: (config.weight_drop, shape)
        for name, shape in config.recurrent_shapes(1).items()
        if name.endswith("/recurrent_kernel")
    }


class Backbone:
    """Embedding -> recurrent layers -> normalisation, as a function of inputs, states and masks.

    Args:
        config: The wiring.
        layers: The layers by name; without one named `embedding` the inputs are vectors.
        fold: Compute the product of embedding and first kernel once for each token of the vocabulary
            instead of each step of the batch, where that is faster (`LSTM.read`).
    """

    def __init__(self, config: RecurrentConfig, layers: Layers, *, fold: bool = False) -> None:
        self._config, self._layers, self._fold = config, layers, fold

    def __call__(
        self,
        inputs: Tensor,
        states: Tensors = (),
        *,
        lengths: Tensor | None = None,
        masks: Masks = NO_MASKS,
    ) -> tuple[Tensor, list[Tensor]]:
        """Read sequences.

        Args:
            inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`.
            states: Per layer `h, c` (lstm) or `h`, each `[rows, units]`; none start from zero.
            lengths: Valid steps of each row, `[rows]`, for layers that read backward.
            masks: Dropout masks: `embedding`, a layer's name for its output, and
                `NAME/recurrent_kernel`.

        Returns:
            The top layer's output `[rows, time, width]`, and the new states.
        """
        config, parts = self._config, len(states) // self._config.layers
        hidden, after, folded = inputs, [], self._folds(masks)
        for number, names in enumerate(config.layer_names()):
            given = states[number * parts : (number + 1) * parts]
            if number == 0 and folded:
                layer = self._layers[names[0]]
                with masked_kernel(layer, masks):
                    above, *new = layer.read(inputs, self._layers["embedding"].embeddings, given)
            else:
                below = hidden if number else self._embedded(inputs, masks)
                if number and config.layer_norm:
                    below = self._layers[f"{names[0]}_norm"](below)
                above, new = self._read(names, below, given, lengths, masks)
            hidden = hidden + above if number and config.residual else above
            if number + 1 == config.layers and config.layer_norm:
                hidden = self._layers["head_norm"](hidden)
            if names[0] in masks:
                hidden *= masks[names[0]]
            after += new
        return hidden, after

    def _folds(self, masks: Masks) -> bool:
        """Return whether a table of the first layer's gates costs less than the embedding's products."""
        if not self._fold or "embedding" in masks:
            return False
        vocabulary_size, width = self._layers["embedding"].embeddings.shape
        first = self._layers[self._config.layer_names()[0][0]]
        return rnn.is_fast(first) and bool(vocabulary_size <= _FOLDED * width)

    def _embedded(self, inputs: Tensor, masks: Masks) -> Tensor:
        """Return the input of the lowest layer, `[rows, time, features]`."""
        embedding = self._layers.get("embedding")
        if embedding is None:
            return inputs
        if isinstance(inputs, keras.KerasTensor):
            return embedding(inputs)
        embedded = tf.gather(embedding.embeddings, inputs)  # [rows, time, embedding]
        return embedded * masks["embedding"] if "embedding" in masks else embedded

    def _read(
        self, names: Sequence[str], below: Tensor, given: Tensors, lengths: Tensor, masks: Masks
    ) -> tuple[Tensor, list[Tensor]]:
        """Return output `[rows, time, width]` and new states of all directions of one layer."""
        outputs, new = [], []
        for name in names:
            layer, backward = self._layers[name], name != names[0]
            read = Reversed()(below, lengths) if backward else below
            with masked_kernel(layer, masks):
                output, *states = layer(read, initial_state=list(given) or None)
            outputs.append(Reversed()(output, lengths) if backward else output)
            new += states
        return keras.ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0], new


class Reversed(keras.layers.Layer):
    """`[rows, time, width]` with the valid steps of each row in reverse order, the padding in place."""

    def call(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Reverse the first `lengths [rows]` steps of each row."""
        return tf.reverse_sequence(inputs, lengths, seq_axis=1)

    def compute_output_shape(self, inputs_shape: Any, lengths_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return inputs_shape


def layers_of(network: keras.Model) -> dict[str, keras.Layer]:
    """Return a network's layers by name."""
    return {layer.name: layer for layer in network.layers}


def _variables(network: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yield all weights with the names of the configuration's `weight_shapes`."""
    for layer in network.layers:
        for variable in layer.weights:
            yield f"{layer.name}/{variable.name}", variable


def weights_of(network: keras.Model) -> dict[str, Array]:
    """Return a copy of all weights, by the names of the configuration's `weight_shapes`."""
    return {name: np.array(variable.numpy()) for name, variable in _variables(network)}


def load_weights(network: keras.Model, weights: Weights) -> None:
    """Set all weights, by the names of `weights_of`."""
    for name, variable in _variables(network):
        variable.assign(weights[name])


def warm_start(
    network: keras.Model,
    weights: Weights,
    before: Vocabulary,
    now: Vocabulary,
    *,
    token_axes: Mapping[str, int],
) -> None:
    """Load those weights of another network that have the same names and shapes; the rest stay fresh.

    Args:
        network: Fresh from `build`.
        weights: The other network's, by name.
        before: The vocabulary of `weights`.
        now: The network's vocabulary.
        token_axes: Name -> axis of the weights with one row for each token. Rows of tokens of both
            vocabularies are loaded.
    """
    for name, variable in _variables(network):
        if name in weights and name in token_axes:
            fresh = np.array(variable.numpy())
            variable.assign(_moved_rows(fresh, weights[name], token_axes[name], before, now))
        elif name in weights and tuple(variable.shape) == weights[name].shape:
            variable.assign(weights[name])


def _moved_rows(fresh: Array, known: Array, axis: int, before: Vocabulary, now: Vocabulary) -> Array:
    """Return `fresh` with the rows of the tokens of both vocabularies taken from `known`."""
    rows, source = np.moveaxis(fresh, axis, 0), np.moveaxis(known, axis, 0)  # [vocabulary, ...]
    shared = "".join(character for character in before.characters if character in now)
    rows[now.encode(shared)] = source[before.encode(shared)]
    if before.unknown_id is not None and now.unknown_id is not None:
        rows[now.unknown_id] = source[before.unknown_id]
    return np.moveaxis(rows, 0, axis)
