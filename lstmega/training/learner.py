"""The learner, which the training loop drives: network, optimizer, step, validation, previews."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from lstmega.config.training import FixedPrecision, TrainingConfig
from lstmega.display import formatting
from lstmega.display.history import HistoryRow
from lstmega.nn.backbone import load_weights
from lstmega.nn.devices import Device, keras
from lstmega.nn.processor import multiplies_bfloat16
from lstmega.runs import report, retention
from lstmega.runs.job import TrainingJob
from lstmega.runs.record import SavedWeights
from lstmega.training.callbacks import Snapshot
from lstmega.training.schedule import Schedule
from lstmega.training.step import CarriedState, TrainStep

JobT = TypeVar("JobT", bound=TrainingJob[Any])
StepT = TypeVar("StepT", bound=TrainStep)
Preview = list[tuple[str, str]]  # (label, text): temperature and sample, or class and prediction

_WORTH_COMPILING = 8_000  # time steps: each saves 0.1 ms or more, compiling takes a second or two


@dataclass(frozen=True)
class Validated:
    """The cost of the held-out data in nats per unit, and for a classifier the accuracy."""

    nats: float
    accuracy: float | None = None


class Learner(ABC, Generic[JobT]):
    """A network and its optimizer; subclasses define the data, the loss and the previews.

    Args:
        job: The training.
        device: Where to compute.
        compiled: Whether XLA compiles the steps; None decides by their number.
        precision: Type of the factors of products on a CPU; None decides as `--precision` says.
    """

    validated_units: int  # units that a validation reads; 0 where nothing is held out
    final_units: int  # units that `finish` reads with TensorFlow, where more than these

    def __init__(
        self,
        job: JobT,
        device: Device,
        *,
        compiled: bool | None = None,
        precision: FixedPrecision | None = None,
    ) -> None:
        self.job, self._device = job, device
        wanted = self._worth_compiling() if compiled is None else compiled
        self.compiled = wanted and device.kind == "cpu"  # XLA and cuDNN exclude each other
        self.precision = self._fixed_precision(precision)
        with device.strategy.scope():
            self.network = self._build()
            self.optimizer = _optimizer(job.training)
            self.optimizer.build(self.network.trainable_variables)
        # Callbacks see a compiled model of the same layers; only the network, without it, is saved.
        self.model = keras.Model(self.network.inputs, self.network.outputs)
        self.model.compile(optimizer=self.optimizer)
        self._prepare()
        self.snapshot = Snapshot(self.network, self.optimizer, self._carried)

    _carried: CarriedState | None = None

    @abstractmethod
    def _build(self) -> keras.Model:
        """Make the network."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make step and validator."""

    def _make_step(self, kind: Callable[..., StepT], **options: Any) -> StepT:
        seed = self.job.training.seed
        how = {"seed": seed, "compiled": self.compiled, "precision": self.precision, **options}
        return kind(self.network, self.job.model, self.optimizer, self._device, **how)

    def forecast(self, seconds: float | None) -> str:
        """Return what can be said about the loss before the training, in a sentence; or nothing.

        Args:
            seconds: Time of a step; None without `--minutes`.
        """
        return ""

    @abstractmethod
    def learn(self, batch: Any) -> float:
        """Take a step on a batch, and return its loss in nats per unit."""

    @abstractmethod
    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        """Yield the batches of the steps from `first` on, without end.

        Args:
            schedule: Cuts the steps into epochs.
            first: Steps done.

        Yields:
            What `learn` takes; the first array is `[rows, time, ...]`.
        """

    @abstractmethod
    def validate(self) -> Validated | None:
        """Measure the held-out data; None where nothing is held out."""

    def preview(self, name: str, row: HistoryRow) -> tuple[str, Preview]:
        """Return the entry of a validation in samples.txt, and its part for the display.

        Args:
            name: The run's name.
            row: The validation.
        """
        text, shown = self._preview(name, row.step)
        nats = row.train_nats if row.validation_nats is None else row.validation_nats
        loss = formatting.loss(nats, self.job.unit)
        return f"=== epoch {row.epoch}, step {row.step:,}: {loss}\n{text}\n\n", shown

    @abstractmethod
    def _preview(self, name: str, step: int) -> tuple[str, Preview]:
        """Return the text of a preview after `step` steps, and its part for the display."""

    @abstractmethod
    def warm_start(self, initial: Any) -> None:
        """Load the weights that are taken from another run."""

    @abstractmethod
    def _final_nats(self) -> float | None:
        """Measure all of the held-out data with the current weights; None where nothing is held out."""

    def _final_measures(self, run: Any) -> dict[str, Any]:
        """Return fields of run.json that are measured when the training of a run is finished."""
        return {}

    def finish(self, run: Any) -> None:
        """Measure the best weights of a trained run, and write its model card."""
        best, measures = run.record.best, self._final_measures(run)
        if best is not None and "held_out_nats" not in measures:
            measures["held_out_nats"] = self._loss_of(run, best)
        retention.at_end(run, status="finished", **measures)
        run.remove_unnamed()
        run.write_card(report.card(run))

    def _loss_of(self, run: Any, best: SavedWeights) -> float | None:
        if self.final_units > self.validated_units:
            load_weights(self.network, run.weights())
            return self._final_nats()
        return best.nats if self.validated_units else None

    def _worth_compiling(self) -> bool:
        options = self.job.training
        if options.minutes is not None:
            return options.minutes >= 0.2
        steps = options.steps or (options.epochs or 0) * self.job.epoch_steps
        return steps * self.job.batches.steps >= _WORTH_COMPILING

    def _fixed_precision(self, before: FixedPrecision | None) -> FixedPrecision:
        """Return the precision of the steps.

        Args:
            before: That of the steps so far; None where there are none.
        """
        wanted = before or self.job.training.precision
        if self._device.kind == "gpu":
            return "float32"
        if wanted != "auto":
            return wanted
        # Numbers of a user may differ by less than the rounding.
        numbers = self.job.vocabulary_sha256 == ""
        return "bfloat16" if self.compiled and multiplies_bfloat16() and not numbers else "float32"

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the moving average of the weights inside the block, where there is one."""
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

    def seconds_of_a_step(self, *, budget: float, poll: Callable[[], object]) -> float:
        """Time a few steps, then restore everything.

        Args:
            budget: Seconds of the whole training; a small part of them is spent here.
            poll: Called after each step; may raise.
        """
        schedule = Schedule(1, self.job.epoch_steps, self.job.training.learning_rate)
        before, times, shapes = self.snapshot.take(), [], set()
        for batch in self.batches(schedule, 0):
            begun = time.monotonic()
            self.learn(batch)
            if batch[0].shape[1] in shapes:  # the first of a shape is traced and compiled
                times.append(time.monotonic() - begun)
            shapes.add(batch[0].shape[1])
            poll()
            if len(times) > 1 and (len(times) > 4 or sum(times) > budget / 100):
                break
        self.snapshot.restore(before)
        return float(np.median(times))


def _optimizer(options: TrainingConfig) -> keras.optimizers.Optimizer:
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[options.optimizer]
    optimizer = kind(
        options.learning_rate,
        weight_decay=options.weight_decay or None,
        global_clipnorm=options.clip_norm,
        use_ema=options.ema_decay > 0,
        ema_momentum=options.ema_decay,
    )
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["embeddings", "bias", "gamma", "beta"])
    return optimizer
