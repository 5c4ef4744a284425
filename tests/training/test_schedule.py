import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.training.schedule import LONG_EPOCH, MANY_EPOCHS, SHORT_EPOCH, Schedule


def validations(schedule):
    return [step for step in range(1, schedule.total_steps + 1) if schedule.validates(step)]


def test_every_epoch_and_a_broken_last_one():
    assert validations(Schedule(25, 10, 1e-3)) == [10, 20, 25]


def test_long_epochs_are_validated_in_equal_parts():
    steps = validations(Schedule(4 * LONG_EPOCH, 2 * LONG_EPOCH, 1e-3))
    assert steps == [LONG_EPOCH, 2 * LONG_EPOCH, 3 * LONG_EPOCH, 4 * LONG_EPOCH]


@given(st.integers(1, 4000), st.integers(1, 3000))
def test_validations_are_few_end_with_the_run_and_keep_their_spacing(total, epoch):
    schedule = Schedule(total, epoch, 1e-3)
    steps = validations(schedule)
    assert steps[-1] == total
    assert len(steps) <= max(MANY_EPOCHS, total / SHORT_EPOCH) + 1
    assert abs(len(steps) - total / schedule.spacing) <= 1


def test_warm_up_rises_to_the_peak_and_the_cosine_falls_to_a_hundredth():
    schedule = Schedule(1000, 100, 0.5, "cosine", warmup=50)
    rates = [schedule.learning_rate(step) for step in range(1000)]
    assert rates[:50] == sorted(rates[:50])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert max(rates) == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.005, rel=0.01)
    assert rates[0] > 0


def test_constant_stays():
    assert {Schedule(9, 3, 0.1, "constant").learning_rate(step) for step in range(9)} == {0.1}


def test_short_runs_have_a_short_warm_up():
    assert Schedule(4, 4, 1.0, "cosine", warmup=50).learning_rate(2) == pytest.approx(1.0)


@given(st.integers(1, 100), st.integers(0, 1000))
def test_position_counts_every_batch_once(epoch_steps, step):
    epoch, batch = Schedule(1001, epoch_steps, 1.0).position(step)
    assert epoch * epoch_steps + batch == step
    assert 0 <= batch < epoch_steps


@given(st.floats(1, 1e5), st.floats(1e-3, 10), st.floats(0, 100), st.integers(1, 3000))
def test_steps_fit_into_their_time(left, seconds, reading, epoch_steps):
    steps = Schedule(1, epoch_steps, 1e-3).steps_in(left, seconds, reading)
    assert 0 <= steps * seconds <= left


def test_validations_take_their_share_of_the_time():
    without = Schedule(1, 100, 1e-3).steps_in(1000, 0.1, 0)
    assert 0.9 * without > Schedule(1, 100, 1e-3).steps_in(1000, 0.1, 100) > 0.5 * without
