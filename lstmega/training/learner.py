"""What learns: a model, its optimizer, and how it takes a step, measures and shows itself."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmega.config.options import TrainingOptions
from lstmega.data.batching import joined
from lstmega.display.history import HistoryRow
from lstmega.evaluation import baselines as yardsticks
from lstmega.nn import generator as model
from lstmega.nn.devices import Device, keras, tf
from lstmega.runs import report
from lstmega.runs.run import Run
from lstmega.training import pipeline as batches
from lstmega.training import previews
from lstmega.training.checkpoints import Snapshot
from lstmega.training.schedule import Schedule
from lstmega.training.step import Carried, Step
from lstmega.training.validation import Validator, stream

_GROUP = 100  # steps: of shorter epochs several are one pipeline
_WORTH_COMPILING = 8_000  # steps of time: each saves 0.1 ms or more, compiling takes a second or two


@dataclass(frozen=True)
class Measured:
    """What a model costs on what was held out, in nats per unit; classifiers have an accuracy too."""

    nats: float
    accuracy: float | None = None


class Learner(ABC):
    """A model, its optimizer, and how it learns; what it learns from is a subclass' affair.

    Args:
        job: What to train.
        device: Where.
        compiled: Let XLA compile the steps; None decides by how many there will be.
    """

    measured: int  # units that `measure` reads

    def __init__(self, job: Any, device: Device, *, compiled: bool | None = None) -> None:
        self._job, self._device = job, device
        wanted = self._worth_compiling() if compiled is None else compiled
        self.compiled = wanted and device.kind == "cpu"  # XLA and cuDNN exclude each other
        with device.strategy.scope():
            self.network = self._built()
            self.optimizer = _optimizer(job.training)
            self.optimizer.build(self.network.trainable_variables)
        # Callbacks see a compiled model of the same layers; only the network, without it, is saved.
        self.model = keras.Model(self.network.inputs, self.network.outputs)
        self.model.compile(optimizer=self.optimizer)
        self._begin()
        self.snapshot = Snapshot(self.network, self.optimizer, self._carried)

    _carried: Carried | None = None

    @abstractmethod
    def _built(self) -> keras.Model:
        """Make the network."""

    @abstractmethod
    def _begin(self) -> None:
        """Make what learns and measures."""

    @abstractmethod
    def _steps_of_time(self) -> float:
        """Return the steps of time of a batch, on average."""

    @abstractmethod
    def learn(self, batch: Any) -> float:
        """Take a step on a batch, and return its loss in nats per unit."""

    @abstractmethod
    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        """Yield the batches of all steps from `first` on; the first array is `[rows, time, ...]`."""

    @abstractmethod
    def measure(self) -> Measured | None:
        """Return what the model costs on what was held out; None where nothing was."""

    @abstractmethod
    def preview(self, name: str, row: HistoryRow) -> tuple[str, list[tuple[str, str]]]:
        """Return what samples.txt says of a validation, and what a person sees of it at once."""

    @abstractmethod
    def adopt(self, initial: Any) -> None:
        """Take another run's best weights."""

    @abstractmethod
    def finish(self, run: Any) -> None:
        """Say of a trained run how good it is."""

    def _worth_compiling(self) -> bool:
        options = self._job.training
        if options.minutes is not None:
            return bool(options.minutes >= 0.2)
        steps = options.steps or options.epochs * self._job.epoch_steps
        return bool(steps * self._steps_of_time() >= _WORTH_COMPILING)

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


class TextLearner(Learner):
    """A generator, and the recurrent states of the lanes that it reads."""

    def _built(self) -> keras.Model:
        job = self._job
        return model.build(job.model, len(job.vocabulary), seed=job.training.seed)

    def _begin(self) -> None:
        job, lanes = self._job, self._job.lanes
        self._step = Step(
            self.network,
            job.model,
            self.optimizer,
            self._device,
            seed=job.training.seed,
            compiled=self.compiled,
            characters=lanes.characters if lanes.masked else None,
        )
        self._carried = Carried(job.model, lanes.rows, self._device.strategy)
        self._ids = batches.compact(job.training_ids(), len(job.vocabulary))
        held_out = job.measured_ids()
        self.measured = 0 if held_out is None else len(held_out)
        self._validator = None if held_out is None else self._validates(held_out)

    def _validates(self, held_out: Any) -> Validator:
        ids = batches.compact(held_out, len(self._job.vocabulary))
        plan = self._job.measured_plan() or stream(len(held_out))
        return Validator(self.network, self._job.model, ids, plan)

    def _steps_of_time(self) -> float:
        return float(self._job.lanes.steps)

    def learn(self, batch: Any) -> float:
        """Take a step on (inputs, targets, carries), and return its loss in nats per character."""
        nats, self._carried.values = self._step(*batch, self._carried.values)
        return float(nats)

    def measure(self) -> Measured | None:
        """Return what the held-out text costs, in nats per character."""
        return Measured(self._validator().nats_per_character) if self._validator else None

    def preview(self, name: str, row: HistoryRow) -> tuple[str, list[tuple[str, str]]]:
        """Write with the weights of the moment."""
        samples = previews.write(self._job, name, self.network, row)
        shown = [(f"{sample.temperature:g}", sample.text) for sample in samples]
        return previews.entry(row, samples, self._job.unit), shown

    def adopt(self, initial: Run) -> None:
        """Take another run's best weights; the rows of characters that it did not know stay fresh."""
        model.adopt(self.network, initial.weights(), initial.vocabulary, self._job.vocabulary)

    def finish(self, run: Run) -> None:
        """Say of a trained run how good it is, beside simple models of the same text."""
        corpus, parts = self._job.corpus, self._job.texts
        found = yardsticks.measure(*parts, tokens=corpus.tokens)
        others = yardsticks.published(corpus.sha256, len(parts[1]))
        run.update(status="finished", yardsticks=(*found, *others))
        run.write_card(report.card(run))

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
