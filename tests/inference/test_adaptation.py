import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.inference import adaptation as adapting
from lstmega.inference.adaptation import LENGTHS, Adaptation, AdaptiveDecoder, Cache, as_text
from lstmega.inference.decoder import log_softmax, logits_after
from lstmega.inference.mixture import NGramDecoder
from lstmega.inference.ngram import Counts
from tests.inference.test_decoder import VOCABULARY, make
from tests.inference.test_mixture import mixed

RANDOM = np.random.default_rng(2)
TEXT = np.tile(RANDOM.integers(0, 5, 40), 6)  # repeats itself: every length of context is met again
TEXT[::17] = 6


def network():
    return make()[2]


def read(decoder, ids):
    """Return what predicts each id but the first: the model's logits, and the hidden states."""
    states, logits, features = decoder.zero_states(1), [], []
    for identity in ids[:-1]:
        row, states = decoder.step(np.array([identity]), states)
        logits.append(row[0])
        features.append(decoder.features(states)[:, 0])
    return np.array(logits), np.array(features)


def slow_cache(ids, context):
    """Return the shares after a context, counted anew in all of a text.

    A count of a shorter context is the number of different longer ones before the same character.
    """
    ids, lengths = tuple(ids), [*LENGTHS, None]
    shares, rest = np.zeros(VOCABULARY), 1.0
    for (length, strength), longer in zip(LENGTHS.items(), lengths[1:], strict=True):
        wanted = tuple(context)[-length:]
        found = [{} for _ in range(VOCABULARY)]
        for at in range(length, len(ids)):
            if ids[at - length : at] == wanted:
                kind = at if longer is None else ids[max(0, at - longer) : at]
                found[ids[at]][kind] = True
        counts = np.array([len(kinds) for kinds in found])
        if not counts.any():
            break
        kept = (strength + adapting.DISCOUNT * (counts > 0).sum()) / (strength + counts.sum())
        shares = kept * shares + (counts - adapting.DISCOUNT).clip(min=0) / (strength + counts.sum())
        rest *= kept
    return shares, rest


def slow_costs(ids, logits, features, rate):
    """Return the cost of each id but the first, one by one; the layer learns at segments' ends."""
    kernel = np.zeros((VOCABULARY, features.shape[1]))
    squares, gradient, costs = np.full(kernel.shape, adapting.START), np.zeros(kernel.shape), []
    for at, wanted in enumerate(ids[1:]):
        corrected = np.exp(logits[at] + kernel @ features[at].astype(float))
        corrected /= corrected.sum()
        shares, rest = slow_cache(ids[: at + 1], ids[: at + 1][-8:])
        beside = shares + rest * corrected
        final = corrected ** (1 - adapting.SHARE) * beside**adapting.SHARE
        costs.append(-math.log(final[wanted] / final.sum()))
        error = corrected - (np.arange(VOCABULARY) == wanted)
        gradient += np.outer(error, features[at])
        if (at + 1) % adapting.SEGMENT == 0:
            squares += gradient**2
            kernel = kernel * (1 - adapting.DECAY) - rate * gradient / np.sqrt(squares)
            gradient[:] = 0
    return costs


@pytest.mark.parametrize("model", [network, mixed])
def test_equals_a_loop_that_counts_anew(model):
    decoder = model()
    logits, features = read(decoder, TEXT)
    found, _ = Adaptation(0.5, as_text(TEXT[:1])).learn(TEXT[1:], logits, features)
    np.testing.assert_allclose(found, slow_costs(TEXT, logits, features, 0.5), rtol=1e-4)


@given(
    text=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    context=st.lists(st.integers(0, 2), min_size=1, max_size=12),
)
def test_sums_to_1_and_leaves_everything_possible(text, context):
    decoder = AdaptiveDecoder(mixed(), Adaptation(1.0))
    learnt, _, _ = decoder.learn(np.array(text), decoder.zero_states(1))
    logits, states = learnt.read(np.array(context), learnt.zero_states(2))
    probabilities = np.exp(log_softmax(logits))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities > 0).all()
    cache = learnt.adaptation.cache
    cache.go_to(learnt.adaptation.text, len(text))
    shares, rest = cache.after(as_text(np.array(context))[-8:])
    assert sum(shares.values()) + rest == pytest.approx(1)
    expected, kept = slow_cache(text, context[-8:])
    assert rest == pytest.approx(kept)
    dense = np.zeros(VOCABULARY)
    for character, share in shares.items():
        dense[ord(character) - 1] = share
    np.testing.assert_allclose(dense, expected, atol=1e-12)
    for identity in (0, 1):
        assert np.isfinite(learnt.step(np.array([identity] * 2), states)[0]).all()


def test_every_character_is_charged_before_it_is_learnt():
    logits, features = read(network(), TEXT)
    whole, _ = Adaptation(0.5).learn(TEXT[1:], logits, features)
    changed = TEXT.copy()
    changed[101:] = 6
    other, _ = Adaptation(0.5).learn(changed[1:], logits, features)
    np.testing.assert_array_equal(whole[:100], other[:100])
    assert whole[0] == pytest.approx(-log_softmax(logits[:1])[0, TEXT[1]])


def test_a_text_that_repeats_itself_gets_cheaper():
    logits, features = read(network(), TEXT)
    static = -log_softmax(logits)[np.arange(len(logits)), TEXT[1:]]
    found, _ = Adaptation().learn(TEXT[1:], logits, features)
    assert found[40:].mean() < 0.9 * static[40:].mean()


