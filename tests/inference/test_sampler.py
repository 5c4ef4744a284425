from collections import Counter
from functools import partial
from itertools import islice

import numpy as np
import pytest

from lstmega.inference.logits_processors import ENDED, RowHistory, ban, min_p, top_k, top_p
from lstmega.inference.sampler import LogitsProcessors, choose, generate_ids, read
from tests import oracles
from tests.scripted import LETTERS, Fair, Scripted, real_run

# Choosing.


def shaped(k=None, p=None, least=None):
    rules = [(top_k, k), (top_p, p), (min_p, least)]
    return LogitsProcessors(
        truncation=tuple(partial(make, value) for make, value in rules if value is not None)
    )


def draw(row, temperature, times, rules=None, seed=0):
    """Return how often each id is drawn."""
    logits = np.tile(np.array(row, np.float32), (times, 1))
    generator = np.random.default_rng(seed)
    history = RowHistory(np.array([0]), times)
    ids = choose(
        logits, np.full(times, temperature), rules or LogitsProcessors(), history, [generator] * times
    )
    return np.bincount(ids, minlength=len(row))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("filters", [{}, {"k": 4, "p": 0.9, "least": 0.1}])
def test_choose_has_the_softmax_distribution(temperature, filters):
    row, times = [0.3, -1.0, 2.0, 1.5, -4.0, 0.0], 40_000
    counts = draw(row, temperature, times, shaped(**filters))
    scaled = [value / temperature for value in row]
    kept = sorted(oracles.kept(scaled, **filters))
    expected = times * np.array(oracles.softmax([scaled[number] for number in kept]))
    assert counts.sum() == counts[kept].sum() == times
    chi_square = ((counts[kept] - expected) ** 2 / expected).sum()
    # Mean n - 1 and variance 2 (n - 1): five standard deviations, with a fixed seed.
    assert chi_square < (len(kept) - 1) + 5 * np.sqrt(2 * (len(kept) - 1))


def test_choose_agrees_with_the_plain_sampler():
    row, times = [0.0, 1.0, -1.0, 0.5], 20_000
    generator = np.random.default_rng(5)
    plain = Counter(oracles.sample(row, 0.7, generator, k=3) for _ in range(times))
    fast = draw(row, 0.7, times, shaped(k=3))
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
    temperatures, history = np.array([1.0, 0.0, 1.0]), RowHistory(np.array([0]), 3)
    ids = np.array(
        [choose(logits, temperatures, LogitsProcessors(), history, generators) for _ in range(50)]
    )
    assert (ids[:, 1] == 2).all()
    np.testing.assert_array_equal(ids[:, 0], ids[:, 2])
    assert len(set(ids[:, 0])) == 3


def test_choose_leaves_its_arguments_alone():
    logits = np.array([[1.0, 2.0]], np.float32)
    logits.setflags(write=False)
    history = RowHistory(np.array([0]), 1)
    rules = LogitsProcessors((partial(ban, [0]),), (), shaped(1, 0.5, 0.5).truncation)
    choose(logits, np.array([0.5]), rules, history, [np.random.default_rng(0)])


# The engine.


def ids_of(found, most):
    return np.array([column.ids for column in islice(found, most)]).T.tolist()


def test_columns_never_end_and_read_the_prompt_once():
    decoder = Scripted([3, 1, 2], 5)
    start = read(decoder, np.array([4, 4]))
    assert (
        ids_of(generate_ids(decoder, start, temperatures=[0.0, 1.0], seed=0), 7)
        == [[3, 1, 2, 3, 1, 2, 3]] * 2
    )
    assert decoder.read_ids == [4, 4]


def test_texts_go_on_from_any_position():
    run = real_run()
    decoder = run.decoder()
    ids = LETTERS.encode("a long prompt")
    whole = read(decoder, ids)
    parts = read(decoder, ids[5:], after=read(decoder, ids[:5]))
    np.testing.assert_array_equal(parts.ids, ids)
    np.testing.assert_array_equal(parts.logits, whole.logits)
    written = [
        ids_of(generate_ids(decoder, start, temperatures=[0.5, 1.0], seed=3), 30)
        for start in (whole, parts)
    ]
    assert written[0] == written[1]


def test_a_column_has_the_logits_of_the_model_itself():
    decoder = real_run().decoder()
    start = read(decoder, np.array([3]))
    found = list(
        islice(generate_ids(decoder, start, temperatures=[2.0], seed=0, processors=shaped(k=2)), 6)
    )
    ids = np.array([3, *(int(column.ids[0]) for column in found[:-1])])
    expected = decoder.logits(ids)
    np.testing.assert_allclose([column.logits[0] for column in found], expected, atol=1e-5)


def test_banned_ids_are_never_drawn():
    decoder = Fair(4, [2], 9.0)
    found = generate_ids(
        decoder,
        read(decoder, np.array([0])),
        temperatures=[0, 1],
        seed=0,
        processors=LogitsProcessors((partial(ban, [2]),)),
    )
    assert set(np.ravel(ids_of(found, 300))) == {0, 1, 3}


def test_the_temperature_of_a_row_stays():
    decoder = Fair(4, [2], 9.0)
    start = read(decoder, np.array([0]))
    cold, hot = ids_of(generate_ids(decoder, start, temperatures=[0, 1e9], seed=0), 100)
    assert set(cold) == {2}
    assert set(hot[:50]) == set(hot[50:]) == {0, 1, 2, 3}


class EndsAfter:
    """Leaves row r nothing after r + 1 ids."""

    def __call__(self, logits, history):
        ended = history.length > np.arange(history.rows)
        return np.where(ended[:, np.newaxis], -np.inf, logits)


def test_a_row_to_which_nothing_may_follow_ends_and_the_others_go_on():
    decoder = Fair(3)
    found = generate_ids(
        decoder,
        read(decoder, np.array([0])),
        temperatures=[1.0] * 3,
        seed=0,
        processors=LogitsProcessors((EndsAfter(),)),
    )
    rows = np.array(ids_of(found, 10))
    assert (rows == ENDED).tolist() == [[False, True, True], [False, False, True], [False] * 3]
