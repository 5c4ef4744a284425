import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.display.progress import Progress
from lstmega.errors import Stopped, TrainingError, UsageError
from lstmega.nn import generator
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras, tf
from lstmega.runs import generator_job as jobs
from lstmega.training import learner as learner_module
from lstmega.training import trainer
from lstmega.training.generator import GeneratorLearner
from tests.comparing import everything

REPOSITORY = Path(__file__).parents[2]
SMALL = {"preset": "tiny", "units": 8, "embedding": 4, "batch_size": 4, "sequence_length": 16}
EPOCH = 25  # steps over the text of the fixture


def train(text, tmp_path, **options):
    corpus = text if isinstance(text, Corpus) else Corpus.from_text(text)
    return lstmega.train(corpus, **{"checkpoints": tmp_path} | SMALL | options)


def test_learns(tiny_run, text):
    history = tiny_run.history()
    assert history[-1].validation_nats < history[0].validation_nats < math.log(len(set(text)))
    assert history[-1].step == 60
    assert [row.epoch for row in history] == [*range(1, len(history) + 1)]


def test_same_seed_same_weights_bit_by_bit(text, tmp_path):
    options = {"steps": 12, "dropout": 0.3, "layers": 2, "restarts": 0.2, "ema_decay": 0.9}
    first, second = (train(text, tmp_path, run=name, **options) for name in "ab")
    other = train(text, tmp_path, run="c", seed=1, **options)
    for name, array in first.weights().items():
        np.testing.assert_array_equal(array, second.weights()[name])
    assert (first.weights()["lstm_1/kernel"] != other.weights()["lstm_1/kernel"]).any()


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_other_cells(cell, text, tmp_path):
    run = train(text, tmp_path, cell=cell, epochs=1, order="shuffled", schedule="constant")
    assert run.record.status == "finished"
    assert len(lstmega.sample(run, length=5)[0].text) == 5


def test_nothing_held_out_takes_the_training_loss(text, tmp_path):
    run = train(text, tmp_path, steps=3, validation=0)
    row = run.history()[-1]
    assert row.validation_nats is row.validation_bits is None
    assert run.record.best.nats == pytest.approx(row.train_nats)
    assert len(lstmega.sample(run, length=5)[0].text) == 5


def test_one_distinct_character_costs_nothing(tmp_path):
    run = train("a" * 300, tmp_path, steps=30, learning_rate=0.1)
    assert run.history()[-1].validation_nats == pytest.approx(0, abs=1e-6)
    assert lstmega.sample(run, length=5)[0].text == "aaaaa"


def test_minutes_fix_the_number_of_steps(text, tmp_path):
    begun = time.monotonic()
    run = train(text, tmp_path, minutes=0.05)
    assert run.record.total_steps == run.record.step > 0
    assert time.monotonic() - begun < 30
    steps = run.record.total_steps
    if steps < 2000 and not run.record.replanned:  # the timed steps must leave no trace
        again = train(text, tmp_path, steps=steps)
        for name, array in run.weights().items():
            np.testing.assert_array_equal(array, again.weights()[name])


class Clock:
    """Time that passes only in steps, validations and what comes after them."""

    def __init__(self, patch, seconds_of_a_step):
        self.now, self._of_a_step = 0.0, seconds_of_a_step
        for module in (trainer, learner_module):
            patch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: self.now))
        for name, steps in (("learn", 1), ("validate", 20), ("_final_measures", 10)):
            self._slow(patch, name, steps)

    def _slow(self, patch, name, steps):
        done = getattr(GeneratorLearner, name)

        def slow(*arguments):
            self.now += steps * self._of_a_step(self.now)
            return done(*arguments)

        patch.setattr(GeneratorLearner, name, slow)


def paced(text, path, patch, seconds_of_a_step, stop_at=None):
    """Train for a minute of such a clock, or until a signal; return the run and the time."""
    clock = Clock(patch, seconds_of_a_step)
    job = jobs.prepare(Corpus.from_text(text), run=path, minutes=1, **SMALL)

    def interrupt(*_, **__):
        if clock.now >= (stop_at or math.inf):
            signal.raise_signal(signal.SIGTERM)

    stop = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    job = dataclasses.replace(job, started=0.0)
    with contextlib.suppress(Stopped):
        return trainer.train(job, callbacks=[stop], save_every=7, device="cpu"), clock.now
    return lstmega.load(path), clock.now


