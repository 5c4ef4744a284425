import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data.batching import LaneBatches
from lstmega.errors import CorpusError

sizes = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 6), st.integers(0, 20))


def lanes_of(size, **options):
    rows, time_steps, batches, spare = size
    return LaneBatches(rows * time_steps * batches + spare + 1, rows, time_steps, **options)


@given(sizes, st.integers(0, 3), st.integers(0, 9))
def test_row_of_the_next_batch_goes_on_where_the_row_stopped(size, epoch, seed):
    lanes = lanes_of(size, seed=seed)
    starts = lanes.starts(epoch)
    assert (np.diff(starts, axis=0) == lanes.time_steps).all()


@given(sizes, st.sampled_from(["lanes", "shuffled"]), st.integers(0, 3))
def test_windows_are_disjoint_and_inside_the_text(size, order, epoch):
    lanes = lanes_of(size, order=order)
    starts = np.sort(lanes.starts(epoch).ravel())
    assert starts.size == lanes.batches * lanes.rows
    assert (np.diff(starts) == lanes.time_steps).all()
    assert starts[0] >= 0
    assert starts[-1] + lanes.time_steps <= lanes.length - 1  # the last target is an id too


@given(sizes)
def test_no_further_batch_would_fit(size):
    lanes = lanes_of(size)
    assert lanes.length - 1 < (lanes.batches + 1) * lanes.rows * lanes.time_steps


def test_position_is_pure():
    first, second = (LaneBatches(1000, 4, 10, restarts=0.3, seed=5) for _ in range(2))
    for epoch in (3, 0, 3):
        np.testing.assert_array_equal(first.starts(epoch), second.starts(epoch))
        np.testing.assert_array_equal(first.carries(epoch), second.carries(epoch))


def test_epochs_and_seeds_differ():
    lanes, other = (LaneBatches(1039, 4, 10, order="shuffled", seed=seed) for seed in (1, 2))
    assert (lanes.starts(0) != lanes.starts(1)).any()
    assert (lanes.starts(0) != other.starts(0)).any()


def test_offset_reaches_every_id():
    seen = set()
    for seed in range(40):
        lanes = LaneBatches(14, 2, 3, seed=seed)
        for start in lanes.starts(0).ravel():
            seen.update(range(start, start + 4))
    assert seen == set(range(14))


def test_an_epoch_begins_from_the_zero_state_and_goes_on_carrying():
    carries = LaneBatches(1000, 4, 10).carries(0)
    assert (carries[0] == 0).all()
    assert (carries[1:] == 1).all()


def test_restarts_are_about_the_share_that_was_asked_for():
    carries = LaneBatches(100_001, 10, 10, restarts=0.2).carries(0)[1:]
    assert 0.15 < 1 - carries.mean() < 0.25


def test_shuffled_windows_all_start_from_the_zero_state():
    assert (LaneBatches(1000, 4, 10, order="shuffled").carries(0) == 0).all()


def test_too_short_says_the_numbers_and_what_would_fit():
    with pytest.raises(
        CorpusError, match=r"needs 2,081 characters, has 40.*--batch-size 1 --sequence-length 39"
    ):
        LaneBatches(40, 32, 65)
    assert LaneBatches(40, 1, 39).batches == 1


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_to_predict(length):
    with pytest.raises(CorpusError, match="at least two characters"):
        LaneBatches(length, 1, 1)
