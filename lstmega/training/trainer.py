"""The training loop: batches in, gradient steps, validations, weights and history out.

It drives ordinary Keras callbacks. To a callback an epoch ends at each validation: at the end of every
pass over the data, and within very long passes (`schedule.py`). Keras' `fit` could give neither carried
states that validation leaves alone nor a resume at an exact position.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lstmega.config.training import DeviceChoice
from lstmega.display import formatting
from lstmega.display.history import HistoryRow
from lstmega.display.progress import Progress
from lstmega.errors import DamageError, RunError, Stopped, TrainingError, UsageError
from lstmega.nn import devices
from lstmega.nn.devices import Device, keras, tf
from lstmega.nn.processor import multiplies_bfloat16
from lstmega.runs import report, state
from lstmega.runs.classifier_job import ClassifierJob
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.job import RunT, TrainingJob, versions
from lstmega.runs.record import Planned, Status
from lstmega.runs.run import Run
from lstmega.runs.state import TrainingState
from lstmega.training import callbacks as own
from lstmega.training import signals
from lstmega.training.classifier import ClassifierLearner
from lstmega.training.generator import GeneratorLearner
from lstmega.training.learner import Learner
from lstmega.training.pace import Pace
from lstmega.training.schedule import READING_COST, ROUND_COST, Meter, SaveClock, Schedule

_LEARNERS: dict[type, type[Learner[Any]]] = {
    GeneratorJob: GeneratorLearner,
    ClassifierJob: ClassifierLearner,
}
_MAX_SAMPLES = 500_000  # characters of samples.txt


def train(
    job: TrainingJob[RunT],
    *,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    save_every: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: Progress | None = None,
) -> RunT:
    """Train from the start or from the last state, and return the finished run.

    Args:
        job: The training, checked; the caller has locked its directory.
        device, threads, save_every, callbacks: As for `lstmega.train`.
        progress: Displays the training.

    Raises:
        UsageError: The device is not there, or the run exists.
        TrainingError: The loss is not finite; the best weights so far are kept.
        Stopped: A signal came; the state after the current step is saved.
    """
    progress = progress or Progress()
    where = devices.choose(device, threads=threads, rows=job.training.batch_size)
    if where.kind == "gpu" and job.training.precision == "bfloat16":
        raise UsageError(
            f"--precision bfloat16 is for training on a CPU. Received: {where}. "
            "Accepted on a GPU: auto, float32."
        )
    for line in job.announce(str(where)):
        progress.note(line)
    run = job.open_run()
    try:
        with signals.deferred() as mailbox:
            learner, seconds = _timed(job, where, run, mailbox)
            begins = run.record.total_steps is None
            if begins and seconds is not None and (other := job.refitted(seconds)):
                job, rows = other, other.training.batch_size
                where = devices.choose(device, threads=threads, rows=rows)
                run.update(model=job.model, training=job.training, epoch_steps=job.epoch_steps)
                progress.note("Steps take another time than expected; the options for this machine:")
                progress.note(job.summary(str(where))[0])
                learner, seconds = _timed(job, where, run, mailbox)
            if begins and (forecast := learner.forecast(seconds)):
                progress.note(forecast)
            saver = SaveClock(save_every)
            _Loop(job, run, learner, where, saver, callbacks, progress, mailbox, seconds).run()
    except tf.errors.ResourceExhaustedError as error:
        _leave(run, "failed")
        raise TrainingError(
            f"{where} has not enough memory. Try a smaller --batch-size than {job.training.batch_size}."
        ) from error
    except BaseException as error:
        _leave(run, "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed")
        raise
    learner.finish(run)
    progress.note(report.farewell(run))
    return run


def _timed(
    job: TrainingJob[Any], device: Device, run: Run, mailbox: signals.Mailbox
) -> tuple[Learner[Any], float | None]:
    """Return the learner of a job, and with `--minutes` the seconds that one of its steps takes."""
    record = run.record
    compiled = None if job.extended else record.compiled
    learner = _LEARNERS[type(job)](job, device, compiled=compiled, precision=record.trained_precision)
    if job.training.minutes is None:
        return learner, None
    budget = 60 * job.training.minutes
    return learner, learner.seconds_of_a_step(budget=budget, poll=mailbox.raise_if_any)


def _leave(run: Run, status: Status) -> None:
    with suppress(OSError):  # the disk may be the cause; the first error is the one to report
        run.update(status=status)


@dataclass(eq=False)
class _Loop:
    _job: TrainingJob[Any]
    _run: Run
    _learner: Learner[Any]
    _device: Device
    _saver: SaveClock
    _users: Sequence[keras.callbacks.Callback]
    _progress: Progress
    _mailbox: signals.Mailbox
    _seconds_of_a_step: float | None  # with `--minutes`
    step: int = 0
    schedule: Schedule = field(init=False)
    _saved_step: int | None = None
    _seconds: float = 0.0  # of training, in earlier processes
    _history: list[HistoryRow] = field(default_factory=list)
    _samples: str = ""
    _pace: Pace | None = None  # of `--minutes`
    _meter: Meter = field(default_factory=Meter)

    def run(self) -> None:
        """Train from the last state, or from step 0, to the end."""
        self._resume()
        self.schedule = self._planned()
        self._write_plan()
        self._progress.begin(self.schedule.total_steps, self.schedule.epochs, self._job.unit)
        self._begun, self._first = time.monotonic() - self._seconds, self.step
        if self._saved_step is None:
            self._save()  # step 0: from here on there is always a state to go back to
        self._begin_callbacks()
        coming = self._coming()
        self._clock = time.monotonic()
        while not (self._learner.model.stop_training or self.step >= self.schedule.total_steps):
            self._one_step(next(coming))
            if self.step == self._first + 1:
                devices.keep_compiled()
            self._replan()
            validated = self.schedule.validates(self.step)
            if validated:
                self._validate()
            if self._mailbox.received or self._saver.due(self.step, validated=validated):
                self._save()
            now = time.monotonic()
            if validated and self._pace is not None:
                self._pace.validated(now - self._clock)
            self._clock = now
            self._mailbox.raise_if_any(
                f"The state of step {self.step:,} is saved; the same command with "
                f"--run {self._run.path} resumes it."
            )
        if self._meter.losses:  # a callback stopped within an epoch
            self._validate()
        self._callbacks.on_train_end()
        self._save()
        devices.keep_compiled()

    def _coming(self) -> Iterator[Any]:
        """Return the batches from here on; the first is ready: a pipeline takes time to begin."""
        coming = self._learner.batches(self.schedule, self.step)
        if self.step >= self.schedule.total_steps:
            return coming
        return itertools.chain([next(coming)], coming)

    def _write_plan(self) -> None:
        """Write length, device and versions of this training to run.json, at once."""
        record, where = self._run.record, self._device
        now, compiled = {**versions(), **devices.versions()}, self._learner.compiled
        same = (record.device, record.versions, record.compiled) == (str(where), now, compiled)
        first = record.device == ""
        if not first and not same:
            self._progress.note(
                f"Trained on {record.device} with {dict(record.versions)} before: "
                "the run equals an uninterrupted one within float noise only"
            )
        if self._learner.precision == "bfloat16" and not (compiled and multiplies_bfloat16()):
            self._progress.note("Products of bfloat16 are emulated here, and slower than float32")
        self._run.update(
            total_steps=self.schedule.total_steps,
            replanned=self.schedule.earlier,
            training=self._job.training,
            status="running",
            device=str(where),
            versions=now,
            compiled=compiled,
            precision=self._learner.precision,
            held_out_nats=None,
            exact=record.exact and (first or same) and where.kind == "cpu",
        )

    def _one_step(self, batch: Any) -> None:
        index = self.schedule.position(self.step)[1]
        self._callbacks.on_train_batch_begin(index)
        loss = self._learner.learn(batch)
        self._check_finite(loss)
        self.step += 1
        self._callbacks.on_train_batch_end(index, {"loss": loss})
        now = time.monotonic()
        self._meter.add(loss, now - self._clock)
        if self._pace is not None:
            self._pace.stepped(now - self._clock)
        self._clock = now
        self._report()

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            steps = formatting.count(self.step, "step")
            raise TrainingError(
                f"The loss became {loss} after {steps}; the best weights so far are kept. "
                f"Try a --learning-rate below {self._job.training.learning_rate:g}, with another --run."
            )

    def _report(self) -> None:
        spent = time.monotonic() - self._begun - self._seconds
        remaining = spent / (self.step - self._first) * (self.schedule.total_steps - self.step)
        epoch = self.schedule.position(self.step - 1)[0] + 1
        self._progress.step(self.step, epoch, self._meter.smooth or 0.0, self._speed(), remaining)

    def _speed(self) -> float:
        return self._meter.losses * self._job.step_units / max(self._meter.busy, 1e-9)

    # Validation.

    def _validate(self) -> None:
        """Measure, save the weights, write a preview, report."""
        with self._learner.averaged():
            row = self._history_row()
            self._check_finite(row.validation_nats or 0.0)
            self._check_finite(
                sum(float(tf.reduce_sum(v)) for v in self._learner.network.trainable_variables)
            )
            self._history.append(row)
            self._callbacks.on_epoch_end(row.epoch - 1, self._logs(row))
            entry, shown = self._learner.preview(self._run.name, row)
            self._samples = (self._samples + entry)[-_MAX_SAMPLES:]
        self._run.write_logs(self._history, self._samples, step=self.step, seconds=row.seconds)
        self._progress.validated(row, shown)
        self._meter = Meter()
        if self.step < self.schedule.total_steps:
            self._callbacks.on_epoch_begin(self.schedule.position(self.step)[0])

    def _logs(self, row: HistoryRow) -> dict[str, Any]:
        logs: dict[str, Any] = {
            "loss": row.train_nats,
            "learning_rate": row.learning_rate,
            "step": row.step,
            "whole_epoch": self.schedule.position(row.step)[1] == 0,
        }
        if row.validation_accuracy is not None:
            logs["val_accuracy"] = row.validation_accuracy
        return logs if row.validation_nats is None else logs | {"val_loss": row.validation_nats}

    def _history_row(self) -> HistoryRow:
        found = self._learner.validate()
        return HistoryRow(
            step=self.step,
            epoch=self.schedule.position(self.step - 1)[0] + 1,
            train_nats=self._meter.mean,
            validation_nats=None if found is None else found.nats,
            validation_bits=None if found is None else formatting.bits(found.nats),
            learning_rate=self.schedule.learning_rate(self.step - 1),
            characters_per_second=round(self._speed(), 1),
            seconds=round(time.monotonic() - self._begun, 3),
            validation_accuracy=None if found is None else found.accuracy,
        )

    # Callbacks.

    def _begin_callbacks(self) -> None:
        own.check_rates(self._users, self.schedule)
        monitor = "val_loss" if self._learner.validated_units else "loss"
        patience = self._job.training.patience
        early = []
        if patience is not None:
            early.append(keras.callbacks.EarlyStopping(monitor, patience=patience, mode="min"))
        rate = own.LearningRate(lambda: self.schedule, lambda: self.step)
        checkpoint = own.RunCheckpoint(self._run, self._learner.network, monitor=monitor)
        everything = [rate, checkpoint, *early, *self._users]
        self._callbacks = keras.callbacks.CallbackList(everything, model=self._learner.model)
        self._learner.model.stop_training = False
        self._callbacks.on_train_begin()
        for waiting in early:
            for row in self._history:  # its patience counts the validations of earlier processes
                waiting.on_epoch_end(row.epoch - 1, self._logs(row))
        self._callbacks.on_epoch_begin(self.schedule.position(self.step)[0])

    # Resuming.

    def _save(self) -> None:
        if self._saved_step == self.step:
            return
        begun = time.monotonic()
        now = TrainingState(
            step=self.step,
            total_steps=self.schedule.total_steps,
            text_sha256=self._job.data.sha256,
            vocabulary_sha256=self._job.vocabulary_sha256,
            **vars(self._meter),
            seconds=begun - self._begun,
            history=tuple(self._history),
            samples=self._samples,
            versions=self._run.record.versions,
        )
        state.save(self._run.states, now, self._learner.snapshot.take())
        self._run.update(step=self.step, seconds=round(now.seconds, 3))
        self._saved_step = self.step
        self._saver.saved(time.monotonic() - begun)

    def _resume(self) -> None:
        """Restore the newest whole state; without any state, start at step 0."""
        damaged = self._load_newest()
        if self._saved_step is None:
            if damaged or self._run.record.weights:
                raise RunError(
                    f"No state of {self._run.path} can be read; nothing was changed. Its best weights "
                    "can still be used (lstmega sample). Train again with another --run, from these "
                    "weights with --init-from."
                )
            if self._job.initial is not None:
                self._learner.warm_start(self._job.initial)
        for path in damaged:
            state.set_aside(path)
        if self._job.run is not None:
            for line in self._job.rewind(self._run, self.step):
                self._progress.note(line)
            self._run.write_logs(self._history, self._samples)
            self._progress.note(f"Resuming from step {self.step:,}")

    def _load_newest(self) -> list[Path]:
        """Load the newest whole state, and return the damaged ones that are newer."""
        shapes = {n: (a.shape, str(a.dtype)) for n, a in self._learner.snapshot.take().items()}
        damaged: list[Path] = []
        for path in state.paths(self._run.states):
            try:
                found, arrays = state.load(path, shapes)
            except DamageError as error:
                self._progress.note(f"{error} Falling back to the previous state.")
                damaged.append(path)
                continue
            self._restore(found)
            self._learner.snapshot.restore(arrays)
            self._saved_step = found.step
            break
        return damaged

    def _restore(self, found: TrainingState) -> None:
        expected = self._job.data.sha256, self._job.vocabulary_sha256
        if (found.text_sha256, found.vocabulary_sha256) != expected:
            raise RunError(
                f"The state of step {found.step:,} in {self._run.path} belongs to another text."
            )
        self.step, self._seconds = found.step, found.seconds
        self._history, self._samples = list(found.history), found.samples
        self._meter = Meter(found.nats, found.losses, found.smooth, found.busy)

    # The number of steps.

    def _schedule(self, total: int, earlier: tuple[Planned, ...] = ()) -> Schedule:
        options = self._job.training
        rates = options.learning_rate, options.schedule, options.warmup
        return Schedule(total, self._job.epoch_steps, *rates, earlier)

    def _planned(self) -> Schedule:
        """Return the plan of the run, or make one; with `--minutes` it may change later."""
        options, record = self._job.training, self._run.record
        known = record.total_steps if not self._job.extended else None
        if self._seconds_of_a_step is None:
            total = options.steps or (options.epochs or 0) * self._job.epoch_steps
            return self._schedule(known or max(total, self.step), record.replanned if known else ())
        pace = self._pace = self._new_pace(60 * (options.minutes or 0), self._seconds_of_a_step)
        if known is not None:
            return self._schedule(known, record.replanned)
        now = time.monotonic()
        # How often the held-out data is measured depends on the number of steps.
        guess = self._schedule(pace.total(now, self.step, math.inf))
        plan = self._schedule(pace.total(now, self.step, guess.spacing))
        self._progress.note(
            f"{options.minutes:g} min{self._job.extent}: {self._run.record.model_name}, "
            f"{options.batch_size} x {options.sequence_length}; about "
            f"{formatting.count(plan.total_steps, 'step')} or "
            f"{plan.total_steps / self._job.epoch_steps:.2g} epochs on this machine"
        )
        return plan

    def _new_pace(self, budget: float, step: float) -> Pace:
        learner, job = self._learner, self._job
        each = READING_COST * step / job.step_units  # seconds for a unit that is only read
        return Pace(
            budget=budget,
            end=job.started + budget - self._seconds,
            step=step,
            validation=each * learner.validated_units + ROUND_COST,
            final=job.final_seconds + each * (learner.final_units - learner.validated_units),
        )

    def _replan(self) -> None:
        """Move the end of the schedule to the end of the minutes; run.json has the plan first."""
        if self._pace is None:
            return
        total = self._pace.revised(time.monotonic(), self.step, self.schedule)
        if total is None:
            return
        plan = self.schedule.replanned(self.step, total)
        self._run.update(total_steps=total, replanned=plan.earlier)
        self.schedule = plan
        self._progress.plan(total, plan.epochs)
