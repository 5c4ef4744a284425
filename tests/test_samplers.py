from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.errors import UsageError
from lstmega.samplers import Filters, choose, columns, parse_temperatures
from tests import oracles
from tests.scripted import Fair, Scripted

# Temperatures.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5,0.8", (0.5, 0.8)),
        ("0", (0.0,)),
        ("1e-9, 1e30", (1e-9, 1e30)),
        ("0.2:1.4:0.2", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)),
        ("0.1:1:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("0.2:1.1:0.4", (0.2, 0.6, 1.0)),
        ("0.7:0.7:1", (0.7,)),
        ("0,0.5:1:0.25,0.5", (0.0, 0.5, 0.75, 1.0, 0.5)),
        (" 0.5 , 0.6 : 0.8 : 0.1 ", (0.5, 0.6, 0.7, 0.8)),
        ("0.001:1:0.001", tuple(number / 1000 for number in range(1, 1001))),
    ],
)
def test_temperatures(text, expected):
    assert parse_temperatures(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "0.5,", "warm", "0.5;0.8", "-1", "-0.1:1:0.1", "nan", "inf", "-inf", "sNaN"),
        *("1e400", "0.2:1.4", "0.2:1.4:0.2:1", "1.4:0.2:0.2", "0.2:1.4:0", "0.2:1.4:-0.2"),
        *("0:1:nan", "0:inf:1", "0:1:0.0001", "0:1e300:1e-300", "0:1:0.001", "0.5," * 1000 + "1"),
        *("1e999999999999999999", "0:1:1e-999999"),
    ],
)
def test_bad_temperatures(text):
    with pytest.raises(UsageError, match=r"(?s)--temps .*Received: .*Accepted: .*0\.2:1\.4:0\.2"):
        parse_temperatures(text)


# Filters.


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([-3.0, -1.5, -0.5, 0.0, 0.25, 1.0, 2.0]), min_size=7, max_size=7),
        min_size=1,
        max_size=4,
    ),
    k=st.none() | st.integers(1, 9),
    p=st.none() | st.floats(0.013, 0.987),
    least=st.none() | st.floats(0.013, 0.987),
)
def test_filters_keep_what_the_oracle_keeps(rows, k, p, least):
    logits = np.array(rows)
    before = logits.copy()
    filtered = Filters(k, p, least).apply(logits)
    np.testing.assert_array_equal(logits, before)
    for row, result in zip(rows, filtered, strict=True):
        kept = {number for number in range(7) if np.isfinite(result[number])}
        assert kept == oracles.kept(row, k=k, p=p, least=least)
        assert all(result[number] == row[number] for number in kept)


def test_filters_at_their_ends():
    logits = np.array([[0.0, -800.0, 0.0, -1.0]])
    for everything in (Filters(), Filters(top_k=99), Filters(top_p=1), Filters(min_p=0)):
        np.testing.assert_array_equal(everything.apply(logits), logits)
    for one in (Filters(top_k=1), Filters(top_p=1e-9)):  # the lower id wins the tie
        np.testing.assert_array_equal(np.isfinite(one.apply(logits)), [[True, False, False, False]])
    both = Filters(min_p=1).apply(logits)
    np.testing.assert_array_equal(np.isfinite(both), [[True, False, True, False]])


def test_filters_are_applied_in_order():
    """Top-p counts its share of what top-k left: 0.55 of {0.5, 0.3} is the first alone."""
    logits = np.log([[0.5, 0.3, 0.2]])
    kept = np.isfinite(Filters(top_k=2, top_p=0.55).apply(logits))
    np.testing.assert_array_equal(kept, [[True, False, False]])
    assert np.isfinite(Filters(top_p=0.55).apply(logits)).sum() == 2


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        *(({"top_k": value}, "--top-k") for value in (0, -1, 1.5, True, "2")),
        *(({"top_p": value}, "--top-p") for value in (0, -0.1, 1.1, float("nan"), "x", True)),
        *(({"min_p": value}, "--min-p") for value in (-0.1, 1.1, float("inf"), float("nan"))),
    ],
)
def test_bad_filters(arguments, flag):
    with pytest.raises(UsageError, match=rf"{flag} must be .*Received: "):
        Filters(**arguments)