@pytest.mark.parametrize("rate", [1e-30, 10.0])
def test_no_rate_breaks_the_numbers(rate):
    begin = AdaptiveDecoder(mixed(), Adaptation(rate))
    learnt, logits, _ = begin.learn(TEXT, begin.zero_states(1))
    costs, _ = Adaptation(rate).learn(TEXT[1:], *read(mixed(), TEXT))
    assert np.isfinite(logits).all() and np.isfinite(costs).all()
    assert np.isfinite(learnt.adaptation.kernel).all()


def test_a_long_text_is_learnt_in_blocks(monkeypatch):
    begin = AdaptiveDecoder(mixed(), Adaptation(0.5))
    whole = begin.learn(TEXT, begin.zero_states(1))
    monkeypatch.setattr(adapting, "_BLOCK", 2 * adapting.SEGMENT)
    parts = begin.learn(TEXT, begin.zero_states(1))
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5)
    np.testing.assert_allclose(parts[0].adaptation.kernel, whole[0].adaptation.kernel, atol=1e-6)
    assert parts[0].adaptation.text == whole[0].adaptation.text


def test_what_was_learnt_is_a_value():
    """Learning more, in any direction, changes no earlier decoder by a bit."""
    begin = AdaptiveDecoder(mixed(), Adaptation(0.5))
    first, logits, states = begin.learn(TEXT[:90], begin.zero_states(1))
    texts = [TEXT[90:], TEXT[20:60], TEXT[90:150][::-1]]
    before = first.step(TEXT[90:91], states)[0]
    seen = [first.learn(text, states) for text in texts]
    for text, (_, expected, _) in zip(reversed(texts), reversed(seen), strict=True):
        np.testing.assert_array_equal(first.step(TEXT[90:91], states)[0], before)
        np.testing.assert_array_equal(first.learn(text, states)[1], expected)
    again, fresh, _ = begin.learn(TEXT[:90], begin.zero_states(1))
    np.testing.assert_array_equal(fresh, logits)
    np.testing.assert_array_equal(again.adaptation.kernel, first.adaptation.kernel)


@given(
    one=st.text(st.sampled_from("ab"), max_size=40),
    two=st.text(st.sampled_from("ab"), max_size=40),
    end=st.integers(0, 40),
)
def test_a_cache_that_was_elsewhere_has_the_same_counts(one, two, end):
    moved, fresh = Cache(), Cache()
    moved.go_to(one, len(one))
    for cache in (moved, fresh):
        cache.go_to(two, min(end, len(two)))
    assert moved._counts == fresh._counts
    moved.go_to("", 0)
    assert not moved._counts


def test_a_long_text_forgets_its_beginning(monkeypatch):
    monkeypatch.setattr(adapting, "MOST", 50)
    logits, features = read(network(), TEXT)
    _, learnt = Adaptation().learn(TEXT[1:], logits, features)
    _, more = learnt.learn(TEXT[1:11], logits[:10], features[:10])
    assert more.text == as_text(np.concatenate([TEXT[-25:], TEXT[1:11]]))
    learnt.cache.go_to(more.text, len(more.text))
    fresh = Cache()
    fresh.go_to(more.text, len(more.text))
    assert learnt.cache._counts == fresh._counts


def test_what_is_skipped_is_read_and_not_learnt():
    begin = AdaptiveDecoder(mixed(), Adaptation(0.5))
    first, _, states = begin.learn(TEXT[:90], begin.zero_states(1))
    skipped, logits, after = first.skip(TEXT[90:120], states)
    expected, _ = first.read(TEXT[90:120], states)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    assert skipped.adaptation.kernel is first.adaptation.kernel
    more, _, _ = skipped.learn(TEXT[120:], after)
    cache, fresh = more.adaptation.cache, Cache()
    cache.go_to(more.adaptation.text, len(more.adaptation.text))
    fresh.go_to(as_text(TEXT[:90]), 90)
    for context, counts in fresh._counts.items():  # nothing that bridges the gap is counted as seen
        assert all(cache._counts[context][character] >= count for character, count in counts.items())
    assert not any("\0" in counts for counts in cache._counts.values())


@pytest.mark.parametrize("rows", [1, 3])
def test_steps_learn_nothing(rows):
    begin = AdaptiveDecoder(mixed(), Adaptation(0.5))
    learnt, _, _ = begin.learn(TEXT[:100], begin.zero_states(1))
    together, _ = learnt.read(TEXT[100:120], learnt.zero_states(rows))
    states = learnt.zero_states(rows)
    for identity in TEXT[100:120]:
        logits, states = learnt.step(np.repeat(identity, rows), states)
    np.testing.assert_allclose(logits, together, rtol=1e-4, atol=1e-5)


def test_counts_alone_adapt_too():
    counts = NGramDecoder(Counts(TEXT[:50], VOCABULARY).model())
    decoder = AdaptiveDecoder(counts)
    before = logits_after(counts, TEXT[:9], VOCABULARY)[-1]
    learnt, logits, _ = decoder.learn(TEXT, decoder.zero_states(1))
    found, _ = learnt.read(TEXT[:9], learnt.zero_states(1))
    assert learnt.adaptation.kernel.shape == (VOCABULARY, 0)
    follows = TEXT[9]
    assert log_softmax(found)[0, follows] > log_softmax(before[np.newaxis])[0, follows]
    assert np.isfinite(logits).all()
