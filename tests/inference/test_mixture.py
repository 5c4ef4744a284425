import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.inference import mixture
from lstmega.inference.decoder import kept, log_softmax, repeat
from lstmega.inference.mixture import MixedDecoder, NGramDecoder, PairedDecoder, split
from lstmega.inference.ngram import Counts
from tests.inference.test_decoder import VOCABULARY, make

TEXT = np.random.default_rng(0).integers(0, VOCABULARY, 3000) % 7
EXPONENTS = [(0.3, 0.7), (0.5, 0.5), (0.9, 0.2)]


def mixed(exponents=EXPONENTS, begins=None, text=TEXT):
    counts = NGramDecoder(Counts(text, VOCABULARY).model(), begins=begins)
    return MixedDecoder(PairedDecoder(make()[2], counts), exponents)


@given(
    context=st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=20),
    pair=st.tuples(st.floats(0, 2), st.floats(0, 2)),
)
def test_equals_the_definition_and_sums_to_1(context, pair):
    """p ~ network^a * ngram^b over the whole vocabulary, computed from the two distributions."""
    decoder = mixed([pair])
    states, network = decoder.zero_states(1), make()[2]
    inner, nodes = network.zero_states(1), Counts(TEXT, VOCABULARY).model()
    counted = nodes.begin(1)
    for identity in context:
        ids = np.array([identity])
        logits, states = decoder.step(ids, states)
        alone, inner = network.step(ids, inner)
        counted = nodes.advance(ids, counted)
    found = np.exp(log_softmax(logits))[0]
    product = np.exp(log_softmax(alone))[0] ** pair[0] * nodes.probabilities(counted)[0] ** pair[1]
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, product / product.sum(), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("length", [1, 5, 30])
def test_a_prompt_is_read_as_its_steps_are(length):
    decoder, ids = mixed(), TEXT[:length]
    read, after = decoder.read(ids, decoder.zero_states(3))
    states = decoder.zero_states(3)
    for identity in ids:
        logits, states = decoder.step(np.repeat(identity, 3), states)
    np.testing.assert_allclose(read, logits, rtol=1e-5)
    np.testing.assert_allclose(decoder.logits(ids)[-1], read[0], rtol=1e-5)
    for one, other in zip(after, states, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mixture", "counts", "network", "a single order"])
@pytest.mark.parametrize("begins", [None, 3])
@pytest.mark.parametrize("rows", [1, 5, 20])
@pytest.mark.parametrize("numbers", [1, 700, 1 << 19])
def test_known_ids_are_read_as_step_by_step(kind, begins, rows, numbers, monkeypatch):
    """Whatever number of them is read at once."""
    monkeypatch.setattr(mixture, "_NUMBERS", numbers)
    decoder = mixed(begins=begins)
    if kind == "a single order":
        decoder = NGramDecoder(Counts(TEXT, VOCABULARY, 1).model(), begins=begins)
    elif kind != "mixture":
        decoder = decoder.pair.network if kind == "network" else decoder.pair.ngram
    ids = TEXT[: 9 * rows].reshape(9, rows)
    states = before = decoder.step(TEXT[-rows:], decoder.zero_states(rows))[1]
    count = 0
    for row, (logits, after) in zip(ids, decoder.follow(ids, before), strict=True):
        expected, states = decoder.step(row, states)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
        for one, other in zip(after, states, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)
        count += 1
    assert count == 9


def test_states_fork_and_restart():
    decoder = mixed()
    _, states = decoder.read(TEXT[:9], decoder.zero_states(1))
    forked = kept(repeat(states, 2), np.array([True, False]))
    logits, _ = decoder.step(TEXT[9:10].repeat(2), forked)
    first, _ = decoder.step(TEXT[9:10], states)
    fresh, _ = decoder.step(TEXT[9:10], decoder.zero_states(1))
    np.testing.assert_allclose(logits, np.concatenate([first, fresh]), rtol=1e-4, atol=1e-5)


def test_the_exponents_are_those_of_the_known_context():
    text = np.array([1, 2, 3, 4] * 50)
    one, other = mixed([(1.0, 0.0), (0.0, 1.0)], text=text), mixed([(0.0, 1.0)], text=text)
    network = make()[2]
    unknown = np.array([6])  # an id that the text does not have: no context is known
    found = one.step(unknown, one.zero_states(1))[0]
    np.testing.assert_allclose(found, network.step(unknown, network.zero_states(1))[0], rtol=1e-5)
    known = np.array([2])
    expected = other.step(known, other.zero_states(1))[0]
    np.testing.assert_allclose(one.step(known, one.zero_states(1))[0], expected, rtol=1e-5)


def test_a_line_end_resets_the_counts():
    decoder = mixed(begins=3).pair
    _, states = decoder.read(TEXT[:20], decoder.zero_states(1))
    after = split(decoder.step(np.array([3]), states)[0])[1]
    fresh = split(decoder.step(np.array([3]), decoder.zero_states(1))[0])[1]
    np.testing.assert_array_equal(after, fresh)
