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


def test_a_change_of_plan_stretches_the_rest_of_the_cosine():
    plan = Schedule(1000, 100, 1.0)
    longer, shorter = plan.replanned(400, 1600), plan.replanned(400, 700)
    for changed in (longer, shorter):
        assert [changed.learning_rate(step) for step in range(401)] == [
            plan.learning_rate(step) for step in range(401)
        ]
    assert longer.learning_rate(400 + 2 * 60) == pytest.approx(plan.learning_rate(460))
    assert shorter.learning_rate(400 + 60 // 2) == pytest.approx(plan.learning_rate(460))
    assert longer.learning_rate(1600) == shorter.learning_rate(700) == pytest.approx(0.01)
    assert (longer.planned_until, longer.earlier[0].total_steps) == (400, 1000)


@given(
    st.integers(100, 2000),
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 2000)), max_size=5),
    st.integers(0, 60),
)
def test_however_often_the_plan_changes_the_rate_falls_to_a_hundredth(total, changes, warmup):
    schedule, step = Schedule(total, 70, 1.0, warmup=warmup), 0
    for more, left in changes:
        step = max(step + more, schedule.planned_until)
        if step >= schedule.total_steps:
            break
        schedule = schedule.replanned(step, step + left)
    rates = [schedule.learning_rate(step) for step in range(schedule.total_steps + 1)]
    first = min(warmup, total // 2)
    assert rates[first:] == sorted(rates[first:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)
    assert validations(schedule)[-1] == schedule.total_steps
