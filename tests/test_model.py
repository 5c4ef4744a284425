import numpy as np
import pytest

from lstmega.decoder import Decoder
from lstmega.devices import tf
from lstmega.model import build, weights, zero_states
from lstmega.options import PRESETS, ModelOptions

SIZE = 20


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_decoder_writes_what_the_model_says(cell, layers):
    options = ModelOptions(cell=cell, layers=layers, units=24, embedding=10)
    model = build(options, SIZE, seed=layers)
    for variable in model.trainable_variables:  # larger than fresh ones, so that gates saturate
        if variable.name != "recurrent_kernel":  # twice an orthogonal matrix would be chaos
            variable.assign(3 * variable)
    ids = np.random.default_rng(0).integers(SIZE, size=200, dtype=np.int32)
    expected, *_ = model([tf.constant(ids[None]), *zero_states(options, 1)], training=False)
    found = Decoder(options, weights(model)).logits(ids)
    np.testing.assert_allclose(found, np.asarray(expected)[0], atol=1e-4)


def test_notebook_preset_has_the_reference_models_parameters():
    options = PRESETS["notebook"].model
    model = build(options, 84, seed=0)
    assert model.count_params() == options.parameters(84) == 5_354_580
    by_layer = {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}
    assert by_layer == {"embedding": 21_504, "lstm_1": 5_246_976, "logits": 86_100}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_weights_have_the_names_and_shapes_of_the_options(cell):
    options = ModelOptions(cell=cell, layers=2, units=6, embedding=3, dropout=0.5)
    shapes = {name: array.shape for name, array in weights(build(options, SIZE, seed=0)).items()}
    assert shapes == options.weight_shapes(SIZE)


def test_same_seed_same_weights_whatever_happened_before():
    options = ModelOptions(units=6, embedding=3, layers=2)
    first = weights(build(options, SIZE, seed=1))
    np.random.random(5)
    second, other = weights(build(options, SIZE, seed=1)), weights(build(options, SIZE, seed=2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
    assert (first["lstm_1/kernel"] != other["lstm_1/kernel"]).any()
    assert (first["lstm_1/recurrent_kernel"] != first["lstm_2/recurrent_kernel"]).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_state_carried_over_equals_one_long_sequence(cell):
    options = ModelOptions(cell=cell, layers=2, units=6, embedding=3)
    model = build(options, SIZE, seed=0)
    ids = np.random.default_rng(0).integers(SIZE, size=(3, 14), dtype=np.int32)
    ids = tf.constant(ids)
    whole, *_ = model([ids, *zero_states(options, 3)])
    first, *states = model([ids[:, :5], *zero_states(options, 3)])
    second, *_ = model([ids[:, 5:], *states])
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-6)


def test_dropout_only_in_training():
    options = ModelOptions(units=6, embedding=3, dropout=0.5)
    model = build(options, SIZE, seed=0)
    ids = tf.zeros((1, 9), tf.int32)
    runs = [
        np.asarray(model([ids, *zero_states(options, 1)], training=t)[0]) for t in (False, False, True)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_layers_stay_eligible_for_cudnn():
    model = build(ModelOptions(), SIZE, seed=0)
    layer = model.get_layer("lstm_1")
    assert layer.use_cudnn in ("auto", True)
    assert (layer.activation.__name__, layer.recurrent_activation.__name__) == ("tanh", "sigmoid")
    assert layer.recurrent_dropout == 0
    assert layer.use_bias
    assert not layer.unroll
