from pathlib import Path

import numpy as np
import pytest

from lstmega.nn import generator
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras
from lstmega.training.callbacks import RunCheckpoint


@pytest.fixture
def network(tiny_run):
    return generator.build(tiny_run.record.model, len(tiny_run.vocabulary), seed=1)


def finish_epoch(callback, epoch, loss, *, step, whole=True):
    callback.on_epoch_end(epoch, {"val_loss": loss, "step": step, "whole_epoch": whole})


def test_saves_once_names_the_file_and_keeps_the_best(tiny_run, network):
    callback = RunCheckpoint(tiny_run, network, monitor="val_loss")
    before = tiny_run.record.weights
    finish_epoch(callback, 90, 0.5, step=900)
    finish_epoch(callback, 91, 0.7, step=905, whole=False)
    first, second = tiny_run.record.weights[len(before) :]
    assert (first.file, second.file) == ("epoch-091.weights.h5", "epoch-092-step-00000905.weights.h5")
    assert tiny_run.record.best == first
    for name, array in weights_of(network).items():
        np.testing.assert_array_equal(tiny_run.weights()[name], array)


def test_is_keras_own_callback_and_file(tiny_run, network):
    callback = RunCheckpoint(tiny_run, network, monitor="val_loss")
    assert isinstance(callback, keras.callbacks.ModelCheckpoint)
    finish_epoch(callback, 90, 0.5, step=900)
    other = generator.build(tiny_run.record.model, len(tiny_run.vocabulary), seed=2)
    other.load_weights(tiny_run.weights_path("epoch-091.weights.h5"))
    for name, array in weights_of(network).items():
        np.testing.assert_array_equal(weights_of(other)[name], array)


def test_a_failed_save_leaves_nothing_and_the_record_as_it_was(tiny_run, network, monkeypatch):
    callback = RunCheckpoint(tiny_run, network, monitor="val_loss")
    record, before = tiny_run.record, sorted(tiny_run.path.rglob("*"))

    write_bytes = Path.write_bytes

    def half(path, content):
        write_bytes(path, content[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        finish_epoch(callback, 90, 0.5, step=900)
    assert tiny_run.record == record
    assert sorted(tiny_run.path.rglob("*")) == before
