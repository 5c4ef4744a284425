"""What learns: a model, its optimizer, and the recurrent states of the lanes that it reads."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lstmega import batches, model
from lstmega.checkpoints import Snapshot
from lstmega.devices import Device, keras, tf
from lstmega.jobs import Job
from lstmega.lanes import joined
from lstmega.options import TrainingOptions
from lstmega.schedule import Schedule
from lstmega.steps import Carried, Step

_GROUP = 100  # steps: of shorter epochs several are one pipeline
_WORTH_COMPILING = 8_000  # steps of time: each saves 0.1 ms or more, compiling takes a second or two


class Learner:
    """A model, its optimizer and its lanes.

    Args:
        job: What to train.
        device: Where.
        compiled: Let XLA compile the steps; None decides by how many there will be.
    """

    def __init__(self, job: Job, device: Device, *, compiled: bool | None = None) -> None:
        self._job, self._device = job, device
        wanted = self._worth_compiling() if compiled is None else compiled
        self.compiled = wanted and device.kind == "cpu"  # XLA and cuDNN exclude each other
        options, size, strategy = job.training, len(job.vocabulary), device.strategy
        with strategy.scope():
            self.network = model.build(job.model, size, seed=options.seed)
            self.optimizer = _optimizer(options)
            self.optimizer.build(self.network.trainable_variables)
        # Callbacks see a compiled model of the same layers; only the network, without it, is saved.
        self.model = keras.Model(self.network.inputs, self.network.outputs)
        self.model.compile(optimizer=self.optimizer)
        self._step = Step(
            self.network,
            job.model,
            self.optimizer,
            device,
            seed=options.seed,
            compiled=self.compiled,
            characters=job.lanes.characters if job.lanes.masked else None,
        )
        self._carried = Carried(job.model, job.lanes.rows, strategy)
        self.snapshot = Snapshot(self.network, self.optimizer, self._carried)
        self._ids = batches.compact(job.training_ids(), size)

    def _worth_compiling(self) -> bool:
        options = self._job.training
        if options.minutes is not None:
            return options.minutes >= 0.2
        steps = options.steps or options.epochs * self._job.lanes.batches
        return steps * self._job.lanes.steps >= _WORTH_COMPILING

    def learn(self, batch: Any) -> float:
        """Take a step on (inputs, targets, carries), and return its loss in nats per character."""
        nats, self._carried.values = self._step(*batch, self._carried.values)
        return float(nats)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the network have its averaged weights for a while, where they are averaged."""
        averages = [one for one in self.optimizer.variables if one.name.endswith("_average")]
        variables = self.network.trainable_variables if averages else []
        before = [variable.numpy() for variable in variables]
        for variable, average in zip(variables, averages, strict=True):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        """Yield the batches of all steps from `first` on."""
        step = first
        while step < schedule.total_steps:
            data = self._some_batches(*schedule.position(step)).take(schedule.total_steps - step)
            if self._device.replicas > 1:
                data = self._device.strategy.experimental_distribute_dataset(data)
            for batch in data:
                yield batch
                step += 1

    def _some_batches(self, epoch: int, first: int) -> tf.data.Dataset:
        """Return the rest of this epoch, and of short epochs several: a pipeline takes time to build."""
        lanes = self._job.lanes
        epochs = range(epoch, epoch + max(1, _GROUP // lanes.batches))
        return batches.dataset(self._ids, joined([lanes.plan(epoch) for epoch in epochs]).after(first))

    def seconds_of_a_step(
        self, schedule: Schedule, first: int, *, budget: float, poll: Callable[[], object]
    ) -> float:
        """Time a few steps, then put everything back as it was.

        Args:
            schedule: Of what the steps read.
            first: The next step.
            budget: Seconds of the whole training; a small part of them is spent here.
            poll: Called after each step; may raise.
        """
        before, times, shapes = self.snapshot.take(), [], set()
        for batch in self.batches(schedule, first):
            begun = time.monotonic()
            self.learn(batch)
            if batch[0].shape[1] in shapes:  # the first of a shape is traced and compiled
                times.append(time.monotonic() - begun)
            shapes.add(batch[0].shape[1])
            poll()
            if len(times) > 1 and (len(times) > 11 or sum(times) > budget / 25):
                break
        self.snapshot.put_back(before)
        return float(np.median(times))


def _optimizer(options: TrainingOptions) -> keras.optimizers.Optimizer:
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[options.optimizer]
    optimizer = kind(
        options.learning_rate,
        weight_decay=options.weight_decay or None,
        global_clipnorm=options.clip_norm,
        use_ema=options.average > 0,
        ema_momentum=options.average,
    )
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["embeddings", "bias", "gamma", "beta"])
    return optimizer
