import os
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lstmega.nn import rnn as recurrent
from lstmega.nn import rnn_loops as loops
from lstmega.nn.devices import keras, tf
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
# Shrinking recompiles for minutes; the case that failed says enough.
quickly = partial(settings, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
ways = pytest.mark.parametrize("way", list(WAYS))


def twins(cell, units, shape, *, weight_seed=0, **options):
    """Return Keras' layer and ours with the same weights: Keras' own, but random biases."""
    initializers = {
        "kernel_initializer": keras.initializers.GlorotUniform(seed=weight_seed),
        "recurrent_initializer": keras.initializers.Orthogonal(seed=weight_seed),
        "bias_initializer": keras.initializers.RandomUniform(-0.5, 0.5, seed=weight_seed),
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
    """Check arrays to a tolerance, or one each, relative to the largest absolute value of each."""
    tolerances = np.broadcast_to(tolerance, len(expected))
    for array, wanted, part in zip(found, expected, tolerances, strict=True):
        assert array.shape == wanted.shape
        np.testing.assert_allclose(array, wanted, rtol=0, atol=part * np.abs(wanted).max())


def both_ways(way, stock, ours, arguments, pulls, **options):
    """Return the results and gradients of ours and of Keras' layer."""
    return [
        results_and_gradients(WAYS[way], call(layer, **options), arguments, layer.weights, pulls=pulls)
        for layer in (ours, stock)
    ]


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
    stock, ours = twins(cell, units, shape, weight_seed=seed, dtype=dtype, **options)
    arguments = draw(seed, dtype, shape, *[(rows, units)] * PARTS[cell] * has_states)
    pulls = draw(seed + 1, dtype, *result_shapes(stock, shape))
    found = results_and_gradients(WAYS[way], call(ours), arguments, ours.weights, pulls=pulls)
    expected = results_and_gradients(tf.function, call(stock), arguments, stock.weights, pulls=pulls)
    tolerance = TOLERANCES[dtype]
    if dtype == "float32" and relative_errors(found, expected).max() > tolerance:
        tolerance = np.maximum(tolerance, 4 * own_errors(cell, stock, arguments, pulls, expected))
    assert_close(found, expected, tolerance)


def own_errors(cell, stock, arguments, pulls, found):
    """Return how far Keras' float32 is from its float64.

    Where the terms of a small array cancel, that is more than 1e-5 of the array; nobody can be nearer.
    """
    exact = STOCK[cell].from_config(stock.get_config() | {"dtype": "float64"})
    exact.build(arguments[0].shape)
    exact.set_weights(stock.get_weights())
    arguments, pulls = ([tf.cast(array, "float64") for array in part] for part in (arguments, pulls))
    wanted = results_and_gradients(tf.function, call(exact), arguments, exact.weights, pulls=pulls)
    return relative_errors(found, wanted)


def relative_errors(found, expected):
    """Return the largest difference of each array, relative to its largest absolute value."""
    pairs = zip(found, expected, strict=True)
    return np.array(
        [np.abs(array - wanted).max() / (np.abs(wanted).max() or 1) for array, wanted in pairs]
    )


@cells
@ways
@given(case=CASES)
@quickly(max_examples=3)
def test_values_and_gradients_are_those_of_keras(cell, way, case):
    check_case(cell, way, **case)


@pytest.mark.slow
@given(cell=st.sampled_from(list(STOCK)), way=st.sampled_from(list(WAYS)), case=CASES)
@quickly(max_examples=10)
def test_values_and_gradients_are_those_of_keras_in_a_wider_draw(cell, way, case):
    check_case(cell, way, **case)


@cells
@ways
def test_our_loop_does_the_plain_case(cell, way, used):
    _, ours = twins(cell, 3, (2, 5, 4))
    WAYS[way](ours)(*draw(0, "float32", (2, 5, 4)))
    assert used == {"ours"}


@cells
def test_loops_follow_the_equations(cell):
    units, time, vocabulary = 3, 6, 7
    loop, gates = (loops.lstm, 4) if cell == "lstm" else (loops.gru, 3)
    table, kernel, bias, *states = draw(
        1,
        "float64",
        (vocabulary, gates * units),
        (units, gates * units),
        (units,),
        *[(units, 1)] * PARTS[cell],
    )
    ids = np.random.default_rng(0).integers(vocabulary, size=(time, 1))
    given_projected = tf.transpose(tf.gather(table, ids), (0, 2, 1))
    weights = (kernel,) if cell == "lstm" else (kernel, bias)
    results = loop(given_projected, None, *weights, *states)
    for found, read in zip(results, loop(table, ids, *weights, *states), strict=True):
        np.testing.assert_allclose(read, found, rtol=1e-12)
    state, outputs, same = [part.numpy()[:, 0] for part in states], [], np.eye(gates * units)
    for row in table.numpy()[ids[:, 0]]:
        if cell == "lstm":
            state = oracles.lstm(row, state, same, kernel.numpy(), np.zeros(gates * units))
        else:
            biases = [np.zeros(gates * units), np.r_[np.zeros(2 * units), bias]]
            state = [oracles.gru(row, state[0], same, kernel.numpy(), biases)]
        outputs.append(state[0])
    np.testing.assert_allclose(results[0][:, :, 0], outputs, rtol=1e-12)
    np.testing.assert_allclose([part[:, 0] for part in results[1:]], state, rtol=1e-12)


@cells
@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_bidirectional_of_ours_is_that_of_keras(cell, way):
    shape, dtype = (3, 7, 4), "float64"
    options = {"return_sequences": True, "return_state": True, "dtype": dtype}
    stock, ours = (
        keras.layers.Bidirectional(classes[cell](5, **options), dtype=dtype) for classes in (STOCK, OURS)
    )
    assert {type(ours.forward_layer), type(ours.backward_layer)} == {OURS[cell]}
    assert {type(stock.forward_layer), type(stock.backward_layer)} == {STOCK[cell]}
    for layer in (stock, ours):
        layer.build(shape)
    ours.set_weights(stock.get_weights())
    arguments = draw(0, dtype, shape, *[(3, 5)] * 2 * PARTS[cell])
    pulls = draw(1, dtype, *result_shapes(stock, shape))
    assert_close(*both_ways(way, stock, ours, arguments, pulls), 1e-10)


def slopes(loss, variables, step=1e-5):
    """Return the central differences of a loss for each entry of each variable."""
    found = []
    for variable in variables:
        start, slope = variable.numpy(), np.empty(variable.shape)
        for place in np.ndindex(slope.shape):
            moved = [start.copy(), start.copy()]
            moved[0][place] -= step
            moved[1][place] += step
            below, above = [(variable.assign(values), loss())[1].numpy() for values in moved]
            slope[place] = (above - below) / (2 * step)
        variable.assign(start)
        found.append(slope)
    return found


@cells
@pytest.mark.parametrize("reads_ids", [False, True], ids=["sequences", "ids"])
def test_gradients_are_the_slopes(cell, reads_ids):
    _, ours = twins(cell, 3, (2, 4, 2), dtype="float64", return_sequences=True, return_state=True)
    ids = tf.constant([[0, 3, 1, 3], [2, 2, 0, 1]])
    shapes = [(4, 2) if reads_ids else (2, 4, 2), *[(2, 3)] * PARTS[cell]]
    arguments = [tf.Variable(array) for array in draw(2, "float64", *shapes)]
    pulls = draw(3, "float64", *result_shapes(ours, (2, 4, 2)))
    variables = arguments + [weight.value for weight in ours.weights]

    @tf.function
    def loss():
        given, *states = arguments
        results = ours.read(ids, given, states) if reads_ids else call(ours)(given, *states)
        return tf.add_n([tf.reduce_sum(part * pull) for part, pull in zip(results, pulls, strict=True)])

    with tf.GradientTape() as tape:
        value = loss()
    gradients = [np.asarray(array) for array in tape.gradient(value, variables)]
    assert_close(gradients, slopes(loss, variables), 1e-7)


@cells
def test_gradients_of_gradients_are_those_of_keras(cell):
    stock, ours = twins(cell, 3, (2, 4, 2), dtype="float64")
    (sequences,) = draw(0, "float64", (2, 4, 2))

    def steepness(layer, sequences):
        with tf.GradientTape() as tape:
            tape.watch(sequences)
            result = tf.reduce_sum(layer(sequences) ** 2)
        return tf.reduce_sum(tape.gradient(result, sequences) ** 2)

    found, expected = (
        results_and_gradients(
            WAYS["eager"],
            partial(steepness, layer),
            [sequences],
            layer.weights,
            pulls=[tf.ones((), "float64")],
        )
        for layer in (ours, stock)
    )
    assert_close(found, expected, 1e-10)


@cells
@pytest.mark.parametrize(
    ("way", "kind", "sizes", "go_backwards"),
    [
        ("eager", "int32", (5, 9, 6, 7), False),
        ("eager", "int64", (1, 1, 1, 1), False),
        ("graph", "int64", (5, 9, 6, 7), True),
        ("compiled", "int32", (5, 9, 6, 7), False),
    ],
)
def test_read_is_a_lookup_and_then_the_layer(cell, way, kind, sizes, go_backwards):
    rows, time, units, vocabulary = sizes
    options = {"return_sequences": True, "return_state": True, "go_backwards": go_backwards}
    stock, ours = twins(cell, units, (rows, time, 4), dtype="float64", **options)
    drawn = np.random.default_rng(0).integers(vocabulary, size=(rows, time))
    ids = tf.constant(drawn, kind)
    arguments = draw(1, "float64", (vocabulary, 4), *[(rows, units)] * PARTS[cell])
    pulls = draw(2, "float64", *result_shapes(ours, (rows, time, 4)))
    functions = {
        ours: lambda embeddings, *states: ours.read(ids, embeddings, states),
        stock: lambda embeddings, *states: call(stock)(tf.gather(embeddings, ids), *states),
    }
    found, expected = (
        results_and_gradients(WAYS[way], function, arguments, layer.weights, pulls=pulls)
        for layer, function in functions.items()
    )
    assert_close(found, expected, 1e-10)


@cells
def test_what_keras_runs_folds_no_embedding(cell):
    _, ours = twins(cell, 3, (2, 5, 4), activation="relu")
    with pytest.raises(ValueError, match="cannot fold an embedding"):
        ours.read(tf.zeros((2, 5), "int32"), tf.zeros((7, 4)), [tf.zeros((2, 3))] * PARTS[cell])


@cells
def test_layers_have_the_configuration_of_keras_and_open_as_ours(cell):
    stock, ours = twins(cell, 3, (2, 5, 4), dropout=0.25, go_backwards=True, name="layer")
    again = OURS[cell].from_config(ours.get_config())
    assert again.get_config() == ours.get_config() == stock.get_config()
    assert type(STOCK[cell].from_config(ours.get_config())) is STOCK[cell]
    opened = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    assert type(opened) is OURS[cell]
    kept = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(stock))
    assert type(kept) is STOCK[cell]


def reader(classes, cell, seed, **options):
    """Return a small model of ids, with a layer of Keras or of ours."""
    uniform = keras.initializers.RandomUniform(-1, 1, seed=seed)
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(9, 4, uniform, **options),
            classes[cell](5, return_sequences=True, kernel_initializer=uniform),
            keras.layers.Dense(9, kernel_initializer=uniform),
        ]
    )


