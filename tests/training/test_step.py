import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.nn import backbone, generator
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import Device, keras, tf
from lstmega.nn.dropout import draw
from lstmega.training.step import GeneratorStep, shards_of

REPOSITORY = Path(__file__).parents[2]
OPTIONS = GeneratorConfig(units=6, embedding=3)


def one_step(strategy, rows):
    with strategy.scope():
        network = generator.build(OPTIONS, 9, seed=0)
        optimizer = keras.optimizers.Adam(0.1, global_clipnorm=1.0)
        optimizer.build(network.trainable_variables)
    step = GeneratorStep(network, OPTIONS, optimizer, Device("cpu", 2, strategy))
    random = np.random.default_rng(0)
    batches = [
        (
            random.integers(9, size=(rows, 5)).astype(np.int32),
            random.integers(9, size=(rows, 5)).astype(np.int32),
            np.ones(rows, np.float32),
        )
        for _ in range(3)
    ]
    return (
        network,
        step,
        tf.data.Dataset.from_generator(
            lambda: iter(batches),
            output_signature=(
                tf.TensorSpec((rows, 5), tf.int32),
                tf.TensorSpec((rows, 5), tf.int32),
                tf.TensorSpec((rows,), tf.float32),
            ),
        ),
    )


def test_a_row_that_restarts_forgets_its_state():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    results = []
    for state in (0.0, 5.0):
        _, step, data = one_step(strategy, 4)
        inputs, targets, carries = next(iter(data))
        states = [tf.fill((4, 6), state)] * 2
        results.append(float(step(inputs, targets, 0 * carries, states)[0]))
        _, step, _ = one_step(strategy, 4)
        carried = float(step(inputs, targets, carries, states)[0])
    assert results[0] == results[1] != carried


@pytest.mark.slow
def test_two_replicas_equal_one():
    """Two virtual CPUs share the rows of a batch; only a fresh process can make them."""
    code = """
from lstmega.nn.devices import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import numpy as np
from lstmega.nn.backbone import weights_of
from tests.training.test_step import OPTIONS, one_step

def weights_after(strategy, replicas):
    network, step, data = one_step(strategy, 32)
    states = [tf.zeros((32 // replicas, 6))] * 2
    if replicas > 1:
        data = strategy.experimental_distribute_dataset(data)
        states = [strategy.experimental_distribute_values_from_function(lambda _: s) for s in states]
    for batch in data:
        nats, states = step(*batch, states)
    return float(nats), weights_of(network)

one, expected = weights_after(tf.distribute.OneDeviceStrategy("/cpu:0"), 1)
mirrored = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
two, found = weights_after(mirrored, 2)
np.testing.assert_allclose(one, two, rtol=1e-5)
for name, array in expected.items():
    np.testing.assert_allclose(array, found[name], atol=1e-5)
print("equal")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("equal\n"), done.stderr[-2000:]


def losses_and_weights(options, *, threads=1, rows=16, steps=3, rate=0.1, seed=0, **how):
    """Train on random ids, and return each step's loss and the weights at the end."""
    network = generator.build(options, 9, seed=0)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(network.trainable_variables)
    device = Device("cpu", threads, tf.distribute.OneDeviceStrategy("/cpu:0"))
    step, losses = GeneratorStep(network, options, optimizer, device, seed=seed, **how), []
    random, states = np.random.default_rng(0), generator.zero_states(options, rows)
    for _ in range(steps):
        ids = random.integers(9, size=(rows, 6)).astype(np.int32)
        carries = random.integers(2, size=rows).astype(np.float32)
        nats, states = step(ids[:, :-1], ids[:, 1:], carries, states)
        losses.append(float(nats))
    return losses, weights_of(network)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("way", [{"threads": 2}, {"compiled": True}, {"threads": 2, "compiled": True}])
def test_shards_and_compilation_change_nothing_but_float_noise(cell, way):
    options = GeneratorConfig(cell=cell, units=6, embedding=3, layers=2)
    losses, weights = losses_and_weights(options)
    found, others = losses_and_weights(options, **way)
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    for name, array in weights.items():
        np.testing.assert_allclose(others[name], array, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_same_threads_repeat_bit_by_bit(compiled, precision):
    options = GeneratorConfig(units=6, embedding=3, dropout=0.3, weight_drop=0.2)
    how = {"threads": 2, "rows": 32, "compiled": compiled, "precision": precision}
    first, again = (losses_and_weights(options, **how) for _ in range(2))
    assert first[0] == again[0]
    for name, array in first[1].items():
        np.testing.assert_array_equal(again[1][name], array)


@pytest.mark.parametrize("noise", [{"dropout": 0.5}, {"weight_drop": 0.5}, {"input_dropout": 0.5}])
def test_masks_differ_between_shards_steps_and_seeds(noise, monkeypatch):
    used = []

    def drawn(wanted, seed):
        used.append(seed)
        return draw(wanted, seed)

    monkeypatch.setattr("lstmega.training.step.draw", drawn)
    tf.config.run_functions_eagerly(True)
    try:
        options = GeneratorConfig(units=8, embedding=4, **noise)
        losses = [losses_and_weights(options, threads=2, steps=2, seed=seed)[0] for seed in (0, 0, 1)]
    finally:
        tf.config.run_functions_eagerly(False)
    first, again, other = (used[start : start + 4] for start in (0, 4, 8))
    assert len({tuple(np.asarray(seed)) for seed in first + other}) == 8  # 2 seeds, 2 steps, 2 shards
    np.testing.assert_array_equal(first, again)
    assert losses[0] == losses[1] and losses[0] != losses[2]


@pytest.mark.parametrize(
    ("rows", "threads", "shards"),
    [
        (64, 2, [32, 32]),
        (64, 1, [64]),
        (64, 16, [8] * 8),
        (32, 3, [11, 11, 10]),
        (12, 4, [12]),
        (17, 2, [9, 8]),
        (1, 8, [1]),
    ],
)
def test_shards_are_nearly_equal_and_keep_eight_rows(rows, threads, shards):
    assert shards_of(rows, threads) == shards


def test_unequal_shards_weigh_by_their_rows():
    options = GeneratorConfig(units=6, embedding=3)
    whole, split = (losses_and_weights(options, rows=17, threads=threads) for threads in (1, 2))
    np.testing.assert_allclose(split[0], whole[0], rtol=1e-5)
    for name, array in whole[1].items():
        np.testing.assert_allclose(split[1][name], array, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_rounded_steps_learn_like_those_of_float32(cell):
    options = GeneratorConfig(cell=cell, units=32, embedding=8)
    exact, rounded = (
        losses_and_weights(options, compiled=True, steps=40, rate=1e-2, precision=precision)[0]
        for precision in ("float32", "bfloat16")
    )
    assert exact[-1] < exact[0]
    assert rounded != exact
    np.testing.assert_allclose(rounded, exact, rtol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_two_hundred_steps_equal_those_of_stock_layers(cell, monkeypatch):
    """The whole fast step, against Keras' layers in the same step: the same curve of losses."""
    options = GeneratorConfig(cell=cell, units=32, embedding=8)
    ours, _ = losses_and_weights(options, threads=2, compiled=True, steps=200, rate=1e-3)
    stock = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    monkeypatch.setattr(backbone, "CELLS", stock)
    theirs, _ = losses_and_weights(options, steps=200, rate=1e-3)
    assert theirs[-1] < theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
