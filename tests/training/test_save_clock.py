import pytest

from lstmega.training import schedule
from lstmega.training.schedule import Meter, SaveClock


@pytest.fixture
def now(monkeypatch):
    time = [0.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: time[0])
    return time


def test_meter():
    meter = Meter()
    for nats in (3.0, 2.0, 1.0):
        meter.add(nats, 0.5)
    assert (meter.mean, meter.losses, meter.busy) == (2.0, 3, 1.5)
    assert 1.0 < meter.smooth < 3.0


def test_smooth_follows_a_change():
    meter = Meter()
    for nats in [3.0] * 100 + [1.0] * 300:
        meter.add(nats, 0.1)
    assert meter.smooth == pytest.approx(1.0, abs=0.01)


def test_every_so_many_steps_and_at_validations(now):
    clock = SaveClock(10)
    due = [step for step in range(1, 31) if clock.due(step, validated=step == 17)]
    assert due == [10, 17, 20, 30]


def test_by_time_about_every_minute(now):
    clock, due = SaveClock(None), []
    for second in range(1, 200):
        now[0] = second
        if clock.due(second, validated=False):
            due.append(second)
            clock.saved(0.5)
    assert due == [60, 120, 180]


def test_validations_save_only_while_it_is_cheap(now):
    clock = SaveClock(None)
    now[0] = 1.0
    assert clock.due(1, validated=True)  # nothing is known of the cost yet
    clock.saved(0.1)
    now[0] = 5.9
    assert not clock.due(2, validated=True)  # 0.1 s of 4.9 s are more than 2%
    now[0] = 6.1
    assert clock.due(3, validated=True)
