import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.nn import generator
from lstmega.nn.devices import tf
from lstmega.nn.dropout import draw, masked_kernel

SEED = tf.constant([3, 4])
ROWS, TIME = 4, 50


def masks_of(seed=SEED, **more):
    options = GeneratorConfig(**{"units": 60, "embedding": 40, "layers": 2} | more)
    return {
        name: np.asarray(mask)
        for name, mask in draw(generator.dropout_masks(options, ROWS, TIME), seed).items()
    }


@pytest.mark.parametrize(
    ("chosen", "shapes"),
    [
        ({}, {}),
        ({"input_dropout": 0.25}, {"embedding": (ROWS, TIME, 40)}),
        ({"dropout": 0.25}, {"lstm_1": (ROWS, TIME, 60), "lstm_2": (ROWS, TIME, 60)}),
        ({"output_dropout": 0.25}, {"lstm_2": (ROWS, TIME, 60)}),
        ({"dropout": 0.25, "output_dropout": 0}, {"lstm_1": (ROWS, TIME, 60)}),
        (
            {"weight_drop": 0.25},
            {"lstm_1/recurrent_kernel": (60, 240), "lstm_2/recurrent_kernel": (60, 240)},
        ),
        ({"cell": "rnn", "layers": 1, "weight_drop": 0.25}, {"rnn_1/recurrent_kernel": (60, 60)}),
    ],
)
def test_a_share_is_dropped_and_the_rest_scaled(chosen, shapes):
    masks = masks_of(**chosen)
    assert {name: mask.shape for name, mask in masks.items()} == shapes
    for mask in masks.values():
        assert abs((mask != 0).mean() - 0.75) < 0.03
        np.testing.assert_allclose(mask[mask != 0], 1 / 0.75, rtol=1e-6)


def test_variational_masks_are_one_for_all_of_time():
    mask = masks_of(dropout=0.5, variational=True)["lstm_1"]
    assert mask.shape == (ROWS, 1, 60)
    assert (mask[0] != mask[1]).any()  # rows differ


def test_places_differ_and_a_seed_repeats():
    chosen = {"dropout": 0.5, "input_dropout": 0.5, "embedding": 60}
    masks, again, other = masks_of(**chosen), masks_of(**chosen), masks_of(tf.constant([3, 5]), **chosen)
    assert (masks["embedding"] != masks["lstm_1"]).any() and (masks["lstm_1"] != masks["lstm_2"]).any()
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, again[name])
        assert (mask != other[name]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_dropped_kernel_is_a_masked_one(cell):
    """A layer computes as one whose kernel is masked, and its gradient is masked like it."""
    options = GeneratorConfig(cell=cell, units=8, embedding=4, weight_drop=0.5)
    network, masks = (
        generator.build(options, 9, seed=0),
        draw(generator.dropout_masks(options, 1, 4), SEED),
    )
    [mask] = [np.asarray(mask) for mask in masks.values()]
    kernel = network.get_layer(f"{cell}_1").cell.recurrent_kernel
    before, ids, states = kernel.numpy(), tf.constant([[1, 2, 3, 4]]), generator.zero_states(options, 1)
    with tf.GradientTape() as tape:
        logits, *_ = generator.forward(network, options, ids, states, masks=masks)
    gradient = np.asarray(tape.gradient(logits, kernel))
    assert (gradient[mask == 0] == 0).all() and (gradient[mask != 0] != 0).any()
    np.testing.assert_array_equal(kernel.numpy(), before)
    kernel.assign(before * mask)
    expected, *_ = generator.forward(network, options, ids, states)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_without_a_mask_the_kernel_is_itself():
    options = GeneratorConfig(units=8, embedding=4)
    layer = generator.build(options, 9, seed=0).get_layer("lstm_1")
    with masked_kernel(layer, {}):
        np.testing.assert_array_equal(
            tf.convert_to_tensor(layer.cell.recurrent_kernel), layer.cell.recurrent_kernel.numpy()
        )


@pytest.mark.parametrize("place", ["embedding", "lstm_1", "lstm_2"])
@pytest.mark.parametrize("wiring", [{}, {"residual": True, "layer_norm": True, "tied": True}])
def test_each_mask_reaches_its_place(place, wiring):
    """A mask of zeros leaves what follows it nothing to tell characters apart by."""
    options = GeneratorConfig(units=8, embedding=40, layers=2, **wiring)
    network = generator.build(options, 9, seed=0)
    width = 40 if place == "embedding" else 8
    masks = {place: tf.zeros((1, 1, width))}
    if place == "lstm_1" and wiring:
        masks["lstm_2"] = masks["lstm_1"]  # a residual goes round the second layer
    ids, states = tf.constant([[1, 2, 3, 4]]), generator.zero_states(options, 1)
    other = tf.constant([[5, 6, 7, 8]])
    first, second = (
        generator.forward(network, options, text, states, masks=masks)[0] for text in (ids, other)
    )
    np.testing.assert_allclose(first, second, atol=1e-7)
