import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.config.model import GeneratorConfig
from lstmega.errors import RunError, UsageError
from lstmega.inference import decoder as decoder_module
from lstmega.inference.decoder import Decoder, WindowDecoder, repeat
from tests import oracles

VOCABULARY = 37
CELLS = ["lstm", "gru", "rnn"]


def random_weights(options, vocabulary_size=VOCABULARY, seed=0, scale=None):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, scale or 1 / np.sqrt(shape[0]), shape).astype(np.float32)
        for name, shape in options.weight_shapes(vocabulary_size).items()
    }


def make(cell="lstm", layers=2, units=12, embedding=7, **more):
    options = GeneratorConfig(cell=cell, layers=layers, units=units, embedding=embedding)
    weights = random_weights(options, **more)
    return options, weights, Decoder(options, weights)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_equal_keras_over_a_prompt_of_200(cell, layers):
    keras = pytest.importorskip("keras")
    options = GeneratorConfig(cell=cell, layers=layers, units=48, embedding=24)
    make_layer = {
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
        "rnn": keras.layers.SimpleRNN,
    }[cell]
    embedding = keras.layers.Embedding(VOCABULARY, options.embedding)
    recurrent = [make_layer(options.units, return_sequences=True) for _ in range(layers)]
    model = keras.Sequential([embedding, *recurrent, keras.layers.Dense(VOCABULARY)])
    ids = np.random.default_rng(1).integers(0, VOCABULARY, 200)
    model(ids[np.newaxis])
    # Keras' own orthogonal recurrent kernels: a larger random one makes a simple RNN chaotic, and
    # then no two float32 sums of another order agree after 100 steps. Keras' zero biases and tiny
    # embeddings would hide mistakes in their places.
    weights = dict(zip(options.weight_shapes(VOCABULARY), model.get_weights(), strict=True))
    for name, drawn in random_weights(options, scale=0.5).items():
        if name.endswith(("bias", "embeddings")):
            weights[name] = drawn
    model.set_weights(list(weights.values()))
    expected = np.asarray(model(ids[np.newaxis]))[0]  # [time, vocabulary]
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(Decoder(options, weights).logits(ids), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_equal_the_oracle(cell, layers):
    options, weights, decoder = make(cell, layers)
    ids = np.random.default_rng(2).integers(0, VOCABULARY, 60)
    np.testing.assert_allclose(
        decoder.logits(ids), oracles.logits(options, weights, ids), rtol=0, atol=1e-5
    )


@settings(deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    layers=st.integers(1, 3),
    units=st.integers(1, 20),
    vocabulary=st.integers(1, 40),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 6)),
)
def test_any_shape_and_any_rows_equal_the_oracle(cell, layers, units, vocabulary, shape):
    options = GeneratorConfig(cell=cell, layers=layers, units=units, embedding=units // 2 + 1)
    weights = random_weights(options, vocabulary)
    decoder = Decoder(options, weights)
    rows, time = shape
    ids = np.random.default_rng(rows).integers(0, vocabulary, (rows, time))
    states = decoder.zero_states(rows)
    for position in range(time):
        logits, states = decoder.step(ids[:, position], states)
    assert logits.shape == (rows, vocabulary)
    assert logits.dtype == np.float32
    expected = [oracles.logits(options, weights, row)[-1] for row in ids]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_large_vocabulary_is_not_folded_and_gives_the_same(cell, monkeypatch):
    folded = make(cell)[-1]
    monkeypatch.setattr(decoder_module, "_TABLE_LIMIT", 1)
    plain = make(cell)[-1]
    ids = np.arange(20) % VOCABULARY
    np.testing.assert_allclose(plain.logits(ids), folded.logits(ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_read_equals_steps_for_one_row_and_for_many(cell):
    _, _, decoder = make(cell)
    ids = np.array([3, 1, 4, 1, 5])
    logits, states = decoder.read(ids, decoder.zero_states(1))
    np.testing.assert_array_equal(logits[0], decoder.logits(ids)[-1])
    many, _ = decoder.read(ids, decoder.zero_states(4))
    np.testing.assert_allclose(many, np.repeat(logits, 4, axis=0), rtol=0, atol=1e-5)
    repeated = repeat(states, 3)
    assert [array.shape for state in repeated for array in state] == [
        (12, 3) for state in states for _ in state
    ]
    after, _ = decoder.step(np.array([9, 2, 6]), repeated)
    for row, number in enumerate([9, 2, 6]):
        alone, _ = decoder.step(np.array([number]), states)
        np.testing.assert_allclose(after[row], alone[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_states_are_values(cell):
    _, weights, decoder = make(cell)
    _, states = decoder.read(np.array([1, 2, 3]), decoder.zero_states(2))
    for state in states:
        for array in state:
            array.setflags(write=False)
    first, _ = decoder.step(np.array([4, 5]), states)
    decoder.step(np.array([6, 7]), states)
    decoder.read(np.array([6, 7]), states)
    again, _ = decoder.step(np.array([4, 5]), states)
    np.testing.assert_array_equal(first, again)
    for array in weights.values():
        array[...] = np.nan  # the decoder has its own copies
    np.testing.assert_array_equal(decoder.step(np.array([4, 5]), states)[0], first)


def test_a_beginning_forgets_everything_before_it():
    options, weights, plain = make()
    begun = Decoder(options, weights, begins=0)
    ids = np.array([3, 1, 0, 4, 1, 0, 5])
    parts = [plain.logits(part) for part in (ids[:2], ids[2:5], ids[5:])]
    np.testing.assert_allclose(begun.logits(ids), np.concatenate(parts), rtol=0, atol=1e-6)
    _, states = begun.read(np.array([3, 1]), begun.zero_states(2))
    rows, _ = begun.step(np.array([0, 4]), states)
    np.testing.assert_allclose(rows[0], plain.logits(np.array([0]))[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(rows[1], plain.logits(np.array([3, 1, 4]))[-1], rtol=0, atol=1e-6)


def test_a_window_is_read_anew_for_each_id():
    options, weights, plain = make()
    windowed = WindowDecoder(options, weights, window=3)
    ids = np.array([3, 1, 0, 4, 1, 36, 5])
    expected = [plain.logits(ids[max(0, end - 3) : end])[-1] for end in range(1, 8)]
    np.testing.assert_allclose(windowed.logits(ids), expected, rtol=0, atol=1e-6)
    _, states = windowed.read(ids[:4], windowed.zero_states(1))
    rows, _ = windowed.step(np.array([7, 8]), repeat(states, 2))
    np.testing.assert_allclose(rows[1], plain.logits(np.array([0, 4, 8]))[-1], rtol=0, atol=1e-6)


def test_an_empty_prompt_is_refused_and_an_empty_text_has_no_logits():
    _, _, decoder = make()
    with pytest.raises(UsageError, match="at least one id"):
        decoder.read(np.array([], int), decoder.zero_states(1))
    assert decoder.logits(np.array([], int)).shape == (0, VOCABULARY)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("lstm_2/bias"), r"Missing: \['lstm_2/bias'\]"),
        (lambda w: w.pop("logits/bias"), r"Missing: \['logits/bias'\]"),
        (lambda w: w.update(extra=np.zeros(1)), r"Unexpected: \['extra'\]"),
        (
            lambda w: w.update({"lstm_1/kernel": w["lstm_1/kernel"].T}),
            r"lstm_1/kernel .* float32 \(48, 7\)\. Expected: float32 \(7, 48\)",
        ),
        (
            lambda w: w.update({"logits/bias": np.zeros((1, 1), np.float32)}),
            r"Received: float32 .* Expected: float32",
        ),
        (
            lambda w: w.update({"lstm_1/bias": w["lstm_1/bias"].astype(np.float64)}),
            r"lstm_1/bias .* float64",
        ),
        (
            lambda w: w["lstm_2/recurrent_kernel"].__setitem__((0, 0), np.nan),
            r"lstm_2/recurrent_kernel .* not finite",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change, said):
    options, weights, _ = make()
    change(weights)
    with pytest.raises(RunError, match=said):
        Decoder(options, weights)