# Choosing.


def draw(row, temperature, times, filters=None, seed=0):
    """Return how often each id is drawn."""
    logits = np.tile(np.array(row, np.float32), (times, 1))
    generator = np.random.default_rng(seed)
    ids = choose(logits, np.full(times, temperature), filters or Filters(), [generator] * times)
    return np.bincount(ids, minlength=len(row))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("filters", [Filters(), Filters(4, 0.9, 0.1)])
def test_choose_has_the_softmax_distribution(temperature, filters):
    row, times = [0.3, -1.0, 2.0, 1.5, -4.0, 0.0], 40_000
    counts = draw(row, temperature, times, filters)
    scaled = [value / temperature for value in row]
    kept = sorted(oracles.kept(scaled, k=filters.top_k, p=filters.top_p, least=filters.min_p))
    expected = times * np.array(oracles.softmax([scaled[number] for number in kept]))
    assert counts.sum() == counts[kept].sum() == times
    chi_square = ((counts[kept] - expected) ** 2 / expected).sum()
    # Mean n - 1 and variance 2 (n - 1): five standard deviations, with a fixed seed.
    assert chi_square < (len(kept) - 1) + 5 * np.sqrt(2 * (len(kept) - 1))


def test_choose_agrees_with_the_plain_sampler():
    row, times = [0.0, 1.0, -1.0, 0.5], 20_000
    generator = np.random.default_rng(5)
    plain = Counter(oracles.sample(row, 0.7, generator, k=3) for _ in range(times))
    fast = draw(row, 0.7, times, Filters(top_k=3))
    for number in range(4):
        assert abs(plain[number] - fast[number]) < 5 * np.sqrt(times / 2)


def test_extreme_temperatures_are_finite_and_right():
    row = [1.0, 3.0, 3.0 - 1e-5, -1e30]
    for cold in (0, 1e-9, 5e-324):
        assert draw(row, cold, 200)[1] == 200
    hot = draw(row[:3], 1e30, 3000)
    assert hot.min() > 850
    assert draw([2.0, 2.0, 1.0], 0, 50).tolist() == [50, 0, 0]  # the lowest id wins the tie
    assert min(draw([2.0, 2.0, 1.0], 1e-9, 200)[:2]) > 60


def test_each_row_has_its_own_temperature_and_generator():
    logits = np.tile(np.array([0.0, 0.1, 0.2], np.float32), (3, 1))
    generators = [np.random.default_rng(seed) for seed in (1, 2, 1)]
    temperatures = np.array([1.0, 0.0, 1.0])
    ids = np.array([choose(logits, temperatures, Filters(), generators) for _ in range(50)])
    assert (ids[:, 1] == 2).all()
    np.testing.assert_array_equal(ids[:, 0], ids[:, 2])
    assert len(set(ids[:, 0])) == 3


def test_choose_leaves_its_arguments_alone():
    logits = np.array([[1.0, 2.0]], np.float32)
    logits.setflags(write=False)
    choose(logits, np.array([0.5]), Filters(1, 0.5, 0.5), [np.random.default_rng(0)])


# The engine.


def test_columns_never_end_and_read_the_prompt_once():
    decoder = Scripted([3, 1, 2], 5)
    found = columns(decoder, np.array([4, 4]), temperatures=[0.0, 1.0], seed=0)
    assert np.array(list(islice(found, 7))).T.tolist() == [[3, 1, 2, 3, 1, 2, 3]] * 2
    assert decoder.read_ids == [4, 4]


def test_forbidden_ids_are_never_drawn():
    found = columns(Fair(4, [2], 9.0), np.array([0]), temperatures=[0, 1], seed=0, forbidden=[2])
    assert set(np.array(list(islice(found, 300))).ravel()) == {0, 1, 3}
