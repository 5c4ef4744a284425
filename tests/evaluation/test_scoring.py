import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.config.model import GeneratorConfig
from lstmega.data import batching
from lstmega.errors import UsageError
from lstmega.evaluation import scoring
from lstmega.inference import mixture
from lstmega.inference.decoder import Decoder
from lstmega.inference.mixture import NGramDecoder
from lstmega.inference.ngram import Counts
from tests import oracles
from tests.inference.test_decoder import random_weights

SIZE = 9


def made(cell="lstm", **more):
    options = GeneratorConfig(**{"cell": cell, "units": 6, "embedding": 4, "layers": 2} | more)
    weights = random_weights(options, SIZE, seed=1)
    return options, weights, Decoder(options, weights)


def text(length):
    return np.random.default_rng(length).integers(SIZE, size=length)


def slow_costs(options, weights, ids):
    """-log p of each id but the first, from the equations in float64, the state carried through."""
    logits = oracles.logits(options, weights, ids[:-1])
    probabilities = np.array([oracles.softmax(row) for row in logits])
    return -np.log(probabilities[np.arange(len(ids) - 1), ids[1:]])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("length", [2, 3, 200])
def test_one_lane_is_exact(cell, length):
    options, weights, decoder = made(cell)
    expected = slow_costs(options, weights, text(length))
    np.testing.assert_allclose(scoring.stream(decoder, text(length), rows=1), expected, atol=1e-5)


@pytest.mark.parametrize("rows", [2, 7, 50])
@pytest.mark.parametrize("length", [400, 3001])
def test_many_lanes_are_warmed_up(rows, length):
    """Also where a lane is shorter than its warm-up, which then begins before the text."""
    _, _, decoder = made()
    exact = scoring.stream(decoder, text(length), rows=1)
    found = scoring.stream(decoder, text(length), rows=rows)
    assert len(found) == length - 1
    np.testing.assert_allclose(found, exact, atol=1e-3)
    assert abs(found.mean() - exact.mean()) < 1e-4


@given(
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=300),
    lanes=st.tuples(st.integers(1, 400), st.integers(0, 200), st.integers(1, 3)),
    begins=st.sampled_from([None, 2]),
    blocks=st.sampled_from([(1, 1), (7, 100), (4096, 1 << 19)]),
)
def test_many_steps_at_once_are_those_one_by_one(ids, lanes, begins, blocks):
    """Of an n-gram model, whose steps are computed together."""
    ids, (length, warmup, every) = np.array(ids, np.uint8), lanes
    decoder = NGramDecoder(Counts(np.arange(900) ** 2 // 7 % 5 % 4, 4).model(), begins=begins)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_AT_ONCE", blocks[0])
        patch.setattr(mixture, "_NUMBERS", blocks[1])
        found = list(scoring.steps(decoder, ids, length, warmup, every=every))
    expected = list(oracles.steps(decoder, ids, length, warmup, every))
    assert len(found) == len(expected) == length
    for step, (positions, logits, states) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(step.counted, positions < len(ids))
        np.testing.assert_array_equal(step.places, positions[positions < len(ids)])
        np.testing.assert_allclose(step.logits, logits, rtol=1e-6)
        np.testing.assert_array_equal(step.states[0][0], states[0][0])


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_ids_are_looked_up_in_parts(at_once, monkeypatch):
    _, _, decoder = made()
    expected = scoring.stream(decoder, text(3001), rows=7)
    monkeypatch.setattr(scoring, "_AT_ONCE", at_once)
    np.testing.assert_array_equal(scoring.stream(decoder, text(3001), rows=7), expected)


def test_without_warmup_lanes_would_differ(monkeypatch):
    _, _, decoder = made()
    monkeypatch.setattr(batching, "WARMUP", 0)
    exact, cold = (scoring.stream(decoder, text(3001), rows=rows) for rows in (1, 7))
    assert np.abs(exact - cold).max() > 1e-2


@pytest.mark.parametrize("length", [1, 5, 64])
@pytest.mark.parametrize("characters", [2, 65, 1000])
def test_each_window_starts_from_zero(length, characters):
    options, weights, decoder = made()
    ids = text(characters)
    expected = [
        slow_costs(options, weights, ids[start : start + length + 1])
        for start in range(0, characters - 1, length)
    ]
    found = scoring.windows(decoder, ids, length=length)
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("read", [scoring.stream, scoring.windows])
def test_reports_its_progress(read):
    calls = []
    read(made()[2], text(5000), progress=lambda *call: calls.append(call))
    assert calls == sorted(calls) and len(calls) > 1
    assert {total for _, total in calls} == {4999} and calls[-1][0] <= 4999


@pytest.mark.parametrize("read", [scoring.stream, scoring.windows])
def test_one_character_predicts_nothing(read):
    with pytest.raises(UsageError, match="at least 2 characters"):
        read(made()[2], text(1))


def test_a_window_has_a_length():
    with pytest.raises(UsageError, match="--window must be at least 1"):
        scoring.windows(made()[2], text(9), length=0)
