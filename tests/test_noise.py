import numpy as np
import pytest

from lstmega import model
from lstmega.devices import tf
from lstmega.noise import Noise
from lstmega.options import ModelOptions

SEED = tf.constant([3, 4])
SHAPE = (4, 50, 60)  # rows, time, units


def options(**more):
    return ModelOptions(**{"units": 60, "embedding": 60, "layers": 2} | more)


def kept(dropped):
    return np.asarray(dropped) != 0


@pytest.mark.parametrize(
    ("chosen", "place"),
    [
        ({"input_dropout": 0.25}, lambda noise, x: noise.inputs(x)),
        ({"dropout": 0.25}, lambda noise, x: noise.outputs(x, 0)),
        ({"dropout": 0.25}, lambda noise, x: noise.outputs(x, 1)),
        ({"dropout": 0.9, "output_dropout": 0.25}, lambda noise, x: noise.outputs(x, 1)),
    ],
)
def test_drops_a_share_and_scales_the_rest(chosen, place):
    dropped = np.asarray(place(Noise(options(**chosen), SEED), tf.ones(SHAPE)))
    assert abs(kept(dropped).mean() - 0.75) < 0.02
    np.testing.assert_allclose(dropped[kept(dropped)], 1 / 0.75, rtol=1e-6)


@pytest.mark.parametrize("variational", [False, True])
def test_variational_masks_last_for_all_of_time(variational):
    mask = kept(Noise(options(dropout=0.5, variational=variational), SEED).outputs(tf.ones(SHAPE), 0))
    assert (mask == mask[:, :1]).all() == variational
    assert (mask[0] != mask[1]).any()  # rows differ


def test_places_differ_and_a_seed_repeats():
    chosen = options(dropout=0.5, input_dropout=0.5)
    noise, ones = Noise(chosen, SEED), tf.ones(SHAPE)
    masks = [kept(noise.inputs(ones)), kept(noise.outputs(ones, 0)), kept(noise.outputs(ones, 1))]
    assert (masks[0] != masks[1]).any() and (masks[1] != masks[2]).any()
    np.testing.assert_array_equal(masks[0], kept(Noise(chosen, SEED).inputs(ones)))
    assert (masks[0] != kept(Noise(chosen, tf.constant([3, 5])).inputs(ones))).any()


def test_without_a_seed_nothing_is_dropped():
    noise, ones = Noise(options(dropout=0.5, input_dropout=0.5, weight_drop=0.5)), tf.ones(SHAPE)
    assert noise.inputs(ones) is ones and noise.outputs(ones, 1) is ones


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_weight_drop_is_dropout_of_the_recurrent_kernel(cell):
    """A layer computes as one whose kernel is masked, and its gradient is masked like it."""
    chosen = ModelOptions(cell=cell, units=8, embedding=4, weight_drop=0.5)
    network = model.build(chosen, 9, seed=0)
    layer = network.get_layer(f"{cell}_1")
    kernel = layer.cell.recurrent_kernel
    ids, states = tf.constant([[1, 2, 3, 4]]), model.zero_states(chosen, 1)
    with tf.GradientTape() as tape:
        logits, *_ = model.forward(network, chosen, ids, states, seed=SEED)
    gradient = np.asarray(tape.gradient(logits, kernel))
    before = kernel.numpy()
    with Noise(chosen, SEED).weights(layer, 0):
        masked = np.asarray(tf.convert_to_tensor(kernel))
    assert 0.3 < kept(masked).mean() < 0.7
    np.testing.assert_allclose(masked[kept(masked)], 2 * before[kept(masked)], rtol=1e-6)
    assert (gradient[~kept(masked)] == 0).all() and (gradient[kept(masked)] != 0).any()
    np.testing.assert_array_equal(kernel.numpy(), before)
    kernel.assign(masked)
    expected, *_ = model.forward(network, chosen, ids, states)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_input_dropout_reaches_a_folded_embedding():
    chosen = ModelOptions(units=8, embedding=40, input_dropout=0.9)
    network = model.build(chosen, 9, seed=0)
    ids, states = tf.constant([[1, 2, 3, 4]]), model.zero_states(chosen, 1)
    quiet, noisy = (model.forward(network, chosen, ids, states, seed=s)[0] for s in (None, SEED))
    assert np.abs(quiet - noisy).max() > 1e-6
