"""One gradient step on all replicas and row shards, and the recurrent states of the lanes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config.model import GeneratorConfig
from lstmega.config.training import FixedPrecision
from lstmega.nn import classifier, generator
from lstmega.nn.devices import Device, graph, keras, tf
from lstmega.nn.dropout import Masks, draw
from lstmega.nn.generator import zero_states
from lstmega.nn.precision import rounding

Tensor = Any

_LEAST_ROWS = 8  # of a shard: with fewer, a product mostly reads the kernel


class TrainStep(ABC):
    """One data-parallel gradient step; subclasses define the loss and the dropout masks.

    On a CPU the rows of a batch are shared between its threads. Each shard is a separate computation, so
    that threads need not wait for each other after every small operation; that is faster than all
    threads working at each product. The result is the same up to float noise, where factors are rounded
    up to that rounding, and the same bit by bit for the same number of threads.

    Args:
        network: The model that is trained, from `nn.generator.build` or `nn.classifier.build`.
        config: Its configuration.
        optimizer: A Keras optimizer, built.
        device: Where to compute; the replicas of its strategy share the rows of a batch too.
        seed: Seed of the dropout masks, which are a function of it and of the optimizer's step.
        compiled: Whether XLA compiles the step: that takes a second or two, once, and makes it faster.
        precision: Type of the factors of the network's large products.
        counted: Mean number of counted targets in a batch; None where all count. The loss of a step is
            the summed cost divided by it, so that every target of an epoch has the same weight.
    """

    def __init__(
        self,
        network: keras.Model,
        config: Any,
        optimizer: keras.optimizers.Optimizer,
        device: Device,
        *,
        seed: int = 0,
        compiled: bool = False,
        precision: FixedPrecision = "float32",
        counted: float | None = None,
    ) -> None:
        self._network, self._optimizer, self._seed = network, optimizer, seed
        self._config, self._counted = config, counted
        self._strategy, self._threads = device.strategy, device.threads if device.kind == "cpu" else 1
        self._rounding = partial(rounding, precision, compiled=compiled)
        self._step = graph(self._on_all)
        self._shard = graph(self._gradients, jit_compile=True) if compiled else self._gradients
        self._update = graph(self._apply, jit_compile=True) if compiled else self._apply

    @abstractmethod
    def _masks(self, rows: int, time: int, seed: Tensor) -> Masks:
        """Draw the dropout masks of a shard."""

    @abstractmethod
    def _loss(self, arrays: Sequence[Tensor], masks: Masks, share: float) -> tuple[Tensor, list[Tensor]]:
        """Return a shard's part of the loss, and further results with one row for each of its rows.

        Args:
            arrays: The shard's rows of the batch.
            masks: Its dropout masks.
            share: Its share of all rows.
        """

    def _on_all(self, *arrays: Tensor) -> tuple[Tensor, list[Tensor]]:
        nats, results = self._strategy.run(self._on_replica, arrays)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, nats, axis=None), results

    def _on_replica(self, *arrays: Tensor) -> tuple[Tensor, list[Tensor]]:
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

    def _noise_seed(self, shard: int) -> Tensor:
        """Return the seed of a shard's masks at this step, `[2]`."""
        step = tf.cast(self._optimizer.iterations, tf.int32)
        of_step = tf.random.experimental.stateless_fold_in([self._seed, 0], step)
        return tf.random.experimental.stateless_fold_in(of_step, shard)

    def _gradients(
        self, *arrays: Tensor, masks: Masks, share: float
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        variables = self._network.trainable_variables
        with self._rounding():
            with tf.GradientTape() as tape:
                loss, results = self._loss(arrays, masks, share)
            gradients = [tf.convert_to_tensor(part) for part in tape.gradient(loss, variables)]
        return loss, gradients, results

    def _apply(self, gradients: Sequence[Tensor]) -> None:
        variables = self._network.trainable_variables
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))


