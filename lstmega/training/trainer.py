"""The training loop: lanes in, gradient steps, validations, weights and history out.

It drives ordinary Keras callbacks. To a callback an epoch ends at each validation: at the end of every
pass over the text, and within very long passes (`schedule.py`). `fit` could give neither carried states
that validation leaves alone nor a resume at an exact position.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lstmega.display import formatting as display
from lstmega.display.history import HistoryRow
from lstmega.display.progress import Progress
from lstmega.errors import DamageError, RunError, Stopped, TrainingError
from lstmega.nn import devices
from lstmega.nn.devices import Device, DeviceChoice, keras, tf
from lstmega.runs import job as beginnings
from lstmega.runs import report as reports
from lstmega.runs import state as states
from lstmega.runs.directory import RunDirectory
from lstmega.runs.record import Status
from lstmega.runs.state import TrainingState
from lstmega.training import callbacks, signals
from lstmega.training.checkpoints import RunCheckpoint
from lstmega.training.clocks import Meter, SaveClock
from lstmega.training.learner import Learner, TextLearner
from lstmega.training.schedule import Schedule

_MOST_SAMPLES = 500_000  # characters of samples.txt


def train(
    job: Any,
    *,
    learner: type[Learner] = TextLearner,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    save_every: int | None = None,
    users: Sequence[keras.callbacks.Callback] = (),
    progress: Progress | None = None,
) -> Any:
    """Train as `job` says, from the start or from the last state, and return the finished run.

    Args:
        job: What to train, checked (`jobs.prepare`); its directory is locked by the caller.
        learner: What learns it.
        device: `auto`, `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; None takes the cores.
        save_every: Steps between states; None saves about every minute and at validations.
        users: Keras callbacks beside our own; they see `loss`, `val_loss` (nats per character).
        progress: Hears what happens.

    Raises:
        UsageError: The device is not there, or the run exists.
        TrainingError: The loss is not finite; the best weights so far are kept.
        Stopped: A signal came; the state after the step it came in is saved.
    """
    progress = progress or Progress()
    where = devices.choose(device, threads=threads, rows=job.training.batch_size)
    for line in (*job.announce(str(where)), *job.notes):
        progress.note(line)
    run = job.open_run()
    try:
        with signals.deferred() as mailbox:
            loop = _Loop(
                job,
                run,
                where,
                save_every,
                learner=learner,
                users=users,
                progress=progress,
                mailbox=mailbox,
            )
            loop.run()
    except tf.errors.ResourceExhaustedError as error:
        _leave(run, "failed")
        raise TrainingError(
            f"{where} has not enough memory. Try a smaller --batch-size than {job.training.batch_size}."
        ) from error
    except BaseException as error:
        _leave(run, "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed")
        raise
    loop.learner.finish(run)
    progress.note(reports.farewell(run))
    return run


def _leave(run: RunDirectory, status: Status) -> None:
    with suppress(OSError):  # the disk may be why we leave; the first error is the one to tell
        run.update(status=status)


class _Loop:
    def __init__(
        self,
        job: Any,
        run: RunDirectory,
        device: Device,
        save_every: int | None,
        *,
        learner: type[Learner],
        users: Sequence[keras.callbacks.Callback],
        progress: Progress,
        mailbox: signals.Mailbox,
    ) -> None:
        self._job, self._run, self._device, self._progress = job, run, device, progress
        self._mailbox, self._saver = mailbox, SaveClock(save_every)
        self._build(learner)
        self.step = 0
        self._saved_step: int | None = None
        self.schedule: Schedule
        self._seconds = 0.0  # of training, in earlier processes
        self._history: list[HistoryRow] = []
        self._samples = ""
        self._meter = Meter()
        self._users = users

    def _build(self, learner: type[Learner]) -> None:
        compiled = None if self._job.extended else self._run.record.compiled
        self.learner = learner(self._job, self._device, compiled=compiled)
        self._network, self._snapshot = self.learner.network, self.learner.snapshot
        self._model = self.learner.model

    def run(self) -> None:
        """Train from the last state, or from step 0, to the end."""
        self._resume()
        total = self._total_steps()
        self.schedule = self._schedule(total)
        self._write_plan(total)
        self._progress.begin(total, self.schedule.epochs, self._job.unit)
        self._begun, self._first = time.monotonic() - self._seconds, self.step
        if self._saved_step is None:
            self._save()  # step 0: from here on there is always a state to go back to
        self._begin_callbacks()
        self._clock = time.monotonic()
        coming = self.learner.batches(self.schedule, self.step)
        for batch in coming if not self._model.stop_training else ():
            self._one_step(batch)
            validated = self.schedule.validates(self.step)
            if validated:
                self._validate()
            if self._mailbox.received or self._saver.due(self.step, validated=validated):
                self._save()
                self._clock = time.monotonic()
            self._mailbox.raise_if_any(
                f"The state of step {self.step:,} is saved; the same command with "
                f"--run {self._run.path} goes on."
            )
            if self._model.stop_training:
                break
        if self._meter.losses:  # a callback stopped within an epoch
            self._validate()
        self._callbacks.on_train_end()
        self._save()

    def _write_plan(self, total: int) -> None:
        """Tell run.json, in one write, where this training is to end and what computes it."""
        record, where = self._run.record, self._device
        versions = {**beginnings.versions(), **devices.versions()}
        compiled = self.learner.compiled
        same = (record.device, record.versions, record.compiled) == (str(where), versions, compiled)
        first = record.device == ""
        if not first and not same:
            self._progress.note(
                f"Trained on {record.device} with {dict(record.versions)} before: "
                "the run equals an uninterrupted one within float noise only"
            )
        self._run.update(
            total_steps=total,
            training=self._job.training,
            status="running",
            device=str(where),
            versions=versions,
            compiled=compiled,
            exact=record.exact and (first or same) and where.kind == "cpu",
        )

    def _one_step(self, batch: Any) -> None:
        index = self.schedule.position(self.step)[1]
        self._callbacks.on_train_batch_begin(index)
        loss = self.learner.learn(batch)
        self._check_finite(loss)
        self.step += 1
        self._callbacks.on_train_batch_end(index, {"loss": loss})
        now = time.monotonic()
        self._meter.add(loss, now - self._clock)
        self._clock = now
        self._report()

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} after {self.step:,} steps; the best weights so far are kept. "
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
        """Measure, save the weights, write a preview, tell everyone."""
        with self.learner.averaged():
            row = self._history_row()
            self._check_finite(row.validation_nats or 0.0)
            self._check_finite(sum(float(tf.reduce_sum(v)) for v in self._network.trainable_variables))
            self._history.append(row)
            self._callbacks.on_epoch_end(row.epoch - 1, self._logs(row))
            entry, shown = self.learner.preview(self._run.name, row)
            self._samples = (self._samples + entry)[-_MOST_SAMPLES:]
        self._run.write_logs(self._history, self._samples, step=self.step, seconds=row.seconds)
        self._progress.validated(row, shown)
        self._meter, self._clock = Meter(), time.monotonic()
        if self.step < self.schedule.total_steps:
            self._callbacks.on_epoch_begin(self.schedule.position(self.step)[0])

    def _logs(self, row: HistoryRow) -> dict[str, Any]:
        logs = {"loss": row.train_nats, "learning_rate": row.learning_rate, "step": row.step}
        logs["whole_epoch"] = self.schedule.position(row.step)[1] == 0
        if row.validation_accuracy is not None:
            logs["val_accuracy"] = row.validation_accuracy
        return logs if row.validation_nats is None else logs | {"val_loss": row.validation_nats}

    def _history_row(self) -> HistoryRow:
        found = self.learner.measure()
        return HistoryRow(
            step=self.step,
            epoch=self.schedule.position(self.step - 1)[0] + 1,
            train_nats=self._meter.mean,
            validation_nats=found and found.nats,
            validation_bits=found and display.bits(found.nats),
            learning_rate=self.schedule.learning_rate(self.step - 1),
            characters_per_second=round(self._speed(), 1),
            seconds=round(time.monotonic() - self._begun, 3),
            validation_accuracy=found and found.accuracy,
        )

    # Callbacks.

    def _begin_callbacks(self) -> None:
        callbacks.check_rates(self._users, self.schedule)
        monitor, patience = "val_loss" if self.learner.measured else "loss", self._job.training.patience
        early = [] if patience is None else [callbacks.early_stopping(monitor, patience)]
        rate = callbacks.Rate(self.schedule, lambda: self.step)
        checkpoint = RunCheckpoint(self._run, self._network, monitor=monitor)
        ours = [rate, checkpoint, *early, *self._users]
        self._callbacks = keras.callbacks.CallbackList(ours, model=self._model)
        self._model.stop_training = False
        self._callbacks.on_train_begin()
        for waiting in early:
            for row in self._history:  # it waits as if it had been there all the time
                waiting.on_epoch_end(row.epoch - 1, self._logs(row))
        self._callbacks.on_epoch_begin(self.schedule.position(self.step)[0])

    # Resuming.

    def _save(self) -> None:
        if self._saved_step == self.step:
            return
        begun = time.monotonic()
        state = TrainingState(
            step=self.step,
            total_steps=self.schedule.total_steps,
            text_sha256=self._job.sha256,
            vocabulary_sha256=self._job.vocabulary_sha256,
            nats=self._meter.nats,
            losses=self._meter.losses,
            smooth=self._meter.smooth,
            busy=self._meter.busy,
            seconds=begun - self._begun,
            history=tuple(self._history),
            samples=self._samples,
            versions=self._run.record.versions,
        )
        states.save(self._run.states, state, self._snapshot.take())
        self._run.update(step=self.step, seconds=round(state.seconds, 3))
        self._saved_step = self.step
        self._saver.saved(time.monotonic() - begun)

    def _resume(self) -> None:
        """Go back to the newest state that is whole; where there has been none, to step 0."""
        damaged = self._load_newest()
        if self._saved_step is None:
            if damaged or self._run.record.weights:
                raise RunError(
                    f"No state of {self._run.path} can be read; nothing was changed. Its best weights "
                    "still write (lstmega sample). Train anew with another --run, from these weights "
                    "with --init-from."
                )
            if self._job.initial is not None:
                self.learner.adopt(self._job.initial)
        for path in damaged:
            states.set_aside(path)
        if self._job.run is not None:
            for line in self._job.rewind(self._run, self.step):
                self._progress.note(line)
            self._run.write_logs(self._history, self._samples)
            self._progress.note(f"Going on from step {self.step:,}")

    def _load_newest(self) -> list[Path]:
        """Take the newest whole state, and return the damaged ones that are newer."""
        shapes = {n: (a.shape, str(a.dtype)) for n, a in self._snapshot.take().items()}
        damaged: list[Path] = []
        for path in states.paths(self._run.states):
            try:
                state, arrays = states.load(path, shapes)
            except DamageError as error:
                self._progress.note(f"{error} Going back to the state before.")
                damaged.append(path)
                continue
            self._go_back_to(state)
            self._snapshot.put_back(arrays)
            self._saved_step = state.step
            break
        return damaged

    def _go_back_to(self, state: TrainingState) -> None:
        if (state.text_sha256, state.vocabulary_sha256) != (
            self._job.sha256,
            self._job.vocabulary_sha256,
        ):
            raise RunError(f"The state of step {state.step:,} in {self._run.path} is of another text.")
        self.step, self._seconds = state.step, state.seconds
        self._history, self._samples = list(state.history), state.samples
        self._meter = Meter(state.nats, state.losses, state.smooth, state.busy)

    # The number of steps.

    def _schedule(self, total: int) -> Schedule:
        options = self._job.training
        return Schedule(
            total, self._job.epoch_steps, options.learning_rate, options.schedule, options.warmup
        )

    def _total_steps(self) -> int:
        options, fixed = self._job.training, self._run.record.total_steps
        if fixed is not None and not self._job.extended:
            return fixed
        if options.minutes is None:
            total = options.steps or options.epochs * self._job.epoch_steps
            return max(total, self.step)
        seconds = self.learner.seconds_of_a_step(
            self._schedule(self.step + 1_000_000),
            self.step,
            budget=60 * options.minutes,
            poll=self._mailbox.raise_if_any,
        )
        spent = self._seconds + time.monotonic() - self._job.started
        left = max(0.0, 60 * options.minutes - spent - self._job.seconds_after)
        reading = self.learner.measured / self._job.step_units
        total = max(1, self.step + self._schedule(1).steps_in(left, seconds, reading))
        self._progress.note(f"{options.minutes:g} minutes are {total:,} steps on this machine")
        return total
