"""One gradient step on all replicas; the recurrent state goes in and comes out."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.classifier_options import ClassifierOptions
from lstmega.config.options import ModelOptions
from lstmega.nn.classifier import Wired
from lstmega.nn.devices import Device, graph, keras, tf
from lstmega.nn.dropout import draw, mask
from lstmega.nn.generator import forward, zero_states

_LEAST_ROWS = 8  # of a shard: with fewer, a product is mostly reading the kernel


class ShardedStep:
    """One gradient step; what is learnt is a subclass' affair.

    On a CPU the rows of a batch are shared between its threads. Each shard is a computation of its own,
    so that threads need not wait for each other after every small operation; that is faster than all
    threads working at each product. What comes out is the same up to float noise, and the same bit by
    bit for the same number of threads.

    Args:
        network: What learns.
        optimizer: Keras', built.
        device: Where; the replicas of its strategy share the rows of a batch too.
        seed: Of the noise; the masks of a step are a function of it and of the optimizer's count.
        compiled: Let XLA compile the step. That takes a second or two, once, and makes it faster.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        device: Device,
        *,
        seed: int = 0,
        compiled: bool = False,
    ) -> None:
        self._network, self._optimizer, self._seed = network, optimizer, seed
        self._strategy, self._threads = device.strategy, device.threads if device.kind == "cpu" else 1
        self._step = graph(self._on_all)
        self._shard = graph(self._gradients, jit_compile=True) if compiled else self._gradients
        self._update = graph(self._apply, jit_compile=True) if compiled else self._apply

    def _masks(self, rows, time, seed):
        """Draw the noise of a shard."""
        raise NotImplementedError

    def _loss(self, arrays, masks, share):
        """Return the loss of a shard, whose rows are `share` of all, and what its rows lead to."""
        raise NotImplementedError

    def _on_all(self, *arrays):
        nats, results = self._strategy.run(self._on_replica, arrays)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, nats, axis=None), results

    def _on_replica(self, *arrays):
        rows, time = arrays[0].shape[:2]
        sizes = shards_of(rows, self._threads)
        replicas, replica = self._strategy.num_replicas_in_sync, tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group * len(sizes)
        split = [tf.split(array, sizes) for array in arrays]
        shards = [
            self._shard(
                *parts,
                masks=self._masks(sizes[number], time, self._noise_seed(first + number)),
                share=sizes[number] / (rows * replicas),
            )
            for number, parts in enumerate(zip(*split, strict=True))
        ]
        nats, gradients, results = zip(*shards, strict=True)
        self._update([tf.add_n(parts) for parts in zip(*gradients, strict=True)])
        return tf.add_n(nats), [tf.concat(parts, axis=0) for parts in zip(*results, strict=True)]

    def _noise_seed(self, shard):
        """Return the seed of a shard's masks at this step."""
        step = tf.cast(self._optimizer.iterations, tf.int32)
        of_step = tf.random.experimental.stateless_fold_in([self._seed, 0], step)
        return tf.random.experimental.stateless_fold_in(of_step, shard)

    def _gradients(self, *arrays, masks, share):
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            loss, results = self._loss(arrays, masks, share)
        gradients = [tf.convert_to_tensor(part) for part in tape.gradient(loss, variables)]
        return loss, gradients, results

    def _apply(self, gradients):
        variables = self._network.trainable_variables
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))