@pytest.mark.parametrize("later", [0.1, 0.4])
def test_minutes_end_in_time_when_the_speed_changes(text, tmp_path, monkeypatch, later):
    run, ended = paced(text, tmp_path / "a", monkeypatch, lambda now: 0.2 if now < 30 else later)
    assert ended == pytest.approx(60, rel=0.1)
    assert run.record.status == "finished" and run.record.step == run.record.total_steps
    assert run.record.replanned
    rates = [row.learning_rate for row in run.history()]
    assert rates[-1] < 0.03 * max(rates)


def test_a_slow_machine_trains_a_smaller_model(text, tmp_path, monkeypatch):
    """The options are chosen again when the first steps were timed, and the run has those."""
    small = {"units": 256, "dropout": 0.0}
    monkeypatch.setattr(jobs.presets, "resolve", resolve := mock.Mock(wraps=jobs.presets.resolve))
    monkeypatch.setattr(trainer._Loop, "_planned", lambda loop: loop._schedule(2))
    monkeypatch.setattr(jobs.presets, "speed", lambda *_: 0.05)
    corpus = Corpus.from_text(text)  # so short that batches have fewer rows
    run = lstmega.train(corpus, run=tmp_path / "a", minutes=3, progress=False)
    assert resolve.call_args.args[3] == 0.05
    assert {name: getattr(run.record.model, name) for name in small} == small
    assert run.weights()["lstm_1/kernel"].shape[1] == 4 * 256
    assert run.record.epoch_steps == jobs.prepare(corpus, run=tmp_path / "a").epoch_steps
    with pytest.raises(UsageError, match="--units"):
        lstmega.train(corpus, run=tmp_path / "a", minutes=3, units=9, progress=False)


def test_a_changed_plan_is_followed_again_bit_by_bit(text, tmp_path, monkeypatch):
    """A run that was killed after a change of plan makes the same steps, and one left in peace too."""
    speeds = lambda now: 0.2 if now < 15 else 0.4  # noqa: E731
    with monkeypatch.context() as patch:
        stopped, _ = paced(text, tmp_path / "a", patch, speeds, stop_at=40)
    assert stopped.record.replanned and stopped.record.status == "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Pace, "revised", lambda *_: None)  # no further change
        run, _ = paced(text, tmp_path / "a", patch, speeds)
    plan = run.record
    assert plan.replanned == stopped.record.replanned

    def planned(loop):
        return loop._schedule(plan.total_steps, plan.replanned)

    with monkeypatch.context() as patch:
        patch.setattr(trainer._Loop, "_planned", planned)
        peace = train(text, tmp_path / "peace", minutes=1, save_every=7, device="cpu")
    assert peace.record.step == plan.step
    for name, array in run.weights().items():
        np.testing.assert_array_equal(array, peace.weights()[name])


def test_keras_callbacks_work_unchanged(text, tmp_path):
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("train")

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["loss"], logs["val_loss"], self.model.optimizer.iterations.numpy()))

        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    run = train(text, tmp_path, epochs=2, callbacks=[Spy(), log])
    epochs = [item for item in seen if isinstance(item, tuple)]
    steps = run.record.epoch_steps
    assert [(epoch, step) for epoch, _, _, step in epochs] == [(0, steps), (1, 2 * steps)]
    assert len(seen) == 1 + 2 + 2 * steps
    assert epochs[0][2] == pytest.approx(run.history()[0].validation_nats)
    assert "val_loss" in (tmp_path / "log.csv").read_text()


