import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.evaluation import scoring
from lstmega.training.dynamic_evaluation import SEGMENT, DynamicReader


def ids_of(run, text):
    return run.vocabulary.encode(text)


@pytest.mark.parametrize("length", [2, SEGMENT, SEGMENT + 1, SEGMENT + 2, 100])
def test_at_rate_zero_nothing_is_learnt(tiny_run, length):
    ids = ids_of(tiny_run, tiny_run.held_out[:length])
    expected = scoring.stream(tiny_run.decoder(), ids, rows=1)
    np.testing.assert_allclose(DynamicReader(tiny_run, 0)(ids), expected, atol=1e-4)


def test_a_segment_is_predicted_before_it_is_learnt(tiny_run):
    ids = ids_of(tiny_run, tiny_run.held_out[: 3 * SEGMENT])
    still, learning = DynamicReader(tiny_run, 0)(ids), DynamicReader(tiny_run, 0.5)(ids)
    np.testing.assert_allclose(learning[:SEGMENT], still[:SEGMENT], atol=1e-4)
    assert np.abs(learning[SEGMENT:] - still[SEGMENT:]).max() > 1e-3


def test_a_text_that_repeats_itself_gets_cheaper(tiny_run):
    text = Corpus.from_text("the pussy cat went to sea. " * 60)
    fixed, learning = (lstmega.evaluate(tiny_run, text=text, dynamic=rate) for rate in (None, 0.5))
    assert learning.bits_per_character < 0.95 * fixed.bits_per_character
    assert "learning at rate 0.5" in learning.heading
    assert learning.to_dict()["protocol"] == "dynamic"


def test_each_text_begins_with_the_runs_weights(tiny_run):
    ids = ids_of(tiny_run, tiny_run.held_out[:150])
    reader = DynamicReader(tiny_run, 0.5)
    np.testing.assert_array_equal(reader(ids), reader(ids))
