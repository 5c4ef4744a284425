import math

import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.inference.decoder import Decoder
from lstmega.nn import rnn as recurrent
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import tf
from lstmega.nn.generator import build, forward, zero_states
from tests import oracles

SIZE = 20


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_decoder_writes_what_the_model_says(cell, layers):
    options = GeneratorConfig(cell=cell, layers=layers, units=24, embedding=10)
    model = build(options, SIZE, seed=layers)
    for variable in model.trainable_variables:  # larger than fresh ones, so that gates saturate
        if variable.name != "recurrent_kernel":  # twice an orthogonal matrix would be chaos
            variable.assign(3 * variable)
    ids = np.random.default_rng(0).integers(SIZE, size=200, dtype=np.int32)
    expected, *_ = model([tf.constant(ids[None]), *zero_states(options, 1)], training=False)
    found = Decoder(options, weights_of(model)).logits(ids)
    np.testing.assert_allclose(found, np.asarray(expected)[0], atol=1e-4)


def test_notebook_preset_has_the_reference_models_parameters():
    options = PRESETS["notebook"].model
    model = build(options, 84, seed=0)
    assert model.count_params() == options.parameters(84) == 5_354_580
    by_layer = {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}
    assert by_layer == {"embedding": 21_504, "lstm_1": 5_246_976, "logits": 86_100}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_weights_have_the_names_and_shapes_of_the_options(cell):
    options = GeneratorConfig(cell=cell, layers=2, units=6, embedding=3, dropout=0.5)
    shapes = {name: array.shape for name, array in weights_of(build(options, SIZE, seed=0)).items()}
    assert shapes == options.weight_shapes(SIZE)


def test_same_seed_same_weights_whatever_happened_before():
    options = GeneratorConfig(units=6, embedding=3, layers=2)
    first = weights_of(build(options, SIZE, seed=1))
    np.random.random(5)
    second, other = weights_of(build(options, SIZE, seed=1)), weights_of(build(options, SIZE, seed=2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert (first["lstm_1/kernel"] != other["lstm_1/kernel"]).any()
    assert (first["lstm_1/recurrent_kernel"] != first["lstm_2/recurrent_kernel"]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_state_carried_over_equals_one_long_sequence(cell):
    options = GeneratorConfig(cell=cell, layers=2, units=6, embedding=3)
    model = build(options, SIZE, seed=0)
    ids = np.random.default_rng(0).integers(SIZE, size=(3, 14), dtype=np.int32)
    ids = tf.constant(ids)
    whole, *_ = model([ids, *zero_states(options, 3)])
    first, *states = model([ids[:, :5], *zero_states(options, 3)])
    second, *_ = model([ids[:, 5:], *states])
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)


WIRINGS = [
    {"tied": True},
    {"layers": 3, "residual": True},
    {"layer_norm": True},
    {"layers": 3, "layer_norm": True},
    {"layers": 3, "tied": True, "residual": True, "layer_norm": True},
    {"one_hot": True, "hidden": (8, 7)},
    {"hidden": (8,), "tied": True, "layer_norm": True},
]


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_wiring_has_four_equal_twins(cell, wiring):
    """The Keras model, the folded forward pass, the NumPy decoder and the equations."""
    options = GeneratorConfig(**{"cell": cell, "units": 12, "embedding": 10} | wiring)
    model, random = build(options, SIZE, seed=1), np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name in {"gamma", "beta", "bias", "embeddings"}:  # fresh ones would hide mistakes
            variable.assign(random.normal(0, 0.5, variable.shape))
    ids, states = random.integers(SIZE, size=(1, 40), dtype=np.int32), zero_states(options, 1)
    expected = oracles.logits(options, weights_of(model), ids[0])
    for found in (
        model([tf.constant(ids), *states])[0][0],
        forward(model, options, tf.constant(ids), states)[0][0],
        Decoder(options, weights_of(model)).logits(ids[0]),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_wiring_has_the_weights_that_its_options_say(wiring):
    options = GeneratorConfig(**{"units": 6, "embedding": 5} | wiring)
    model = build(options, SIZE, seed=0)
    shapes = {name: array.shape for name, array in weights_of(model).items()}
    assert shapes == options.weight_shapes(SIZE)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert trained == options.parameters(SIZE)


@pytest.mark.parametrize(("embedding", "folded"), [(6, False), (7, True)])
def test_a_small_vocabulary_is_folded(embedding, folded, monkeypatch):
    """20 characters are at most three times 7, not 6."""
    called = []

    def read(layer, *arguments):
        called.append(layer.name)
        return reading(layer, *arguments)

    reading = recurrent.LSTM.read
    monkeypatch.setattr(recurrent.LSTM, "read", read)
    options = GeneratorConfig(units=6, embedding=embedding)
    model = build(options, SIZE, seed=0)
    forward(model, options, tf.zeros((1, 9), tf.int32), zero_states(options, 1))
    assert called == (["lstm_1"] if folded else [])


def test_layers_stay_eligible_for_cudnn():
    model = build(GeneratorConfig(), SIZE, seed=0)
    layer = model.get_layer("lstm_1")
    assert layer.use_cudnn in ("auto", True)
    assert (layer.activation.__name__, layer.recurrent_activation.__name__) == ("tanh", "sigmoid")
    assert layer.recurrent_dropout == 0
    assert layer.use_bias
    assert not layer.unroll
