"""The training loop: lanes in, gradient steps, validations, weights and history out.

It drives ordinary Keras callbacks. To a callback an epoch ends at each validation: at the end of every
pass over the text, and within very long passes (`schedule.py`). `fit` could give neither carried states
that validation leaves alone nor a resume at an exact position.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lstmega import batches, devices, display, jobs, reports, sampling
from lstmega.checkpoints import RunCheckpoint
from lstmega.decoder import Decoder
from lstmega.devices import Device, DeviceChoice
from lstmega.errors import TrainingError
from lstmega.evaluation import Evaluator
from lstmega.jobs import Job
from lstmega.model import build, weights, zero_states
from lstmega.options import ModelOptions
from lstmega.progress import Progress
from lstmega.records import HistoryRow
from lstmega.runs import Run
from lstmega.schedule import Schedule
from lstmega.vocabulary import Vocabulary

PREVIEW_TEMPERATURES = (0.5, 0.7, 0.9)
PREVIEW_LENGTH = 160  # characters
_VALIDATION_COST = 0.4  # of a training step on as many characters: no backward pass
_SPARE = 0.94  # of the time left by the first steps: previews, saving, a slower minute


def train(
    job: Job,
    *,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: Progress | None = None,
) -> Run:
    """Train as `job` says and return the finished run.

    Args:
        job: What to train, checked (`jobs.prepare`).
        device: `auto`, `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; None takes the cores.
        callbacks: Keras callbacks beside our own; they see `loss`, `val_loss` (nats per character).
        progress: Hears what happens.

    Raises:
        UsageError: The device is not there, or the run exists.
        TrainingError: The loss is not finite; the best weights so far are kept.
    """
    progress = progress or Progress()
    where = devices.choose(device, threads=threads, rows=job.training.batch_size)
    run = job.create_run()
    run.update(device=str(where), versions={**run.record.versions, **devices.versions()})
    for line in (*job.corpus.notes, *jobs.announce(job, str(where))):
        progress.note(line)
    try:
        _Loop(job, run, where, callbacks, progress).run()
    except BaseException as error:
        run.update(status="stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    finally:
        progress.end()
    run.update(status="finished")
    run.write_card(reports.card(run))
    progress.note(reports.farewell(run))
    return run


class Step:
    """One gradient step; the recurrent state goes in and comes out.

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

    @tf.function(reduce_retracing=True)
    def __call__(self, inputs, targets, carries, states):
        """Return (mean nats per character, new states); rows whose carry is 0 start from zero."""
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


class _Rate(keras.callbacks.Callback):
    """Set the optimizer's learning rate before each step."""

    def __init__(self, loop: "_Loop") -> None:
        super().__init__()
        self._loop = loop

    def on_train_batch_begin(self, batch, logs=None):
        rate = self._loop.schedule.learning_rate(self._loop.step)
        self._loop.optimizer.learning_rate.assign(rate)


class _Meter:
    """Loss and speed since the last validation; validations do not count as training time."""

    def __init__(self) -> None:
        self.nats, self.steps, self.seconds, self.smooth = 0.0, 0, 0.0, math.nan

    def add(self, nats: float, seconds: float) -> None:
        self.nats, self.steps, self.seconds = (
            self.nats + nats,
            self.steps + 1,
            self.seconds + seconds,
        )
        weight = max(0.02, 1 / self.steps)
        self.smooth = nats if math.isnan(self.smooth) else self.smooth + weight * (nats - self.smooth)

    @property
    def mean(self) -> float:
        return self.nats / self.steps


@dataclass(frozen=True)
class _Author:
    """A model in training, as `sampling` wants to see it."""

    name: str
    vocabulary: Vocabulary
    held_out: str
    options: ModelOptions
    arrays: dict[str, npt.NDArray[np.float32]]

    def decoder(self) -> Decoder:
        return Decoder(self.options, self.arrays)


class _Loop:
    def __init__(
        self,
        job: Job,
        run: Run,
        device: Device,
        callbacks: Sequence[keras.callbacks.Callback],
        progress: Progress,
    ) -> None:
        self.job, self.run_, self.device, self.progress = job, run, device, progress
        options, size = job.training, len(job.vocabulary)
        with device.strategy.scope():
            self.network = build(job.model, size, seed=options.seed)
            self.optimizer = keras.optimizers.Adam(
                options.learning_rate, global_clipnorm=options.clip_norm
            )
            self.optimizer.build(self.network.trainable_variables)
        # Callbacks see a compiled model of the same layers; only `network`, without it, is saved.
        self.model = keras.Model(self.network.inputs, self.network.outputs)
        self.model.compile(optimizer=self.optimizer)
        self._train_step = Step(self.network, self.optimizer, device.strategy)
        self._ids = batches.compact(job.training_ids(), size)
        held_out = job.measured_ids()
        self._evaluator = (
            None
            if held_out is None
            else Evaluator(self.network, job.model, batches.compact(held_out, size))
        )
        self._measured = 0 if held_out is None else len(held_out)
        self.step = 0
        self.states = self._zero_states()
        self.history: list[HistoryRow] = []
        self._samples = ""
        self._meter = _Meter()
        self._callbacks = self._callback_list(callbacks)

    def _callback_list(self, users: Sequence[keras.callbacks.Callback]) -> Any:
        monitor = "val_loss" if self._evaluator else "loss"
        ours: list[keras.callbacks.Callback] = [_Rate(self)]
        ours.append(RunCheckpoint(self.run_, self.network, monitor=monitor))
        if self.job.training.patience is not None:
            ours.append(
                keras.callbacks.EarlyStopping(monitor, patience=self.job.training.patience, mode="min")
            )
        return keras.callbacks.CallbackList([*ours, *users], model=self.model)

    def run(self) -> None:
        """Train from `step` to the end."""
        total = self._total_steps()
        self.run_.update(total_steps=total)
        self.schedule = self._schedule(total)
        self.model.stop_training = False
        self.progress.begin(total, self.schedule.epochs)
        self._begun = time.monotonic()
        self._callbacks.on_train_begin()
        self._round_begins()
        for batch in self._batches():
            self._one_step(batch)
            if self.schedule.validates(self.step):
                self._validate()
            if self.model.stop_training:
                break
        self._callbacks.on_train_end()

    def _batches(self) -> Iterator[Any]:
        """Yield the batches that are left."""
        while self.step < self.schedule.total_steps:
            epoch, first = self.schedule.position(self.step)
            left = self.schedule.total_steps - self.step
            yield from (
                self._epoch(epoch, first).take(left)
                if self.device.replicas == 1
                else (
                    self.device.strategy.experimental_distribute_dataset(
                        self._epoch(epoch, first).take(left)
                    )
                )
            )

    def _epoch(self, epoch: int, first: int) -> tf.data.Dataset:
        lanes = self.job.lanes
        starts, carries = lanes.starts(epoch)[first:], lanes.carries(epoch)[first:]
        data = batches.dataset(self._ids, starts, carries, lanes.time_steps)
        return data.map(lambda inputs, targets, carries, _: (inputs, targets, carries))

    def _one_step(self, batch: Any) -> None:
        begun = time.monotonic()
        index = self.schedule.position(self.step)[1]
        self._callbacks.on_train_batch_begin(index)
        nats, self.states = self._train_step(*batch, self.states)
        loss = float(nats)
        self._check_finite(loss)
        self.step += 1
        self._callbacks.on_train_batch_end(index, {"loss": loss})
        self._meter.add(loss, time.monotonic() - begun)
        self._report()

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} after {self.step:,} steps; the best weights so far are kept. "
                f"Try a lower --learning-rate than {self.job.training.learning_rate:g}."
            )

    def _report(self) -> None:
        spent = time.monotonic() - self._begun
        remaining = spent / self.step * (self.schedule.total_steps - self.step)
        epoch = self.schedule.position(self.step - 1)[0] + 1
        self.progress.step(self.step, epoch, self._meter.smooth, self._speed(), remaining)

    def _speed(self) -> float:
        lanes = self.job.lanes
        return self._meter.steps * lanes.rows * lanes.time_steps / max(self._meter.seconds, 1e-9)

    def _round_begins(self) -> None:
        self._meter = _Meter()
        self._callbacks.on_epoch_begin(self.schedule.position(self.step)[0])

    def _validate(self) -> None:
        """Measure, save, write a preview, tell everyone."""
        row = self._history_row()
        self._check_finite(sum(float(tf.reduce_sum(v)) for v in self.network.trainable_variables))
        self.history.append(row)
        self.run_.write_history(self.history)
        logs = {"loss": row.train_nats, "learning_rate": row.learning_rate, "step": self.step}
        logs["whole_epoch"] = self.schedule.position(self.step)[1] == 0
        if row.validation_nats is not None:
            logs["val_loss"] = row.validation_nats
        self._callbacks.on_epoch_end(row.epoch - 1, logs)
        self.run_.update(step=self.step, seconds=row.seconds)
        self.progress.validated(row, self._preview(row))
        if self.step < self.schedule.total_steps:
            self._round_begins()

    def _history_row(self) -> HistoryRow:
        nats = self._evaluator().nats_per_character if self._evaluator else None
        return HistoryRow(
            step=self.step,
            epoch=self.schedule.position(self.step - 1)[0] + 1,
            train_nats=self._meter.mean,
            validation_nats=nats,
            validation_bits=None if nats is None else display.bits(nats),
            learning_rate=self.schedule.learning_rate(self.step - 1),
            characters_per_second=round(self._speed(), 1),
            seconds=round(time.monotonic() - self._begun, 3),
        )

    def _preview(self, row: HistoryRow) -> list[tuple[float, str]]:
        job = self.job
        author = _Author(self.run_.name, job.vocabulary, job.texts[1], job.model, weights(self.network))
        samples = sampling.sample(
            author,
            temperatures=PREVIEW_TEMPERATURES,
            length=PREVIEW_LENGTH,
            seed=job.training.seed + row.step,
        )
        loss = row.train_nats if row.validation_nats is None else row.validation_nats
        self._samples += f"=== epoch {row.epoch}, step {row.step:,}: {display.loss(loss)}\n{samples}\n\n"
        self.run_.write_samples(self._samples)
        return [(sample.temperature, sample.text) for sample in samples]

    def _zero_states(self) -> Any:
        rows = self.job.training.batch_size // self.device.replicas
        if self.device.replicas == 1:
            return zero_states(self.job.model, rows)
        return [
            self.device.strategy.experimental_distribute_values_from_function(lambda _, s=state: s)
            for state in zero_states(self.job.model, rows)
        ]

    # The number of steps.

    def _schedule(self, total: int) -> Schedule:
        options = self.job.training
        return Schedule(
            total, self.job.lanes.batches, options.learning_rate, options.schedule, options.warmup
        )

    def _total_steps(self) -> int:
        options = self.job.training
        if options.minutes is None:
            return options.steps or (options.epochs or 1) * self.job.lanes.batches
        seconds = self._seconds_of_a_step(60 * options.minutes)
        left = 60 * options.minutes - (time.monotonic() - self.job.started)
        lanes = self.job.lanes
        total = max(1, int(left / seconds))
        validation = _VALIDATION_COST * self._measured / self._schedule(total).spacing
        cost = seconds * (1 + validation / (lanes.rows * lanes.time_steps))
        total = max(1, int(_SPARE * left / cost))
        self.progress.note(f"{options.minutes:g} minutes are {total:,} steps on this machine")
        return total

    def _seconds_of_a_step(self, budget: float) -> float:
        """Time a few steps, then put everything back as it was."""
        variables = [*self.network.variables, *self.optimizer.variables]
        before = [np.array(variable.numpy()) for variable in variables]
        self.schedule, times = self._schedule(1_000_000), []
        for batch in self._batches():
            begun = time.monotonic()
            nats, _ = self._train_step(*batch, self.states)
            float(nats)
            times.append(time.monotonic() - begun)
            if len(times) > 2 and (len(times) > 12 or sum(times[1:]) > budget / 25):
                break
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return float(np.median(times[1:]))
