"""The NumPy classifier, the Keras model and the equations, step by step, are one."""

import itertools

import numpy as np
import pytest

from lstmega.config.model import ClassifierConfig
from lstmega.inference.classifier import Classifier
from lstmega.nn import devices
from lstmega.nn.backbone import weights_of
from lstmega.nn.classifier import build, dropout_masks, forward
from lstmega.nn.devices import tf
from lstmega.nn.dropout import draw
from lstmega.runs import weights
from lstmega.training.step import ClassifierStep
from tests import oracles

INPUTS, CLASSES = 11, 4
WAYS = list(itertools.product(["last", "mean", "max"], [False, True]))


def normed(arrays, name, rows):
    gamma, beta = arrays[f"{name}/gamma"], arrays[f"{name}/beta"]
    return np.array([oracles.layer_norm(row, gamma, beta) for row in rows])


def slow(options, arrays, sequence):
    """Return the logits of one sequence, one step at a time, from the equations."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    rows = sequence if sequence.ndim == 2 else arrays["embedding/embeddings"][sequence]
    for number, names in enumerate(options.layer_names()):
        ways, read = [], rows
        if number and options.layer_norm:
            read = normed(arrays, f"{names[0]}_norm", rows)
        for name, backward in zip(names, (False, True), strict=False):
            kernel, recurrent, bias = (
                arrays[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
            )
            hidden, memory, outputs = np.zeros(options.units), np.zeros(options.units), []
            for x in read[::-1] if backward else read:
                if options.cell == "lstm":
                    hidden, memory = oracles.lstm(x, (hidden, memory), kernel, recurrent, bias)
                elif options.cell == "gru":
                    hidden = oracles.gru(x, hidden, kernel, recurrent, bias)
                else:
                    hidden = np.tanh(x @ kernel + hidden @ recurrent + bias)
                outputs.append(hidden)
            ways.append(outputs[::-1] if backward else outputs)
        above = np.concatenate(ways, axis=1)
        rows = rows + above if number and options.residual else above
    if options.layer_norm:
        rows = normed(arrays, "head_norm", rows)
    pooled = {
        "last": np.concatenate([rows[-1, : options.units], rows[0, options.units :]]),
        "mean": rows.mean(axis=0),
        "max": rows.max(axis=0),
    }[options.pool]
    return pooled @ arrays["classes/kernel"] + arrays["classes/bias"]


def made(tokens=True, **more):
    options = ClassifierConfig(units=5, embedding=3, **more)
    network, random = build(options, INPUTS, CLASSES, tokens=tokens, seed=1), np.random.default_rng(0)
    for variable in network.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return options, network, weights_of(network)


def batch(tokens=True, pad=0):
    random, lengths = np.random.default_rng(2), np.array([1, 4, 7, 3], np.int32)
    shape = (4, 7 + pad) if tokens else (4, 7 + pad, INPUTS)
    inputs = np.zeros(shape, np.int32 if tokens else np.float32)
    for row, length in enumerate(lengths):
        content = random.integers(INPUTS, size=7) if tokens else random.normal(size=(7, INPUTS))
        inputs[row, :length] = content[:length]
    return inputs, lengths


@pytest.mark.parametrize(("pool", "bidirectional"), WAYS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(("layers", "tokens"), [(1, True), (2, True), (2, False)])
def test_three_twins_are_equal(cell, layers, tokens, pool, bidirectional):
    options, network, arrays = made(
        tokens, cell=cell, layers=layers, pool=pool, bidirectional=bidirectional
    )
    inputs, lengths = batch(tokens)
    expected = [slow(options, arrays, row[:length]) for row, length in zip(inputs, lengths, strict=True)]
    np.testing.assert_allclose(network([inputs, lengths]), expected, atol=1e-5)
    logs = Classifier(options, arrays).log_probabilities(inputs, lengths)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-6)
    shifted = np.array(expected) - np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logs, shifted, atol=1e-5)


@pytest.mark.parametrize("pool", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_residuals_and_norms_have_three_equal_twins(pool, bidirectional):
    wiring = {"layers": 3, "residual": True, "layer_norm": True}
    options, network, arrays = made(pool=pool, bidirectional=bidirectional, **wiring)
    inputs, lengths = batch()
    expected = [slow(options, arrays, row[:length]) for row, length in zip(inputs, lengths, strict=True)]
    np.testing.assert_allclose(network([inputs, lengths]), expected, atol=1e-5)
    logs = Classifier(options, arrays).log_probabilities(inputs, lengths)
    shifted = np.array(expected) - np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(logs, shifted, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_dropped_kernel_is_a_masked_one(bidirectional):
    options, network, arrays = made(bidirectional=bidirectional, weight_drop=0.5)
    inputs, lengths = batch()
    wanted = dropout_masks(options, len(lengths), inputs.shape[1], tokens=True)
    masks = draw(wanted, tf.constant([3, 4]))
    kernels = {f"{name}/recurrent_kernel" for names in options.layer_names() for name in names}
    assert set(masks) == kernels
    found = forward(network, options, tf.constant(inputs), tf.constant(lengths), masks=masks)
    masked = arrays | {name: arrays[name] * np.asarray(mask) for name, mask in masks.items()}
    expected = [slow(options, masked, row[:length]) for row, length in zip(inputs, lengths, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("pool", "bidirectional"), WAYS)
@pytest.mark.parametrize("tokens", [True, False])
def test_padding_changes_no_prediction(pool, bidirectional, tokens):
    """Packed equals unpacked, whatever stands in the padding."""
    options, network, arrays = made(tokens, layers=2, pool=pool, bidirectional=bidirectional)
    inputs, lengths = batch(tokens)
    padded, _ = batch(tokens, pad=7)  # twice the length
    for row, length in enumerate(lengths):
        padded[row, length:] = 3
    model = Classifier(options, arrays)
    for read in (
        lambda *given: np.exp(model.log_probabilities(*given)),
        lambda *given: np.array(network(list(given))),
    ):
        assert np.abs(read(inputs, lengths) - read(padded, lengths)).max() < 1e-6


@pytest.mark.parametrize("bidirectional", [False, True])
def test_keras_reads_what_we_write(bidirectional, tmp_path):
    options, _, arrays = made(layers=3, bidirectional=bidirectional)
    shapes = options.weight_shapes(INPUTS, CLASSES, True)
    assert {name: array.shape for name, array in arrays.items()} == shapes
    path = tmp_path / "x.weights.h5"
    content = weights.write({name: arrays[name] for name in shapes})
    path.write_bytes(content)
    again = weights.read(content, shapes, where="x")
    fresh = build(options, INPUTS, CLASSES, tokens=True, seed=9)
    fresh.load_weights(path)
    for name, array in weights_of(fresh).items():
        np.testing.assert_array_equal(array, arrays[name])
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_a_step_is_the_textbooks(smoothing):
    options, network, arrays = made(label_smoothing=smoothing)
    inputs, lengths = batch()
    labels, weights_ = np.array([1, 3, -1, 1], np.int32), np.array([1, 0.5, 1, 2], np.float32)
    expected = 0.0
    for row in (0, 1, 3):
        logits = slow(options, arrays, inputs[row, : lengths[row]])
        logs = logits - np.log(np.exp(logits).sum())
        target = np.eye(CLASSES)[labels[row]] * (1 - smoothing) + smoothing / CLASSES
        expected -= weights_[labels[row]] * (target * logs).sum()
    optimizer = devices.keras.optimizers.Adam(1e-3)
    optimizer.build(network.trainable_variables)
    step = ClassifierStep(
        network, options, optimizer, devices.Device("cpu", 1, tf.distribute.get_strategy()),
        seed=0, compiled=False, unknown_id=10, class_weights=weights_, counted=2.5,
    )  # fmt: skip
    assert float(step(inputs, lengths, labels)) == pytest.approx(expected / 2.5, rel=1e-5)


def test_same_seed_same_weights():
    first, second = (
        weights_of(build(ClassifierConfig(units=3), INPUTS, 2, tokens=True, seed=4)) for _ in range(2)
    )
    assert all((first[name] == second[name]).all() for name in first)
