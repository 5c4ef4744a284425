import numpy as np
import pytest

from lstmega.data.batching import BatchPlan, LaneBatches
from lstmega.errors import UsageError
from lstmega.training import pipeline as batches


@pytest.mark.parametrize("order", ["lanes", "shuffled"])
def test_equals_slicing_in_numpy(order):
    ids = np.random.default_rng(0).integers(50, size=1000).astype(np.uint8)
    lanes = LaneBatches(len(ids), 3, 17, order=order, restarts=0.2)
    starts, carries = lanes.starts(1), lanes.carries(1)
    found = list(batches.dataset(ids, lanes.plan(1)))
    assert len(found) == lanes.batches
    for k, (inputs, targets, carry) in enumerate(found):
        for row, start in enumerate(starts[k]):
            np.testing.assert_array_equal(inputs[row], ids[start : start + 17])
            np.testing.assert_array_equal(targets[row], ids[start + 1 : start + 18])
        np.testing.assert_array_equal(carry, carries[k])
    assert inputs.dtype == targets.dtype == "int32"


def test_positions_outside_the_text_give_its_ends():
    plan = BatchPlan(np.array([[-3, 8]]), np.ones((1, 2), np.float32), np.array([4]))
    [(inputs, _, _)] = batches.dataset(np.arange(10), plan)
    np.testing.assert_array_equal(inputs, [[0, 0, 0, 0], [8, 9, 9, 9]])


def test_shapes_must_fit():
    with pytest.raises(UsageError, match="differ in shape"):
        batches.dataset(
            np.arange(9),
            BatchPlan(np.zeros((2, 3), np.int64), np.zeros((2, 2), np.float32), np.array([4, 4])),
        )


def test_what_does_not_count_is_minus_one():
    plan = BatchPlan(
        np.array([[0, 3], [5, 6]]),
        np.zeros((2, 2), np.float32),
        times=np.array([3, 2]),
        firsts=np.array([[0, 1], [1, 0]]),
        ends=np.array([[2, 3], [2, 0]]),
    )
    one, other = batches.dataset(np.arange(10), plan)
    np.testing.assert_array_equal(one[0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(one[1], [[1, 2, -1], [-1, 5, 6]])
    np.testing.assert_array_equal(other[1], [[-1, 7], [-1, -1]])


def test_no_tuning_thread_to_wait_for_at_the_end():
    plan = BatchPlan(np.array([[0]]), np.ones((1, 1), np.float32), np.array([4]))
    assert batches.dataset(np.arange(10), plan).options().autotune.enabled is False
