import itertools

import numpy as np
import pytest

from lstmega.data import labelled
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.nn import devices
from lstmega.nn.backbone import weights_of
from lstmega.runs import classifier_job
from lstmega.runs import generator_job as jobs
from lstmega.training import learner as learners
from lstmega.training import trainer
from lstmega.training.classifier import ClassifierLearner
from lstmega.training.generator import GeneratorLearner
from lstmega.training.schedule import Schedule


@pytest.fixture
def job(tmp_path, text):
    def prepare(**options):
        sizes = {"units": 4, "embedding": 3, "batch_size": 2, "sequence_length": 20}
        return jobs.prepare(
            Corpus.from_text(text), checkpoints=tmp_path, preset="tiny", **(sizes | options)
        )

    return prepare


@pytest.mark.parametrize(
    ("options", "compiled"),
    [
        ({"steps": 399}, False),
        ({"steps": 400}, True),
        ({"epochs": 1}, False),
        ({"epochs": 5000}, True),
        ({"minutes": 0.1}, False),
        ({"minutes": 0.2}, True),
    ],
)
def test_long_trainings_are_compiled(job, options, compiled):
    assert GeneratorLearner(job(**options), devices.choose("cpu")).compiled is compiled


def test_xla_and_cudnn_exclude_each_other(job):
    """Also where a run that XLA compiled goes on on a GPU."""
    gpu = devices.Device("gpu", 2, devices.tf.distribute.OneDeviceStrategy("/cpu:0"))
    assert not GeneratorLearner(job(steps=5000), gpu).compiled
    assert not GeneratorLearner(job(steps=5000), gpu, compiled=True).compiled


@pytest.mark.parametrize(
    ("options", "native", "precision"),
    [
        ({"steps": 5000}, True, "bfloat16"),
        ({"steps": 5000}, False, "float32"),
        ({"steps": 1}, True, "float32"),  # outside of XLA nothing is gained
        ({"steps": 1, "precision": "bfloat16"}, False, "bfloat16"),
        ({"steps": 5000, "precision": "float32"}, True, "float32"),
    ],
)
def test_auto_takes_bfloat16_where_it_is_faster(job, options, native, precision, monkeypatch):
    monkeypatch.setattr(learners, "multiplies_bfloat16", lambda: native)
    assert GeneratorLearner(job(**options), devices.choose("cpu")).precision == precision


def test_bfloat16_is_for_processors(job, tmp_path, monkeypatch):
    """Also where a run of bfloat16 goes on on a GPU; a run that cannot begin leaves nothing."""
    gpu = devices.Device("gpu", 2, devices.tf.distribute.OneDeviceStrategy("/cpu:0"))
    assert GeneratorLearner(job(steps=5000), gpu).precision == "float32"
    assert GeneratorLearner(job(steps=5000), gpu, precision="bfloat16").precision == "float32"
    monkeypatch.setattr(devices, "choose", lambda *_, **options: gpu)
    prepared = job(steps=5000, precision="bfloat16")
    with pytest.raises(UsageError, match=r"Received: 1 GPU\. Accepted on a GPU: auto, float32"):
        trainer.train(prepared)
    assert not prepared.path.exists()


def test_numbers_of_a_user_are_not_rounded(tmp_path, monkeypatch):
    """2023, 2024 and 2025 are one number in bfloat16."""
    monkeypatch.setattr(learners, "multiplies_bfloat16", lambda: True)
    vectors = np.repeat(np.array([2023, 2025], np.float32), 20)[:, None, None]
    np.savez(tmp_path / "years.npz", x=vectors, y=np.repeat(["before", "after"], 20))
    prepared = classifier_job.prepare(
        labelled.read(tmp_path / "years.npz"), checkpoints=tmp_path, units=4, epochs=1
    )
    learner = ClassifierLearner(prepared, devices.choose("cpu"), compiled=True)
    assert learner.precision == "float32"


def test_what_was_decided_before_stays(job):
    kept = GeneratorLearner(job(steps=5000), devices.choose("cpu"), precision="float32")
    assert kept.precision == "float32"
    assert GeneratorLearner(job(steps=1), devices.choose("cpu"), compiled=True).compiled


def test_batches_go_on_from_any_step(job):
    """Short epochs share a pipeline, and no batch is lost or doubled at its ends."""
    prepared = job(steps=1000)
    learner = GeneratorLearner(prepared, devices.choose("cpu"))
    schedule = Schedule(230, prepared.batches.batches, 1e-3, "constant", 0)
    whole = [batch[0].numpy() for batch in itertools.islice(learner.batches(schedule, 0), 232)]
    for first in (0, 1, 99, 229):
        rest = [batch[0].numpy() for batch in itertools.islice(learner.batches(schedule, first), 3)]
        np.testing.assert_array_equal(rest, whole[first : first + 3])
    for step, found in enumerate(whole):
        epoch, index = schedule.position(step)
        starts = prepared.batches.starts(epoch)[index]
        expected = [prepared.training_ids()[start : start + 20] for start in starts]
        np.testing.assert_array_equal(found, expected)


def test_timing_a_step_leaves_no_trace(job):
    prepared = job(steps=1000)
    learner = GeneratorLearner(prepared, devices.choose("cpu"))
    before, polls = learner.snapshot.take(), []
    seconds = learner.seconds_of_a_step(budget=1, poll=lambda: polls.append(1))
    assert 0 < seconds < 10 and len(polls) > 2
    for name, array in learner.snapshot.take().items():
        np.testing.assert_array_equal(array, before[name])


def test_averages_are_exponential_and_leave_no_trace(job):
    prepared = job(steps=5, ema_decay=0.5)
    learner = GeneratorLearner(prepared, devices.choose("cpu"))
    schedule = Schedule(5, prepared.batches.batches, 1e-2, "constant", 0)
    expected = None
    for batch in itertools.islice(learner.batches(schedule, 0), 5):
        learner.learn(batch)
        now = weights_of(learner.network)
        expected = now if expected is None else {n: (expected[n] + now[n]) / 2 for n in now}
    with learner.averaged():
        for name, array in weights_of(learner.network).items():
            np.testing.assert_allclose(array, expected[name], atol=1e-6)
            assert (array != now[name]).any()
    for name, array in weights_of(learner.network).items():
        np.testing.assert_array_equal(array, now[name])


def test_without_averaging_the_weights_stay(job):
    learner = GeneratorLearner(job(steps=1), devices.choose("cpu"))
    before = weights_of(learner.network)
    with learner.averaged():
        after = weights_of(learner.network)
    assert all((after[name] == array).all() for name, array in before.items())


def test_decay_takes_from_kernels_alone(job):
    """One step with and without: they differ by rate times decay times the kernel."""
    found = []
    for decay in (0.0, 0.5):
        prepared = job(steps=1, weight_decay=decay)
        learner = GeneratorLearner(prepared, devices.choose("cpu"))
        before = weights_of(learner.network)
        learner.optimizer.learning_rate.assign(1e-2)
        learner.learn(next(learner.batches(Schedule(1, prepared.batches.batches, 1e-2), 0)))
        found.append(weights_of(learner.network))
    for name, array in before.items():
        expected = 0.5 * 1e-2 * array if name.endswith("kernel") else 0 * array
        np.testing.assert_allclose(found[0][name] - found[1][name], expected, atol=1e-6, err_msg=name)
