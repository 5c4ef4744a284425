import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lstmega import loops, recurrent
from lstmega.devices import keras, tf
from tests import oracles

STOCK = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
OURS = {"lstm": recurrent.LSTM, "gru": recurrent.GRU}
PARTS = {"lstm": 2, "gru": 1}  # of a state
WAYS = {
    "eager": lambda function: function,
    "graph": tf.function,
    "compiled": partial(tf.function, jit_compile=True),
}
TOLERANCES = {"float32": 1e-5, "float64": 1e-10}  # of the largest absolute value

cells = pytest.mark.parametrize("cell", list(STOCK))
ways = pytest.mark.parametrize("way", list(WAYS))


def twins(cell, units, shape, *, seed=0, **options):
    """Return Keras' layer and ours with the same weights: Keras' own, but random biases."""
    initializers = {
        "kernel_initializer": keras.initializers.GlorotUniform(seed=seed),
        "recurrent_initializer": keras.initializers.Orthogonal(seed=seed),
        "bias_initializer": keras.initializers.RandomUniform(-0.5, 0.5, seed=seed),
    }
    layers = [classes[cell](units, **initializers | options) for classes in (STOCK, OURS)]
    for layer in layers:
        layer.build(shape)
    layers[1].set_weights(layers[0].get_weights())
    return layers


def call(layer, **options):
    """Return the layer as a function of its sequences and states."""
    return lambda sequences, *states: layer(sequences, initial_state=list(states) or None, **options)


def draw(seed, dtype, *shapes):
    generator = np.random.default_rng(seed)
    return [tf.constant(generator.normal(size=shape), dtype) for shape in shapes]


def result_shapes(layer, shape):
    shapes = layer.compute_output_shape(shape)
    return [tuple(part) for part in shapes] if layer.return_state else [tuple(shapes)]


def results_and_gradients(wrap, function, arguments, weights, *, pulls):
    """Return what a function returns, then the gradients of its arguments and of weights.

    Args:
        wrap: Makes a graph of a function, or leaves it.
        function: Of the arguments.
        arguments: Tensors.
        weights: Keras variables that the function reads.
        pulls: The gradient of each result.
    """
    variables = [weight.value for weight in weights]

    def both(arguments, pulls):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            results = tf.nest.flatten(function(*arguments))
        gradients = tape.gradient(results, [*arguments, *variables], output_gradients=pulls)
        return [*results, *map(tf.convert_to_tensor, gradients)]

    return [np.asarray(array) for array in wrap(both)(arguments, pulls)]


def assert_close(found, expected, tolerance):
    for array, wanted in zip(found, expected, strict=True):
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.fixture
def used(monkeypatch):
    """The loops that ran since, `keras` and `ours`."""
    names = set()

    def watch(owner, attribute, name):
        original = getattr(owner, attribute)

        def watched(*arguments, **options):
            names.add(name)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, attribute, watched)

    for stock in STOCK.values():
        watch(stock, "inner_loop", "keras")
    watch(loops, "_loop", "ours")
    return names


CASES = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 70),
        "time": st.integers(1, 120),
        "units": st.integers(1, 300),
        "features": st.integers(1, 40),
        "dtype": st.sampled_from(["float32", "float64"]),
        "has_states": st.booleans(),
        "go_backwards": st.booleans(),
        "return_sequences": st.booleans(),
        "seed": st.integers(0, 2**20),
    }
)


def check_case(
    cell, way, *, rows, time, units, features, dtype, has_states, go_backwards, return_sequences, seed
):
    shape = (rows, time, features)
    options = {"go_backwards": go_backwards, "return_sequences": return_sequences, "return_state": True}
    stock, ours = twins(cell, units, shape, seed=seed, dtype=dtype, **options)
    states = [(rows, units)] * PARTS[cell] * has_states
    arguments = draw(seed, dtype, shape, *states)
    pulls = draw(seed + 1, dtype, *result_shapes(stock, shape))
    found = results_and_gradients(WAYS[way], call(ours), arguments, ours.weights, pulls=pulls)
    expected = results_and_gradients(tf.function, call(stock), arguments, stock.weights, pulls=pulls)
    worst = max(np.abs(a-b).max()/max(np.abs(b).max(),1e-300) for a,b in zip(found, expected))
    print(cell, way, rows, time, units, features, dtype, has_states, go_backwards, return_sequences, worst)
    assert_close(found, expected, TOLERANCES[dtype])


@cells
@ways
@given(case=CASES)
@settings(max_examples=3, deadline=None, derandomize=True)
def test_values_and_gradients_are_those_of_keras(cell, way, case):
    check_case(cell, way, **case)


@pytest.mark.slow
@given(cell=st.sampled_from(list(STOCK)), way=st.sampled_from(list(WAYS)), case=CASES)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_values_and_gradients_are_those_of_keras_in_a_wider_draw(cell, way, case):
    check_case(cell, way, **case)