class Step(ShardedStep):
    """One gradient step of a generator; the recurrent state goes in and comes out.

    Args:
        network: `[ids, *states] -> [logits, *states]`.
        options: The network's.
        optimizer, device, seed, compiled: As for `ShardedStep`.
        characters: Of targets that count in a batch, on average; None where all do. The loss of a step
            is its total over this number, so that every character of an epoch has the same weight.
    """

    def __init__(
        self,
        network: keras.Model,
        options: ModelOptions,
        optimizer: keras.optimizers.Optimizer,
        device: Device,
        *,
        seed: int = 0,
        compiled: bool = False,
        characters: float | None = None,
    ) -> None:
        super().__init__(network, optimizer, device, seed=seed, compiled=compiled)
        self._options, self._characters = options, characters

    def __call__(self, inputs, targets, carries, states):
        """Take a step.

        Args:
            inputs: Ids `[rows, time]`.
            targets: The ids of one position later, `[rows, time]`; -1 where they do not count.
            carries: 1 where a row goes on from its state, 0 where it starts from zero, `[rows]`.
            states: Each `[rows, units]`.

        Returns:
            Mean nats per character before the step, and the new states.
        """
        return self._step(inputs, targets, carries, *states)

    def _masks(self, rows, time, seed):
        return draw(self._options, rows, time, seed)

    def _loss(self, arrays, masks, share):
        inputs, targets, carries, *states = arrays
        states = [state * carries[:, None] for state in states]  # [rows, units] each
        logits, *states = forward(self._network, self._options, inputs, states, masks=masks)
        if self._characters is not None:
            return tf.reduce_sum(counted_nats(targets, logits)) / self._characters, states
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # [rows, time]
        return tf.reduce_mean(nats) * share, states


class ClassifierStep(ShardedStep):
    """One gradient step of a classifier.

    Args:
        network: As from `build`.
        options: The network's.
        optimizer, device, seed, compiled: As for `ShardedStep`.
        unknown: The id that dropped tokens are read as; None where there are no tokens.
        class_weights: Of the examples of each class, `[classes]`.
        examples: In a batch, on average: the loss of a step is its total over this number, so that every
            example of an epoch has the same weight.
    """

    def __init__(
        self,
        network: keras.Model,
        options: ClassifierOptions,
        optimizer: keras.optimizers.Optimizer,
        device: Device,
        *,
        seed: int,
        compiled: bool,
        unknown: int | None,
        class_weights: Any,
        examples: float,
    ) -> None:
        super().__init__(network, optimizer, device, seed=seed, compiled=compiled)
        self._options, self._unknown, self._examples = options, unknown, examples
        layers = {layer.name: layer for layer in network.layers}
        self._forward = Wired(layers, options)
        self._class_weights = tf.constant(class_weights)

    def __call__(self, inputs, lengths, labels):
        """Take a step.

        Args:
            inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`.
            lengths: Valid steps of each row, `[rows]`.
            labels: Classes `[rows]`, -1 where a row does not count.

        Returns:
            Mean nats per example before the step.
        """
        return self._step(inputs, lengths, labels)[0]

    def _masks(self, rows, time, seed):
        options = self._options
        between = (options.layers - 1, rows, 1, options.width)
        wanted = {
            "pooled": (options.dropout, (rows, options.width)),
            "between": (options.dropout if options.layers > 1 else 0.0, between),
        }
        if self._unknown is not None:
            wanted["input"] = options.input_dropout, (rows, 1, options.embedding)
            wanted["tokens"] = options.token_dropout, (rows, time)
        return {
            name: mask(rate, shape, tf.random.experimental.stateless_fold_in(seed, place))
            for place, (name, (rate, shape)) in enumerate(wanted.items())
            if rate > 0
        }

    def _loss(self, arrays, masks, share):
        inputs, lengths, labels = arrays
        if "tokens" in masks:
            inputs = tf.where(masks["tokens"] > 0, inputs, self._unknown)
        logits = self._forward(inputs, lengths, masks)  # [rows, classes]
        smoothing, true = self._options.smoothing, tf.one_hot(labels, logits.shape[-1])  # 0 for -1
        targets = true * (1 - smoothing) + smoothing / logits.shape[-1]
        nats = tf.nn.softmax_cross_entropy_with_logits(targets, logits)  # [rows]
        weights = tf.linalg.matvec(true, self._class_weights)  # [rows], 0 where a row does not count
        return tf.reduce_sum(nats * weights) / self._examples, []


def counted_nats(targets, logits):
    """Return the cost of each target, `[rows, time]`; 0 where it does not count.

    Args:
        targets: Ids `[rows, time]`, -1 where they do not count.
        logits: `[rows, time, vocabulary]`.
    """
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)
    return tf.where(targets >= 0, nats, tf.zeros_like(nats))


def shards_of(rows: int, threads: int) -> list[int]:
    """Return the rows of each shard of a batch: as equal as can be, and not too few."""
    shards = max(1, min(threads, rows // _LEAST_ROWS))
    return [rows // shards + (number < rows % shards) for number in range(shards)]


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
