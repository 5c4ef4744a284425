"""Noise that training adds: dropout of what layers pass on, and of their recurrent kernels.

A mask is a pure function of a seed, so that a training that goes on has nothing to remember of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lstmega.devices import keras, tf
from lstmega.options import ModelOptions


class Noise:
    """The masks of one step.

    Args:
        options: Say what is dropped, and how much of it.
        seed: `[2]` whole numbers; None adds no noise.
    """

    def __init__(self, options: ModelOptions, seed: tf.Tensor | None = None) -> None:
        self._options, self._seed = options, seed

    def inputs(self, embedded):
        """Drop some of the embedded characters' features, `[rows, time, embedding]`."""
        return self._drop(embedded, self._options.input_dropout, 0)

    def outputs(self, hidden, number: int):
        """Drop some of what the recurrent layer `number` passes on, `[rows, time, units]`."""
        return self._drop(hidden, self._options.dropouts()[number], 1 + number)

    @contextmanager
    def weights(self, layer: keras.Layer, number: int) -> Iterator[None]:
        """Let the recurrent layer `number` compute with some of its recurrent kernel dropped."""
        rate = self._options.weight_drop
        if rate == 0 or self._seed is None:
            yield
            return
        kernel, place = layer.cell.recurrent_kernel, 1 + self._options.layers + number
        dropped = tf.nn.experimental.stateless_dropout(
            tf.convert_to_tensor(kernel), rate, self._at(place)
        )
        with keras.StatelessScope(state_mapping=[(kernel, dropped)]):
            yield

    def _drop(self, hidden, rate: float, place: int):
        if rate == 0 or self._seed is None:
            return hidden
        shape = [None, 1, None] if self._options.variational else None  # one mask for all of time
        return tf.nn.experimental.stateless_dropout(hidden, rate, self._at(place), noise_shape=shape)

    def _at(self, place: int):
        return tf.random.experimental.stateless_fold_in(self._seed, place)
