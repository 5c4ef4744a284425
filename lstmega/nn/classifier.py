"""ClassifierOptions -> keras.Model, and one gradient step of it.

Rows are padded on the right and no mask is used, so that the fast layers run: a layer that reads forward
has read nothing of the padding at any valid step, one that reads backward is given the valid steps in
reverse, and pooling looks at valid steps only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lstmega.config.classifier_options import ClassifierOptions
from lstmega.nn.devices import keras, tf
from lstmega.nn.generator import LAYERS

Masks = Mapping[str, Any]


def build(
    options: ClassifierOptions, inputs: int, classes: int, *, tokens: bool, seed: int
) -> keras.Model:
    """Make an untrained model.

    Args:
        options: Cell, units, layers, directions and pooling.
        inputs: Token ids, or numbers of a vector.
        classes: Number of classes.
        tokens: Whether sequences are of tokens, which have an embedding.
        seed: Decides the weights; nothing global is touched.

    Returns:
        A functional model of `[inputs [rows, time] or [rows, time, features], lengths [rows]] ->
        logits [rows, classes]`. It adds no noise: `forward` does.
    """
    layers = _layers(options, inputs, classes, tokens, seed)
    shape, kind = ((None,), "int32") if tokens else ((None, inputs), "float32")
    given = keras.Input(shape, dtype=kind, name="inputs")
    lengths = keras.Input((), dtype="int32", name="lengths")
    run = Wired(layers, options)
    logits = run(given, lengths)
    return keras.Model([given, lengths], logits, name="classifier")


def _layers(
    options: ClassifierOptions, inputs: int, classes: int, tokens: bool, seed: int
) -> dict[str, keras.Layer]:
    names = [name for ways in options.layer_names() for name in ways]
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(names) + 2).tolist())
    layers: dict[str, keras.Layer] = {}
    if tokens:
        start = keras.initializers.RandomUniform(-0.5, 0.5, seed=next(seeds))
        layers["embedding"] = keras.layers.Embedding(
            inputs, options.embedding, embeddings_initializer=start, dtype="float32", name="embedding"
        )
    for name in names:
        kernel, recurrent = next(seeds), next(seeds)
        layers[name] = LAYERS[options.cell](
            options.units,
            return_sequences=True,
            kernel_initializer=keras.initializers.GlorotUniform(seed=kernel),
            recurrent_initializer=keras.initializers.Orthogonal(seed=recurrent),
            seed=recurrent,
            dtype="float32",
            name=name,
        )
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    layers["classes"] = keras.layers.Dense(
        classes, kernel_initializer=start, dtype="float32", name="classes"
    )
    return layers


class Wired:
    """Leads sequences through the layers."""

    def __init__(self, layers: Mapping[str, keras.Layer], options: ClassifierOptions) -> None:
        self._layers, self._options = layers, options

    def __call__(self, inputs: Any, lengths: Any, masks: Masks = MappingProxyType({})) -> Any:
        hidden = inputs
        if "embedding" in self._layers:
            hidden = self._layers["embedding"](inputs)  # [rows, time, embedding]
        if "input" in masks:
            hidden *= masks["input"]
        for number, names in enumerate(self._options.layer_names()):
            if number and "between" in masks:
                hidden *= masks["between"][number - 1]
            outputs = [self._layers[names[0]](hidden)]
            if len(names) > 1:
                backward = self._layers[names[1]](Reversed()(hidden, lengths))
                outputs.append(Reversed()(backward, lengths))
            hidden = keras.ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        pooled = Pooled(self._options.pool, self._options.units)(hidden, lengths)  # [rows, width]
        if "pooled" in masks:
            pooled *= masks["pooled"]
        return self._layers["classes"](pooled)


class Reversed(keras.layers.Layer):
    """`[rows, time, width]` with the valid steps of each row in reverse, the rest in place."""

    def call(self, inputs, lengths):
        return tf.reverse_sequence(inputs, lengths, seq_axis=1)

    def compute_output_shape(self, inputs_shape, lengths_shape):
        return inputs_shape


class Pooled(keras.layers.Layer):
    """The last valid step of each direction, or mean or max over valid steps: `[rows, width]`."""

    def __init__(self, pool: str, units: int) -> None:
        super().__init__()
        self._pool, self._units = pool, units

    def call(self, hidden, lengths):
        if self._pool == "last":
            last = tf.gather(hidden, lengths - 1, axis=1, batch_dims=1)  # [rows, width]
            return tf.concat([last[:, : self._units], hidden[:, 0, self._units :]], axis=-1)
        valid = tf.sequence_mask(lengths, tf.shape(hidden)[1])[:, :, None]  # [rows, time, 1]
        if self._pool == "max":
            return tf.reduce_max(tf.where(valid, hidden, hidden.dtype.min), axis=1)
        total = tf.reduce_sum(tf.where(valid, hidden, tf.zeros_like(hidden)), axis=1)
        return total / tf.cast(lengths, hidden.dtype)[:, None]

    def compute_output_shape(self, hidden_shape, lengths_shape):
        return hidden_shape[0], hidden_shape[2]
