"""One gradient step on all replicas; the recurrent state goes in and comes out."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.devices import keras, tf
from lstmega.model import zero_states
from lstmega.options import ModelOptions


class Step:
    """One gradient step.

    Args:
        network: `[ids, *states] -> [logits, *states]`.
        optimizer: Keras'.
        strategy: Its replicas share the rows of a batch.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._network, self._optimizer, self._strategy = network, optimizer, strategy
        self._share = 1.0 / strategy.num_replicas_in_sync
        self._compiled = tf.function(self._on_all, reduce_retracing=True)

    def __call__(self, inputs, targets, carries, states):
        """Take a step.

        Args:
            inputs: Ids `[rows, time]`.
            targets: The ids of one position later, `[rows, time]`.
            carries: 1 where a row goes on from its state, 0 where it starts from zero, `[rows]`.
            states: Each `[rows, units]`.

        Returns:
            Mean nats per character before the step, and the new states.
        """
        return self._compiled(inputs, targets, carries, states)

    def _on_all(self, inputs, targets, carries, states):
        nats, states = self._strategy.run(self._on_replica, (inputs, targets, carries, states))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, nats, axis=None), states

    def _on_replica(self, inputs, targets, carries, states):
        states = [state * carries[:, None] for state in states]  # [rows, units] each
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            logits, *states = self._network([inputs, *states], training=True)
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # [rows, time]
            loss = tf.reduce_mean(nats) * self._share
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss, states


class Carried:
    """The recurrent states of all lanes, as the replicas of a strategy hold them.

    Args:
        options: The model's.
        rows: Rows of a batch, over all replicas.
        strategy: Its replicas hold equal shares of the rows, in order.
    """

    def __init__(self, options: ModelOptions, rows: int, strategy: tf.distribute.Strategy) -> None:
        self._strategy = strategy
        self._rows = rows // strategy.num_replicas_in_sync
        self.values: list[Any] = []
        self.assign([state.numpy() for state in zero_states(options, rows)])

    def numpy(self) -> list[npt.NDArray[np.float32]]:
        """Return the states of all rows, each `[rows, units]`."""
        local = self._strategy.experimental_local_results
        return [np.concatenate([part.numpy() for part in local(value)]) for value in self.values]

    def assign(self, states: list[npt.NDArray[np.float32]]) -> None:
        """Take the states of all rows, each `[rows, units]`."""
        self.values = [self._placed(state) for state in states]

    def _placed(self, state: npt.NDArray[np.float32]) -> Any:
        if self._strategy.num_replicas_in_sync == 1:
            return tf.constant(state)

        def share(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            first = context.replica_id_in_sync_group * self._rows
            return tf.constant(state[first : first + self._rows])

        return self._strategy.experimental_distribute_values_from_function(share)
