import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.training.pace import Pace
from lstmega.training.schedule import Schedule


def pace(**changes):
    return Pace(**{"budget": 100, "end": 100.0, "step": 0.1, "validation": 1.0, "final": 4.0} | changes)


def finished_at(speeds, **changes):
    """The time at which a training ends whose steps take `speeds(time)` seconds, and its plans."""
    clock, now, done = pace(**changes), 0.0, 0
    plan = Schedule(clock.total(now, 0, math.inf), 50, 1.0)
    plan = Schedule(clock.total(now, 0, plan.spacing), 50, 1.0)
    while done < plan.total_steps:
        seconds = speeds(now)
        now, done = now + seconds, done + 1
        clock.stepped(seconds)
        total = clock.revised(now, done, plan)
        plan = plan if total is None else plan.replanned(done, total)
        if plan.validates(done):
            now += 10 * seconds
            clock.validated(10 * seconds)
    return now + clock.final * speeds(now) / clock._first, plan


@pytest.mark.parametrize("after", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("when", [0, 10, 50, 80])
def test_ends_in_time_whatever_the_speed_becomes(after, when):
    ended, plan = finished_at(lambda now: after if now >= when else 0.1)
    assert ended == pytest.approx(100, rel=0.1 if when == 80 else 0.03)
    assert plan.earlier


def test_a_steady_machine_keeps_its_first_plan():
    ended, plan = finished_at(lambda _: 0.1)
    assert ended == pytest.approx(100, rel=0.02) and not plan.earlier


@given(st.lists(st.floats(0.05, 0.2), min_size=20, max_size=20))
def test_ends_in_time_on_a_machine_that_others_use(speeds):
    ended, plan = finished_at(lambda now: speeds[int(now / 5) % 20])
    assert ended == pytest.approx(100, rel=0.15)
    assert len(plan.earlier) <= 50


@given(st.floats(1e-4, 10), st.floats(0, 20), st.floats(1, 1e4), st.floats(0, 200))
def test_what_is_done_stays_and_there_is_one_step_at_least(step, validation, spacing, now):
    found = pace(step=step, validation=validation)
    assert found.total(now, 7, spacing) >= 7
    assert found.total(now, 0, spacing) >= 1


@pytest.mark.parametrize("step", [1.0, 5.0, 20.0, 50.0, 300.0])
def test_ends_when_a_step_takes_much_of_the_time(step):
    ended, plan = finished_at(lambda _: step, step=step, validation=0.0, final=0.0)
    assert ended <= 100 + 12 * step  # a step, and a validation of ten
    assert len(plan.earlier) <= 50


def test_one_slow_step_is_soon_forgotten():
    slow = iter([1.0])
    ended, plan = finished_at(lambda _: next(slow, 0.1))
    assert ended == pytest.approx(100, rel=0.02)
    totals = [one.total_steps for one in plan.earlier] + [plan.total_steps]
    assert min(totals) > 0.8 * max(totals)


def test_what_was_planned_until_a_step_is_not_changed_before_it():
    slow = pace(step=1.0)
    schedule = Schedule(1000, 50, 1.0).replanned(30, 900)
    assert slow.revised(1.0, 30, schedule) is None  # from here on it is compared
    assert slow.revised(4.0, 29, schedule) is None
    assert slow.revised(4.0, 30, schedule) is not None
    assert slow.revised(4.1, 31, schedule) is None  # it was compared a moment ago