IDS = np.random.default_rng(0).integers(9, size=(4, 7), dtype=np.int32)


@cells
@pytest.mark.parametrize(("writer", "opener"), [(STOCK, OURS), (OURS, STOCK)], ids=["ours", "keras"])
def test_weights_of_one_open_in_the_other(cell, writer, opener, tmp_path):
    written, opened = reader(writer, cell, 1), reader(opener, cell, 2)
    written.save_weights(tmp_path / "model.weights.h5")
    opened.load_weights(tmp_path / "model.weights.h5")
    for found, expected in zip(opened.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(opened(IDS), written(IDS), atol=1e-6)


OPEN = """
import sys
import keras
import numpy as np
network = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[2], network(np.load(sys.argv[3])))
assert not any(name.startswith("lstmega") for name in sys.modules)
for layer in network.layers[1:4]:
    part = getattr(layer, "forward_layer", layer)
    assert type(part).__module__.startswith("keras.src.layers.rnn."), type(part)
"""


@pytest.mark.parametrize("layer", [recurrent.LSTM, recurrent.GRU])
def test_a_layer_pickles(layer):
    made = layer(3, return_sequences=True)
    expected = made(np.ones((2, 4, 5), np.float32))
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is layer
    np.testing.assert_array_equal(again(np.ones((2, 4, 5), np.float32)), expected)


def test_a_saved_model_opens_in_keras_alone_and_here_as_ours(tmp_path):
    model = keras.Sequential(
        [
            keras.layers.Embedding(9, 4),
            recurrent.LSTM(5, return_sequences=True),
            recurrent.GRU(5, return_sequences=True),
            keras.layers.Bidirectional(recurrent.LSTM(3)),
            keras.layers.Dense(2),
        ]
    )
    expected = model(IDS)
    saved, ids, answer = (tmp_path / name for name in ("model.keras", "ids.npy", "answer.npy"))
    model.save(saved)
    np.save(ids, IDS)
    variables = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", OPEN, saved, answer, ids]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(answer), expected, atol=1e-6)
    opened = keras.saving.load_model(saved)
    _, lstm, gru, both, _ = opened.layers
    assert [type(lstm), type(gru)] == [recurrent.LSTM, recurrent.GRU]
    assert {type(both.forward_layer), type(both.backward_layer)} == {recurrent.LSTM}
    np.testing.assert_array_equal(opened(IDS), expected)


HANDED_OVER = [
    {"recurrent_dropout": 0.3, "seed": 5},
    {"recurrent_dropout": 0.3, "dropout": 0.3, "seed": 5},
    {"dropout": 0.3, "implementation": 1, "use_cudnn": False, "seed": 5},
    {"activation": "relu"},
    {"recurrent_activation": "hard_sigmoid"},
    {"use_bias": False},
    {"unroll": True},
    {"dtype": "mixed_float16"},
    {"dtype": "mixed_bfloat16"},
]


@pytest.mark.parametrize(
    ("cell", "options"),
    [(cell, options) for cell in STOCK for options in HANDED_OVER] + [("gru", {"reset_after": False})],
    ids=str,
)
def test_what_ours_cannot_do_keras_does(cell, options, used):
    shape = (3, 5, 4)
    stock, ours = twins(cell, 6, shape, return_sequences=True, return_state=True, **options)
    assert not recurrent.is_fast(ours)
    arguments = draw(0, stock.compute_dtype, shape, *[(3, 6)] * PARTS[cell])
    pulls = draw(1, stock.compute_dtype, *result_shapes(stock, shape))
    found, expected = both_ways("eager", stock, ours, arguments, pulls, training=True)
    assert used == {"keras"}
    assert_close(found, expected, 1e-6)


@cells
def test_masks_go_to_keras(cell, used):
    stock, ours = (reader(classes, cell, 3, mask_zero=True) for classes in (STOCK, OURS))
    ours.set_weights(stock.get_weights())
    ids = tf.constant([[3, 1, 4, 0, 0], [0, 0, 2, 0, 5], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]])
    used.clear()  # of building
    pulls = draw(0, "float32", (4, 5, 9))
    found, expected = (
        results_and_gradients(WAYS["eager"], lambda m=model: m(ids), [], model.weights, pulls=pulls)
        for model in (ours, stock)
    )
    assert used == {"keras"}
    assert_close(found, expected, 1e-6)


