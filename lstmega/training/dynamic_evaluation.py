"""Dynamic evaluation: a copy of the model keeps learning from the text that it is measured on.

Each segment is predicted first and learnt from afterwards, so no prediction comes from a model that has
seen it (Mikolov 2010; Krause et al. 2018, arXiv:1709.07432). The gain shows how much a text repeats its
own names and phrases; the run itself stays as it is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_float
from lstmega.evaluation.scoring import Costs, ReadProgress
from lstmega.nn import generator
from lstmega.nn.backbone import load_weights
from lstmega.nn.devices import keras, tf
from lstmega.runs.run import GeneratorRun

SEGMENT = 32  # characters that are predicted before they are learnt from

Tensor = Any


class DynamicReader:
    """A reader of ids that learns as it reads, each time from the run's best weights.

    Args:
        run: A trained run.
        rate: Learning rate of stochastic gradient descent; the gradient's norm is bounded by 1.
        progress: Called with the characters read so far and in total.

    Raises:
        UsageError: The rate is not a number from 0 to 10.
    """

    def __init__(self, run: GeneratorRun, rate: float, progress: ReadProgress | None = None) -> None:
        self._run, self._rate = run, check_float("--dynamic", rate, 0, 10)
        self._progress, self._config = progress, run.record.model
        self._network = generator.build(self._config, len(run.vocabulary), seed=0)
        self._optimizer = keras.optimizers.SGD(self._rate, global_clipnorm=1.0)
        self._optimizer.build(self._network.trainable_variables)
        self._step = tf.function(self._learn, reduce_retracing=True)

    def __call__(self, ids: npt.NDArray[np.int32]) -> Costs:
        """Return the cost of each id but the first, `[characters - 1]`, in nats."""
        load_weights(self._network, self._run.weights())
        states, costs = generator.zero_states(self._config, 1), []
        for start in range(0, len(ids) - 1, SEGMENT):
            piece = ids[start : start + SEGMENT + 1][None]  # [1, characters]
            nats, *states = self._step(tf.constant(piece[:, :-1]), tf.constant(piece[:, 1:]), states)
            costs.append(nats.numpy())
            if self._progress is not None:
                self._progress(min(start + SEGMENT, len(ids) - 1), len(ids) - 1)
        return np.concatenate(costs).astype(np.float64)

    def _learn(self, inputs: Tensor, targets: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            logits, *after = generator.forward(self._network, self._config, inputs, states)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # [1, time]
            loss = tf.reduce_mean(nats)
        gradients = tape.gradient(loss, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return nats[0], *after