def test_a_callback_can_stop_the_training(text, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    run = train(text, tmp_path, epochs=5, callbacks=[Stop()])
    assert run.record.status == "finished"
    assert len(run.history()) == 1


def test_patience_stops_when_the_held_out_loss_does_not_fall(tmp_path):
    noise = np.random.default_rng(0).choice(list("abcd"), 2000)
    run = train("".join(noise), tmp_path, epochs=60, patience=2, learning_rate=0.05, units=64)
    rows = run.history()
    assert len(rows) < 60
    assert run.record.best.nats == min(row.validation_nats for row in rows)
    assert run.record.best.step == rows[-3].step


@pytest.mark.parametrize("poisoned_step", [EPOCH + 1, 2 * EPOCH])  # within an epoch, at its last step
def test_a_loss_that_is_not_finite_stops_and_keeps_the_best(poisoned_step, text, tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == poisoned_step:
                embeddings = self.model.get_layer("embedding").embeddings
                embeddings.assign(np.nan * embeddings)

    with pytest.raises(TrainingError, match="--learning-rate"):
        train(text, tmp_path, epochs=5, run="a", callbacks=[Poison()])
    run = lstmega.load("a", checkpoints=tmp_path)
    assert run.record.status == "failed"
    assert run.record.best.epoch == len(run.history()) == 1
    assert len(lstmega.sample(run, length=5)[0].text) == 5


def test_progress_hears_everything(text, tmp_path):
    heard = []

    class Ear(Progress):
        def __getattribute__(self, name):
            heard.append(name)
            return super().__getattribute__(name)

    train(text, tmp_path, epochs=1, progress=Ear())
    assert {"note", "begin", "step", "validated", "end"} <= set(heard)


def test_without_resume_the_run_must_be_new(text, tmp_path):
    train(text, tmp_path, steps=1, run="a")
    with pytest.raises(UsageError, match="exists already"):
        train(text, tmp_path, steps=1, run="a", resume=False)


def slow_twin(job, steps):
    """Train by hand: Keras' stock model, NumPy batches, the schedule's formula, explicit clipping."""
    options, lanes = job.training, job.batches
    network = generator.build(job.model, len(job.vocabulary), seed=options.seed)
    adam = keras.optimizers.Adam(1.0)
    ids, variables = job.training_ids(), network.trainable_variables
    for step in range(steps):
        epoch, batch = divmod(step, lanes.batches)
        if batch == 0:
            states = generator.zero_states(job.model, lanes.rows)
        states = [state * lanes.carries(epoch)[batch][:, None] for state in states]
        starts = lanes.starts(epoch)[batch]
        windows = np.array([ids[start : start + lanes.time_steps + 1] for start in starts], np.int32)
        inputs, targets = tf.constant(windows[:, :-1]), windows[:, 1:]
        with tf.GradientTape() as tape:
            logits, *states = network([inputs, *states], training=True)
            chosen = tf.gather(tf.nn.log_softmax(logits), targets, batch_dims=2)
            loss = -tf.reduce_mean(chosen)
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
        norm = math.sqrt(sum(float(tf.reduce_sum(g**2)) for g in gradients))
        gradients = [g * min(1.0, options.clip_norm / norm) for g in gradients]
        rise, total = options.warmup, options.steps
        progress = (step - rise) / (total - rise)
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        adam.learning_rate = options.learning_rate * ((step + 1) / (rise + 1) if step < rise else cosine)
        adam.apply(gradients, variables)
    return weights_of(network)


def test_the_loop_is_what_it_says(text, tmp_path):
    """State carried in lanes, rows that restart, warm-up and cosine, clipping: against a slow twin."""
    options = {"steps": 2 * EPOCH + 3, "warmup": 10, "clip_norm": 0.05, "restarts": 0.2, "layers": 2}
    options["learning_rate"] = 1e-3
    run = train(text, tmp_path, validation=0.1, **options)
    job = jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path / "b", **SMALL | options)
    for saved in run.record.weights:
        assert saved.step in (EPOCH, 2 * EPOCH, 2 * EPOCH + 3)
    last = dataclasses.replace(run.record, best=run.record.weights[-1])
    found = lstmega.Run(run.path, last).weights()
    for name, array in slow_twin(job, options["steps"]).items():
        np.testing.assert_allclose(found[name], array, atol=3e-5, err_msg=name)


def test_a_callback_that_stops_within_an_epoch_loses_nothing(text, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    run = train(text, tmp_path, epochs=5, callbacks=[Stop()])
    assert run.history()[-1].step == run.record.step == run.record.best.step == 2


@pytest.mark.parametrize("kind", ["LearningRateScheduler", "ReduceLROnPlateau"])
def test_callbacks_that_set_the_rate_need_a_constant_schedule(text, tmp_path, kind):
    arguments = {"LearningRateScheduler": [lambda epoch, rate: 1e-5], "ReduceLROnPlateau": []}
    callback = getattr(keras.callbacks, kind)(*arguments[kind])
    with pytest.raises(UsageError, match="--schedule constant"):
        train(text, tmp_path / "a", steps=1, callbacks=[callback])
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-9)
    run = train(text, tmp_path, epochs=1, schedule="constant", callbacks=[callback])
    assert run.history()[-1].validation_nats == pytest.approx(math.log(len(set(text))), abs=0.01)


def test_a_text_of_one_batch_keeps_to_its_minutes(tmp_path):
    begun = time.monotonic()
    train("abc de. " * 10, tmp_path, minutes=0.1)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "options",
    [
        {"device": "cuda"},
        {"threads": "2"},
        {"max_vocabulary": "9"},
        {"steps": 10**23},
        {"tokens": "byte"},
    ],
)
def test_values_are_checked_in_python_too(text, tmp_path, options):
    with pytest.raises(UsageError):
        train(text, tmp_path, **{"steps": 1} | options)