@cells
def test_a_gpu_is_left_to_keras(cell, monkeypatch):
    _, ours = twins(cell, 3, (2, 5, 4))
    (sequences,) = draw(0, "float32", (2, 5, 4))
    assert recurrent.is_fast(ours)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    assert not recurrent.is_fast(ours)
    scripted = tf.fill((2, 3), 7.0)
    monkeypatch.setattr(STOCK[cell], "inner_loop", lambda *_, **__: (scripted, scripted, [scripted]))
    np.testing.assert_array_equal(ours(sequences), scripted)


@cells
def test_cudnn_demanded_without_a_gpu_is_refused_as_keras_does(cell):
    _, ours = twins(cell, 3, (2, 5, 4), use_cudnn=True)
    with pytest.raises(ValueError, match="use_cudnn=True was specified"):
        ours(*draw(0, "float32", (2, 5, 4)))


@cells
def test_layers_of_keras_itself_are_not_fast(cell):
    stock, ours = twins(cell, 3, (2, 5, 4))
    assert (recurrent.is_fast(stock), recurrent.is_fast(ours)) == (False, True)


@cells
@pytest.mark.parametrize("way", ["eager", "graph"])
def test_states_are_carried_as_keras_does(cell, way, used):
    layers = twins(cell, 6, (3, 5, 4), stateful=True)
    stock, ours = (WAYS[way](layer) for layer in layers)
    batches = draw(0, "float32", *[(3, 5, 4)] * 3)
    found = [ours(batch).numpy() for batch in batches]
    layers[1].reset_state()
    found.append(ours(batches[1]).numpy())
    assert used == {"ours"}
    expected = [stock(batch).numpy() for batch in batches]
    layers[0].reset_state()
    expected.append(stock(batches[1]).numpy())
    assert_close(found, expected, 1e-5)
    assert np.abs(found[1] - found[3]).max() > 1e-3  # the second batch, with a state and without


