"""ids -> tf.data: batches of shifted sequences, gathered at the positions of a plan."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.data.batching import BatchPlan
from lstmega.errors import UsageError
from lstmega.nn.devices import tf

Tensor = Any


def dataset(ids: npt.NDArray[np.integer], plan: BatchPlan) -> tf.data.Dataset:
    """Return batches of shifted sequences.

    Args:
        ids: The whole text, `[characters]`.
        plan: The positions to read; those outside the text give the id at its nearer end.

    Returns:
        A dataset of (inputs `[rows, time]`, targets `[rows, time]`, carries `[rows]`); targets are the
        inputs of one position later, -1 where they do not count.

    Raises:
        UsageError: The shapes do not fit together.
    """
    shapes = {array.shape[: 1 if array is plan.times else 2] for array in plan.arrays()}
    if plan.starts.ndim != 2 or shapes != {plan.starts.shape, plan.starts.shape[:1]}:
        raise UsageError(f"The arrays of a plan differ in shape: {sorted(shapes)}.")
    with tf.device("/cpu:0"):
        text = tf.constant(ids)
    same = int(plan.times[0]) if (plan.times == plan.times[:1]).all() else None  # a shape to rely on

    @tf.autograph.experimental.do_not_convert  # it would take most of the time of a first batch
    def gather(
        starts: Tensor,
        carries: Tensor,
        times: Tensor,
        firsts: Tensor | None = None,
        ends: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps = times if same is None else same
        positions = starts[:, None] + tf.range(tf.cast(steps, tf.int64) + 1)
        positions = tf.clip_by_value(positions, 0, len(ids) - 1)
        windows = tf.cast(tf.gather(text, positions), tf.int32)  # [rows, time + 1]
        inputs, targets = windows[:, :-1], windows[:, 1:]
        if firsts is not None and ends is not None:
            places = tf.range(tf.cast(steps, tf.int64))
            counted = (places >= firsts[:, None]) & (places < ends[:, None])
            targets = tf.where(counted, targets, -1)
        return inputs, targets, carries

    rows = tf.data.Dataset.from_tensor_slices(plan.arrays())
    return rows.map(gather).prefetch(2).with_options(_untuned())


def _untuned() -> tf.data.Options:
    """Turn autotuning off: an iterator with it may wait up to a minute for its tuning thread to end.

    The thread sleeps between two looks, for longer and longer, and TensorFlow 2.21 does not always
    wake it. There is nothing here to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