def test_numpy_numbers_are_numbers(text, tmp_path):
    assert train(text, tmp_path, steps=np.int64(1)).record.training.steps == 1


def test_losses_of_bytes_say_so(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("日本語のテキスト。" * 60)
    run = lstmega.train(tmp_path / "a.txt", checkpoints=tmp_path, tokens="byte", steps=2, **SMALL)
    assert "bits/char" not in capsys.readouterr().err
    card = (run.path / "README.md").read_text()
    assert "bits/byte" in card
    assert "byte-level" in card
    assert "語" in run.samples()


def test_a_loss_that_is_not_held_out_is_not_called_so(text, tmp_path, capsys):
    run = train(text, tmp_path, steps=2, validation=0)
    assert "Best training loss" in capsys.readouterr().err
    assert "best training loss" in dict(run.record.facts())


def test_a_signal_during_a_validation_waits_for_its_end(text, tmp_path):
    class Term(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped, match=r"SIGTERM.*step 25 is saved"):
        train(text, tmp_path, epochs=2, run="a", callbacks=[Term()])
    run = lstmega.load("a", checkpoints=tmp_path)
    assert (run.record.status, run.record.step, len(run.history())) == ("stopped", EPOCH, 1)
    again = train(text, tmp_path, epochs=2, run="a")
    whole = train(text, tmp_path, epochs=2, run="b")
    assert everything(again) == everything(whole)


def test_samples_of_each_validation_are_kept(tiny_run):
    assert tiny_run.samples().count("=== epoch") == len(tiny_run.history())


@pytest.mark.slow
def test_the_loop_on_two_replicas(tmp_path, text):
    """Train and resume on two virtual CPUs: as on two GPUs, equal to one within float noise."""
    (tmp_path / "a.txt").write_text(text)
    code = """
from lstmega.nn import devices
from lstmega.nn.devices import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import lstmega
from lstmega import api
options = dict(preset="tiny", units=8, embedding=4, batch_size=4, sequence_length=16, progress=False)
options |= dict(learning_rate=1e-3, save_every=10)
one = lstmega.train("a.txt", run="one", steps=40, **options)
mirrored = devices.Device("gpu", 1, tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]))
devices.choose = lambda *_, **__: mirrored
lstmega.train("a.txt", run="two", steps=20, schedule="constant", **options)
two = lstmega.train("a.txt", run="three", steps=40, **options)
again = lstmega.train("a.txt", run="two", steps=40, schedule="constant", **options)
assert again.record.step == 40 and not again.record.exact and one.record.exact
difference = max(abs(a - two.weights()[n]).max() for n, a in one.weights().items())
print("difference", difference)
assert difference < 1e-4
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
