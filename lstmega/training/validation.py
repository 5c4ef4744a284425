"""The held-out loss of a model in training: total nats over total characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.model import GeneratorConfig
from lstmega.data.batching import BatchPlan
from lstmega.nn.devices import graph, keras, tf
from lstmega.nn.generator import forward, zero_states
from lstmega.training import pipeline
from lstmega.training.step import counted_nats

Tensor = Any


@dataclass(frozen=True)
class Loss:
    """The cost of a text.

    Args:
        nats: Total, over all predicted characters.
        characters: Number of predicted characters.
    """

    nats: float
    characters: int

    @property
    def nats_per_character(self) -> float:
        """Mean cost in nats."""
        return self.nats / self.characters


class Validator:
    """Measures the same text repeatedly during a training.

    Args:
        network: `[ids, *states] -> [logits, *states]`.
        config: The network's configuration.
        ids: The text, `[characters]`.
        plan: The order of reading, for example of `data.batching.stream_plan`.
    """

    def __init__(
        self,
        network: keras.Model,
        config: GeneratorConfig,
        ids: npt.NDArray[np.integer],
        plan: BatchPlan,
    ) -> None:
        self._network, self._config = network, config
        self._compiled = graph(self._batch, reduce_retracing=True)
        self._rows = plan.starts.shape[1]
        self._dataset = pipeline.dataset(ids, plan)

    def __call__(self) -> Loss:
        """Read the text once and return its cost."""
        states, total, count = zero_states(self._config, self._rows), 0.0, 0
        for inputs, targets, carries in self._dataset:
            nats, counted, *states = self._compiled(inputs, targets, carries, states)
            total, count = total + float(nats), count + int(counted)
        return Loss(total, count)

    def _batch(
        self, inputs: Tensor, targets: Tensor, carries: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        states = [state * carries[:, None] for state in states]
        logits, *states = forward(self._network, self._config, inputs, states)
        nats = tf.cast(counted_nats(targets, logits), tf.float64)
        return tf.reduce_sum(nats), tf.math.count_nonzero(targets >= 0), *states
