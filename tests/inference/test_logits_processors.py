"""Each rule against its slow twin, and what it must never do."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.inference.decoder import log_softmax
from lstmega.inference.logits_processors import (
    ENDED,
    NoRepeat,
    RowHistory,
    ban,
    min_p,
    penalise_repetition,
    top_k,
    top_p,
    typical_p,
)
from tests import oracles

NONE = RowHistory(np.array([0]), 1)
ROWS = st.lists(
    st.lists(st.sampled_from([-3.0, -1.5, -0.5, 0.0, 0.25, 1.0, 2.0]), min_size=7, max_size=7),
    min_size=1,
    max_size=4,
)
SHARES = st.none() | st.floats(0.013, 0.987)


def applied(logits, *rules, history=None):
    for rule in rules:
        before = logits.copy()
        after = rule(logits) if history is None else rule(logits, history)
        np.testing.assert_array_equal(logits, before)  # what was given is left alone
        logits = after
    return logits


@settings(deadline=None)
@given(rows=ROWS, k=st.none() | st.integers(1, 9), p=SHARES, least=SHARES)
def test_shapes_keep_what_the_oracle_keeps(rows, k, p, least):
    rules = [
        partial(make, value)
        for make, value in ((top_k, k), (top_p, p), (min_p, least))
        if value is not None
    ]
    filtered = applied(np.array(rows), *rules)
    for row, result in zip(rows, filtered, strict=True):
        kept = {number for number in range(7) if np.isfinite(result[number])}
        assert kept == oracles.kept(row, k=k, p=p, least=least)
        assert all(result[number] == row[number] for number in kept)


@settings(deadline=None)
@given(rows=ROWS, mass=st.floats(0.013, 0.987), barred=st.sets(st.integers(0, 6), max_size=5))
def test_typical_keeps_what_the_oracle_keeps(rows, mass, barred):
    logits = np.array(rows)
    logits[:, list(barred)] = -np.inf
    for row, result in zip(logits, applied(logits, partial(typical_p, mass)), strict=True):
        assert {n for n in range(7) if np.isfinite(result[n])} == oracles.typical(row, mass)


def test_typical_may_leave_the_likeliest_out():
    """Of a flat distribution with one peak, the peak tells less than is expected."""
    logits = np.log([[0.3, *[0.07] * 10]])
    assert not np.isfinite(applied(logits, partial(typical_p, 0.2))[0, 0])


def test_shapes_at_their_ends():
    logits = np.array([[0.0, -800.0, 0.0, -1.0]])
    for everything in (partial(top_k, 99), partial(top_p, 1), partial(min_p, 0), partial(typical_p, 1)):
        np.testing.assert_array_equal(applied(logits, everything), logits)
    for one in (partial(top_k, 1), partial(top_p, 1e-9)):  # the lower id wins the tie
        np.testing.assert_array_equal(np.isfinite(applied(logits, one)), [[True, False, False, False]])
    both = applied(logits, partial(min_p, 1))
    np.testing.assert_array_equal(np.isfinite(both), [[True, False, True, False]])


def test_shapes_follow_one_another():
    """Top-p counts its share of what top-k left: 0.55 of {0.5, 0.3} is the first alone."""
    logits = np.log([[0.5, 0.3, 0.2]])
    assert np.isfinite(applied(logits, partial(top_k, 2), partial(top_p, 0.55))).tolist() == [
        [True, False, False]
    ]
    assert np.isfinite(applied(logits, partial(top_p, 0.55))).sum() == 2


def test_banned_ids_may_not_follow():
    assert (
        applied(np.zeros((2, 3)), partial(ban, [0, 2]), history=NONE).tolist()
        == [[-np.inf, 0, -np.inf]] * 2
    )


def written(texts, prompt=(0,)):
    history = RowHistory(np.array(prompt), len(texts))
    for column in zip(*texts, strict=True):
        history.append(np.array(column))
    return history


TEXTS = st.integers(0, 12).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 3), min_size=size, max_size=size), min_size=1, max_size=3
    )
)


@settings(deadline=None)
@given(
    texts=TEXTS, window=st.none() | st.integers(1, 6), penalty=st.floats(0.5, 4), seed=st.integers(0, 99)
)
def test_the_penalty_is_the_oracles(texts, window, penalty, seed):
    logits = np.random.default_rng(seed).normal(size=(len(texts), 4))
    found = applied(logits, partial(penalise_repetition, penalty, window), history=written(texts))
    for row, text, result in zip(logits, texts, found, strict=True):
        np.testing.assert_allclose(result, oracles.penalised(row, [0, *text], penalty, window))


@settings(deadline=None)
@given(texts=TEXTS, size=st.integers(1, 4))
def test_no_ids_in_a_row_are_repeated(texts, size):
    history = written(texts)
    found = applied(np.zeros((len(texts), 4)), NoRepeat(size), history=history)
    for text, result in zip(texts, found, strict=True):
        barred = oracles.repeating([0, *text], size)
        expected = set() if len(barred) == 4 else barred
        assert {number for number in range(4) if np.isneginf(result[number])} == expected


def test_no_repeat_counts_along_as_a_text_grows():
    rule, history = NoRepeat(3), RowHistory(np.array([0, 1]), 1)
    text = [0, 1]
    for identity in [2, 0, 1, 3, 0, 1, 2, 2, 0]:
        found = applied(np.zeros((1, 5)), rule, history=history)
        assert set(np.flatnonzero(np.isneginf(found[0]))) == oracles.repeating(text, 3)
        history.append(np.array([identity]))
        text.append(identity)


def test_rows_that_ended_are_no_trouble():
    history = written([[1, ENDED, ENDED], [1, 2, 1]])
    for rule in (
        NoRepeat(2),
        partial(penalise_repetition, 1.5, None),
        partial(penalise_repetition, 1.5, 2),
    ):
        assert np.isfinite(applied(np.ones((2, 4)), rule, history=history)[1]).any()


def test_log_softmax():
    found = log_softmax(np.array([[1.0, 2.0, -np.inf], [1e4, 0.0, 0.0]], np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    np.testing.assert_allclose(found[0, 1] - found[0, 0], 1)


@pytest.mark.parametrize(
    "rule", [partial(top_k, 2), partial(top_p, 0.5), partial(min_p, 0.1), partial(typical_p, 0.5)]
)
def test_what_may_not_follow_stays_so(rule):
    logits = np.array([[-np.inf, 0.0, 0.1, -np.inf]])
    assert np.isneginf(applied(logits, rule)[0, [0, 3]]).all()
