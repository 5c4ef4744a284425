import math
from itertools import pairwise

import numpy as np
import pytest

from lstmega.config.model import GeneratorConfig
from lstmega.data.batching import WindowBatches, stream_plan
from lstmega.data.bucketing import LineBatches
from lstmega.errors import UsageError
from lstmega.inference.decoder import Decoder
from lstmega.nn import devices  # noqa: F401 - quiet TensorFlow first
from lstmega.nn.backbone import weights_of
from lstmega.nn.generator import build
from lstmega.training.validation import Loss, Validator

OPTIONS = GeneratorConfig(units=8, embedding=4)
SIZE = 11


def slow_loss(model, ids):
    """Read the text character by character with the decoder, in float64."""
    logits = Decoder(OPTIONS, weights_of(model)).logits(ids[:-1]).astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probabilities[np.arange(len(ids) - 1), ids[1:]].sum()


@pytest.mark.parametrize("length", [2, 3, 128, 129, 130, 1000, 3000])
@pytest.mark.parametrize("rows", [1, 3])
def test_equals_reading_character_by_character(length, rows):
    model = build(OPTIONS, SIZE, seed=0)
    for variable in model.trainable_variables:
        if variable.name in {"kernel", "embeddings"}:  # more recurrence would be chaos
            variable.assign(4 * variable)
    ids = np.random.default_rng(length).integers(SIZE, size=length)
    loss = Validator(model, OPTIONS, ids, stream_plan(length, rows=rows))()
    assert loss.characters == length - 1
    assert loss.nats == pytest.approx(slow_loss(model, ids), rel=1e-4)


def test_an_untrained_model_knows_nothing():
    model = build(OPTIONS, SIZE, seed=0)
    ids = np.random.default_rng(0).integers(SIZE, size=5000)
    found = Validator(model, OPTIONS, ids, stream_plan(len(ids)))()
    assert found.nats_per_character == pytest.approx(math.log(SIZE), rel=0.01)


def test_lines_are_read_each_from_the_zero_state():
    model, text = build(OPTIONS, SIZE, seed=0), "abc\nde\nfghiabcdefgh\na\n"
    ids = np.array(["\nabcdefghi".index(character) for character in f"\n{text}"])
    found = Validator(model, OPTIONS, ids, LineBatches.of(text, 3, 4).plan(0))()
    ends = np.flatnonzero(ids == 0)
    slow = [slow_loss(model, ids[a : b + 1]) for a, b in pairwise(ends)]
    assert found.characters == len(text)
    assert found.nats == pytest.approx(sum(slow), rel=1e-5)


def test_windows_predict_their_last_character_only():
    model, ids = build(OPTIONS, SIZE, seed=0), np.random.default_rng(0).integers(SIZE, size=30)
    found = Validator(model, OPTIONS, ids, WindowBatches(30, 5, 7, 2).plan(0))()
    slow = [slow_loss(model, ids[a : a + 8]) - slow_loss(model, ids[a : a + 7]) for a in range(0, 20, 2)]
    assert found.characters == 10
    assert found.nats == pytest.approx(sum(slow), rel=1e-5)


def test_units():
    assert Loss(nats=30.0, characters=10).nats_per_character == 3


def test_one_character_predicts_nothing():
    with pytest.raises(UsageError, match="at least 2"):
        stream_plan(1)
