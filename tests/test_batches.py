import numpy as np
import pytest

from lstmega import (
    batches,
    devices,  # noqa: F401 - quiet TensorFlow first
)
from lstmega.errors import UsageError
from lstmega.lanes import Lanes


@pytest.mark.parametrize("order", ["lanes", "shuffled"])
def test_equals_slicing_in_numpy(order):
    ids = np.random.default_rng(0).integers(50, size=1000).astype(np.uint8)
    lanes = Lanes(len(ids), 3, 17, order=order, restarts=0.2)
    starts, carries = lanes.starts(1), lanes.carries(1)
    found = list(batches.dataset(ids, starts, carries, lanes.time_steps))
    assert len(found) == lanes.batches
    for k, (inputs, targets, carry, _) in enumerate(found):
        for row, start in enumerate(starts[k]):
            np.testing.assert_array_equal(inputs[row], ids[start : start + 17])
            np.testing.assert_array_equal(targets[row], ids[start + 1 : start + 18])
        np.testing.assert_array_equal(carry, carries[k])
    assert inputs.dtype == targets.dtype == "int32"


def test_positions_outside_the_text_give_its_ends():
    starts, carries = np.array([[-3, 8]]), np.ones((1, 2), np.float32)
    [(inputs, _, _, _)] = batches.dataset(np.arange(10), starts, carries, 4)
    np.testing.assert_array_equal(inputs, [[0, 0, 0, 0], [8, 9, 9, 9]])


def test_shapes_must_fit():
    with pytest.raises(UsageError, match="differ in shape"):
        batches.dataset(np.arange(9), np.zeros((2, 3), np.int64), np.zeros((2, 2), np.float32), 4)


@pytest.mark.parametrize(
    ("size", "kind"), [(2, "uint8"), (256, "uint8"), (257, "uint16"), (70_000, "int32")]
)
def test_compact(size, kind):
    ids = np.array([0, size - 1], np.int32)
    compact = batches.compact(ids, size)
    assert compact.dtype == kind
    np.testing.assert_array_equal(compact, ids)


def test_no_tuning_thread_to_wait_for_at_the_end():
    starts, carries = np.array([[0]]), np.ones((1, 1), np.float32)
    assert batches.dataset(np.arange(10), starts, carries, 4).options().autotune.enabled is False