@cells
@pytest.mark.parametrize("way", ["eager", "graph"])
def test_dropped_inputs_are_those_of_keras(cell, way, used):
    shape = (3, 5, 8)
    stock, ours = twins(cell, 6, shape, dropout=0.5, seed=7, return_state=True)
    (sequences,) = draw(0, "float32", shape)
    pulls = draw(1, "float32", *result_shapes(stock, shape))

    def twice(layer):
        function, weights = call(layer, training=True), layer.trainable_weights
        return [
            results_and_gradients(WAYS[way], function, [sequences], weights, pulls=pulls)
            for _ in range(2)
        ]

    found = twice(ours)
    assert used == {"ours"}
    expected = twice(stock)
    for number in range(2):
        assert_close(found[number], expected[number], 1e-5)
    assert np.abs(found[0][0] - found[1][0]).max() > 1e-3  # each call has a mask of its own
    assert np.abs(found[0][0] - ours(sequences)[0]).max() > 1e-3


@cells
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize(("rows", "time"), [(3, 6), (1, 1)])
def test_rows_and_time_may_be_unknown(cell, go_backwards, rows, time):
    shape = (rows, time, 4)
    options = {"return_sequences": True, "return_state": True, "go_backwards": go_backwards}
    stock, ours = twins(cell, 5, shape, dtype="float64", **options)
    arguments = draw(0, "float64", shape, *[(rows, 5)] * PARTS[cell])
    pulls = draw(1, "float64", *result_shapes(stock, shape))
    unknown = [
        [tf.TensorSpec([None] * (len(part.shape) - 1) + part.shape[-1:], part.dtype) for part in parts]
        for parts in (arguments, pulls)
    ]
    wrap = partial(tf.function, input_signature=unknown)
    found = results_and_gradients(wrap, call(ours), arguments, ours.weights, pulls=pulls)
    expected = results_and_gradients(WAYS["eager"], call(stock), arguments, stock.weights, pulls=pulls)
    assert_close(found, expected, 1e-10)