class GeneratorStep(TrainStep):
    """One gradient step of a generator, which carries recurrent states; arguments as for `TrainStep`."""

    def __call__(
        self, inputs: Tensor, targets: Tensor, carries: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Take a step.

        Args:
            inputs: Ids `[rows, time]`.
            targets: The ids of one position later, `[rows, time]`; -1 where they do not count.
            carries: 1 where a row continues from its state, 0 where it starts from zero, `[rows]`.
            states: Each `[rows, units]`.

        Returns:
            Mean nats per character before the step, and the new states.
        """
        nats, after = self._step(inputs, targets, carries, *states)
        return nats, after

    def _masks(self, rows: int, time: int, seed: Tensor) -> Masks:
        return draw(generator.dropout_masks(self._config, rows, time), seed)

    def _loss(self, arrays: Sequence[Tensor], masks: Masks, share: float) -> tuple[Tensor, list[Tensor]]:
        inputs, targets, carries, *states = arrays
        states = [state * carries[:, None] for state in states]  # [rows, units] each
        logits, *states = generator.forward(self._network, self._config, inputs, states, masks=masks)
        if self._counted is not None:
            return tf.reduce_sum(counted_nats(targets, logits)) / self._counted, states
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # [rows, time]
        return tf.reduce_mean(nats) * share, states


class ClassifierStep(TrainStep):
    """One gradient step of a classifier.

    Args:
        unknown_id: The id that replaces dropped tokens; None where there are no tokens.
        class_weights: Weight of the examples of each class, `[classes]`.
        how, options: The arguments of `TrainStep`; `counted` is required.
    """

    def __init__(
        self, *how: Any, unknown_id: int | None, class_weights: npt.NDArray[np.float32], **options: Any
    ) -> None:
        super().__init__(*how, **options)
        self._unknown_id, self._class_weights = unknown_id, tf.constant(class_weights)

    def __call__(self, inputs: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
        """Take a step.

        Args:
            inputs: Ids `[rows, time]`, or vectors `[rows, time, features]`.
            lengths: Valid steps of each row, `[rows]`.
            labels: Classes `[rows]`, -1 where a row does not count.

        Returns:
            Mean nats per example before the step.
        """
        return self._step(inputs, lengths, labels)[0]

    def _masks(self, rows: int, time: int, seed: Tensor) -> Masks:
        tokens = self._unknown_id is not None
        drawn = draw(classifier.dropout_masks(self._config, rows, time, tokens=tokens), seed)
        return classifier.split_masks(self._config, drawn)

    def _loss(self, arrays: Sequence[Tensor], masks: Masks, share: float) -> tuple[Tensor, list[Tensor]]:
        inputs, lengths, labels = arrays
        if "tokens" in masks:
            inputs = tf.where(masks["tokens"] > 0, inputs, self._unknown_id)
        logits = classifier.forward(self._network, self._config, inputs, lengths, masks=masks)
        smoothing, true = self._config.label_smoothing, tf.one_hot(labels, logits.shape[-1])  # 0 for -1
        targets = true * (1 - smoothing) + smoothing / logits.shape[-1]
        nats = tf.nn.softmax_cross_entropy_with_logits(targets, logits)  # [rows]
        weights = tf.linalg.matvec(true, self._class_weights)  # [rows], 0 where a row does not count
        return tf.reduce_sum(nats * weights) / self._counted, []


def counted_nats(targets: Tensor, logits: Tensor) -> Tensor:
    """Return the cost of each target, `[rows, time]`; 0 where it does not count.

    Args:
        targets: Ids `[rows, time]`, -1 where they do not count.
        logits: `[rows, time, vocabulary]`.
    """
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets, 0), logits)
    return tf.where(targets >= 0, nats, tf.zeros_like(nats))


def shards_of(rows: int, threads: int) -> list[int]:
    """Return the rows of each shard of a batch: as equal as possible, and not too few."""
    shards = max(1, min(threads, rows // _LEAST_ROWS))
    return [rows // shards + (number < rows % shards) for number in range(shards)]


class CarriedState:
    """The recurrent states of all lanes, as the replicas of a strategy hold them.

    Args:
        config: The model's configuration.
        rows: Rows of a batch, over all replicas.
        strategy: Its replicas hold equal shares of the rows, in order.
    """

    def __init__(self, config: GeneratorConfig, rows: int, strategy: tf.distribute.Strategy) -> None:
        self._strategy = strategy
        self._rows = rows // strategy.num_replicas_in_sync
        self.values: list[Tensor] = []
        self.assign([state.numpy() for state in zero_states(config, rows)])

    def numpy(self) -> list[npt.NDArray[np.float32]]:
        """Return the states of all rows, each `[rows, units]`."""
        local = self._strategy.experimental_local_results
        return [np.concatenate([part.numpy() for part in local(value)]) for value in self.values]

    def assign(self, states: list[npt.NDArray[np.float32]]) -> None:
        """Set the states of all rows, each `[rows, units]`."""
        self.values = [self._placed(state) for state in states]

    def _placed(self, state: npt.NDArray[np.float32]) -> Tensor:
        if self._strategy.num_replicas_in_sync == 1:
            return tf.constant(state)

        def share(context: tf.distribute.experimental.ValueContext) -> Tensor:
            first = context.replica_id_in_sync_group * self._rows
            return tf.constant(state[first : first + self._rows])

        return self._strategy.experimental_distribute_values_from_function(share)
