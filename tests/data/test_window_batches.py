import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data.batching import WindowBatches
from lstmega.errors import CorpusError


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 20), st.integers(1, 7), st.integers(0, 3))
def test_windows_are_those_of_the_old_example(length, rows, time_steps, stride, epoch):
    starts = list(range(0, length - time_steps, stride))  # as Keras' lstm_text_generation.py counts them
    if len(starts) < rows:
        with pytest.raises(CorpusError, match="too short"):
            WindowBatches(length, rows, time_steps, stride, seed=0)
        return
    windows = WindowBatches(length, rows, time_steps, stride, seed=0)
    assert windows.windows == len(starts)
    plan = windows.plan(epoch)
    found = plan.starts.ravel().tolist()
    assert len(set(found)) == len(found) == len(starts) // rows * rows
    assert set(found) <= set(starts)
    assert max(found) + time_steps <= length - 1  # the target is an id of the text
    assert (plan.carries == 0).all()
    assert (plan.ends - plan.firsts == 1).all()
    assert (plan.ends == time_steps).all()


def test_order_is_drawn_anew_each_epoch_or_that_of_the_text():
    windows = WindowBatches(1000, 10, 40, 3, seed=0)
    assert windows.plan(0).starts.tolist() == windows.plan(0).starts.tolist()
    assert windows.plan(0).starts.tolist() != windows.plan(1).starts.tolist()
    assert (np.diff(WindowBatches(1000, 10, 40, 3).plan(0).starts.ravel()) == 3).all()