@cells
def test_fit_has_the_losses_of_keras(cell, used):
    stock, ours = (reader(classes, cell, 4) for classes in (STOCK, OURS))
    ours.set_weights(stock.get_weights())
    losses = []
    for model in (ours, stock):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.01, epsilon=1e-3), loss)  # divides by no small numbers
        kept = model.fit(IDS[:, :-1], IDS[:, 1:], batch_size=4, epochs=2, shuffle=False, verbose=0)
        losses.append(kept.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][1] < losses[0][0]
    assert_close(ours.get_weights(), stock.get_weights(), 1e-4)


@cells
def test_eager_calls_of_one_shape_trace_once_and_see_new_weights(cell):
    stock, ours = twins(cell, 3, (2, 5, 4))
    for sequences in draw(0, "float32", *[(2, 5, 4)] * 3):
        for layer in (stock, ours):
            layer.set_weights([1.5 * weight for weight in layer.get_weights()])
        np.testing.assert_allclose(ours(sequences), stock(sequences), atol=1e-5)
    assert ours._graph.experimental_get_tracing_count() == 1


@cells
def test_eager_calls_of_many_shapes_trace_a_few_times(cell):
    _, ours = twins(cell, 3, (2, 5, 4))
    for sequences in draw(0, "float32", *[(rows, 2 * rows, 4) for rows in range(1, 8)]):
        ours(sequences)
    assert ours._graph.experimental_get_tracing_count() <= 3


@cells
def test_weights_from_outside_take_the_place_of_its_own(cell):
    stock, ours = twins(cell, 3, (2, 5, 4))
    (sequences,) = draw(0, "float32", (2, 5, 4))
    for factor in (1.0, 2.0, 0.5):
        found, expected = (
            layer.stateless_call(
                [factor * weight.value for weight in layer.weights],
                layer.non_trainable_variables,
                sequences,
            )[0]
            for layer in (ours, stock)
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
