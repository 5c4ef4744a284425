"""Keras' LSTM and GRU with the same weights and numbers, faster on a CPU.

The gradient is written by hand: its loop over time only propagates, and the kernel's gradient is one
large product over all steps at the end. Inside, everything is feature-major, `[features, rows]`, because
products of a wide matrix with a narrow one are faster than the reverse. Work that does not depend on the
previous step is outside of the loops (`rnn_loops.py`).

Where Keras would use cuDNN, and for masks, recurrent dropout, other activations and mixed precision, the
layers fall back to Keras' own.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from lstmega.nn import rnn_loops as loops
from lstmega.nn.devices import graph, keras, tf
from lstmega.nn.precision import dense, row_major

Tensor = Any


def is_fast(layer: keras.Layer) -> bool:
    """Return whether a layer uses our loop when it is called without a mask."""
    if not isinstance(layer, _Fast):
        return False
    cell = layer.cell
    return bool(
        layer.use_cudnn is not True  # Keras refuses that without a GPU, in its own words
        and not layer.unroll
        and not cell.recurrent_dropout
        and not (cell.dropout and cell.implementation == 1)  # a mask for each gate
        and cell.use_bias
        and cell.activation is keras.activations.tanh
        and cell.recurrent_activation is keras.activations.sigmoid
        and getattr(cell, "reset_after", True)
        and cell.compute_dtype == cell.variable_dtype in {"float32", "float64"}
        and not tf.config.list_logical_devices("GPU")
    )


class _Fast(keras.layers.Layer):
    """Base of LSTM and GRU: converts between Keras' axes and feature-major axes."""

    _loop: Callable[..., Any]
    _input_bias: Callable[[], Tensor]
    _recurrent_weights: Callable[[], tuple[Tensor, ...]]

    @cached_property
    def _graph(self) -> Any:
        """The loop as a graph for eager calls, in which its operations would be slow one by one.

        One graph serves all lengths and batch sizes.
        """
        kind = self.compute_dtype
        weights = [tf.TensorSpec(part.shape, kind) for part in self._recurrent_weights()]
        states = [tf.TensorSpec((self.units, None), kind) for _ in tf.nest.flatten(self.cell.state_size)]
        given = tf.TensorSpec((None, self.cell.kernel.shape[-1], None), kind)
        return graph(
            lambda given, weights, states: self._loop(given, None, *weights, *states),
            input_signature=[given, weights, states],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would look for the class in Keras' module.
        method, arguments = super().__reduce__()
        return _restored, (type(self).__name__, method.__name__, arguments)

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return the last output, all outputs `[rows, time, units]` and the new states."""
        initial_state = tf.nest.flatten(initial_state)
        masked = any(part is not None for part in tf.nest.flatten(mask))
        if masked or not is_fast(self):
            return super().inner_loop(sequences, initial_state, mask, training)  # type: ignore[no-any-return]
        if training and self.dropout:
            sequences *= self.cell.get_dropout_mask(sequences[:, 0])[:, None]
        projected = tf.transpose(dense(sequences, self.cell.kernel), (1, 2, 0))
        projected += self._input_bias()[:, None]  # [time, gates, rows]
        return self._run(projected, None, initial_state)

    def read(
        self, ids: Tensor, embeddings: Tensor, initial_state: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Compute the layer on `embeddings[ids]`, with the embedding folded into the gates.

        `embeddings @ kernel + bias` is one small table, of which the row of an id is the layer's input.

        Args:
            ids: `[rows, time]`.
            embeddings: `[vocabulary, features]`.
            initial_state: Each `[rows, units]`.

        Returns:
            Outputs `[rows, time, units]` and the new states, each `[rows, units]`; `return_sequences`
            and `return_state` have no effect.

        Raises:
            ValueError: The layer is not built, drops its inputs, or is not `is_fast`.
        """
        if not self.built or self.dropout or not is_fast(self):
            raise ValueError(
                f"{self.name} cannot fold an embedding: it must be built, without dropout, and a fast "
                f"layer. Received: built={self.built}, {self.get_config()}. Accepted: the embedded ids."
            )
        table = embeddings @ self.cell.kernel + self._input_bias()  # [vocabulary, gates]
        _, outputs, states = self._run(table, tf.transpose(ids), initial_state)
        return outputs, *states

    def _run(
        self, given: Tensor, ids: Tensor | None, initial_state: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        if self.go_backwards and ids is None:
            given = tf.reverse(given, [0])
        elif self.go_backwards:
            ids = tf.reverse(ids, [0])
        states = [row_major(tf.transpose(state)) for state in initial_state]  # [units, rows]
        weights = [tf.convert_to_tensor(weight) for weight in self._recurrent_weights()]
        if ids is None and tf.executing_eagerly():
            outputs, *states = self._graph(given, weights, states)
        else:
            outputs, *states = self._loop(given, ids, *weights, *states)
        states = [tf.transpose(state) for state in states]  # [rows, units]
        return states[0], tf.transpose(outputs, (2, 0, 1)), states


def _as_keras(layer: type) -> type:
    """Give the class Keras' name in files: they open without lstmega, and as our layers with it."""
    layer.__module__ = "keras.layers"
    keras.saving.get_custom_objects()[layer.__name__] = layer
    return layer


def _restored(layer: str, method: str, arguments: tuple[Any, ...]) -> keras.layers.Layer:
    return getattr({"LSTM": LSTM, "GRU": GRU}[layer], method)(*arguments)


@_as_keras
class LSTM(_Fast, keras.layers.LSTM):
    """`keras.layers.LSTM`, faster on a CPU; arguments, weights, files and numbers are the same."""

    _loop = staticmethod(loops.lstm)

    def _input_bias(self) -> Tensor:
        return self.cell.bias

    def _recurrent_weights(self) -> tuple[Tensor, ...]:
        return (self.cell.recurrent_kernel,)


@_as_keras
class GRU(_Fast, keras.layers.GRU):
    """`keras.layers.GRU`, faster on a CPU; arguments, weights, files and numbers are the same."""

    _loop = staticmethod(loops.gru)

    def _input_bias(self) -> Tensor:
        # Only the candidate's recurrent bias stands inside the reset gate's product; the rest just adds.
        given, recurrent = tf.unstack(self.cell.bias)
        return given + tf.concat([recurrent[: -self.units], tf.zeros_like(recurrent[-self.units :])], 0)

    def _recurrent_weights(self) -> tuple[Tensor, ...]:
        return self.cell.recurrent_kernel, self.cell.bias[1, -self.units :]
