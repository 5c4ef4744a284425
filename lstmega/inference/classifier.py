"""Trained arrays -> probabilities of classes, in NumPy; no TensorFlow.

Feature-major as the decoder, whose cells it uses. Padding is never part of a sum, and a layer that reads
backwards begins at the last valid step of each row.
"""

import numpy as np
import numpy.typing as npt

from lstmega.config.model import ClassifierConfig
from lstmega.inference.decoder import (
    CELLS,
    Array,
    Layer,
    Weights,
    layer_norm,
    layer_of,
    log_softmax,
    norms_of,
)


class Classifier:
    """Classifies sequences.

    Args:
        options: The model's options.
        weights: float32 arrays by the names of `ClassifierConfig.weight_shapes`, checked.
    """

    def __init__(self, options: ClassifierConfig, weights: Weights) -> None:
        self._options, self._cell = options, CELLS[options.cell]
        self._layers = [
            [layer_of(options.cell, options.units, weights, name) for name in names]
            for names in options.layer_names()
        ]
        self._norms = norms_of(options, weights)
        self._embeddings = weights.get("embedding/embeddings")
        self._kernel, self._bias = weights["classes/kernel"], weights["classes/bias"]

    def log_probabilities(
        self, inputs: npt.NDArray[np.generic], lengths: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float64]:
        """Return the logarithm of each class' probability, `[rows, classes]`.

        Args:
            inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`.
            lengths: Valid steps of each row, `[rows]`, from 1 to time.
        """
        embedded = inputs if self._embeddings is None else self._embeddings[inputs]
        hidden = np.ascontiguousarray(embedded.transpose(1, 2, 0), np.float32)  # [time, width, rows]
        for number, ways in enumerate(self._layers):
            below = layer_norm(hidden, *self._norms[number - 1]) if number and self._norms else hidden
            outputs = [self._run(ways[0], below)]
            if len(ways) > 1:
                outputs.append(_reversed(self._run(ways[1], _reversed(below, lengths)), lengths))
            above = np.concatenate(outputs, axis=1)  # [time, width, rows]
            hidden = hidden + above if number and self._options.residual else above
        if self._norms:
            hidden = layer_norm(hidden, *self._norms[-1])
        return log_softmax(self._pooled(hidden, lengths) @ self._kernel + self._bias)

    def _run(self, layer: Layer, inputs: Array) -> Array:
        """Return all outputs `[time, units, rows]` of a layer."""
        time, _, rows = inputs.shape
        zeros = np.zeros((layer.units, rows), np.float32)
        state = (zeros,) * (2 if self._options.cell == "lstm" else 1)
        gates = layer.project(inputs)  # [time, gates, rows]
        outputs = np.empty((time, layer.units, rows), np.float32)
        for step in range(time):
            state = self._cell(layer, gates[step], state)
            outputs[step] = state[0]
        return outputs

    def _pooled(self, hidden: Array, lengths: npt.NDArray[np.integer]) -> Array:
        """Return the input of the last layer, `[rows, width]`."""
        rows, units = np.arange(hidden.shape[2]), self._options.units
        if self._options.pool == "last":
            last: Array = hidden[lengths - 1, :, rows]  # [rows, width]
            last[:, units:] = hidden[0, units:].T  # backwards, the last step is the first
            return last
        valid = (np.arange(len(hidden))[:, np.newaxis] < lengths)[:, np.newaxis]  # [time, 1, rows]
        if self._options.pool == "max":
            most: Array = np.where(valid, hidden, np.float32(-np.inf)).max(axis=0).T
            return most
        mean: Array = (np.where(valid, hidden, 0).sum(axis=0) / lengths).T.astype(np.float32)
        return mean


def _reversed(inputs: Array, lengths: npt.NDArray[np.integer]) -> Array:
    """Return `[time, width, rows]` with the valid steps of each row in reverse, the rest in place."""
    steps = np.arange(len(inputs))[:, np.newaxis]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)  # [time, rows]
    return np.take_along_axis(inputs, order[:, np.newaxis], axis=0)
