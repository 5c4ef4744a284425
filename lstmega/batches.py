"""ids -> tf.data: shifted sequences, gathered at the positions that `lanes.py` decides."""

import numpy as np
import numpy.typing as npt

from lstmega.devices import tf
from lstmega.errors import UsageError


def dataset(
    ids: npt.NDArray[np.integer],
    starts: npt.NDArray[np.int64],
    carries: npt.NDArray[np.float32],
    time_steps: int,
) -> tf.data.Dataset:
    """Return batches of shifted sequences.

    Args:
        ids: The whole text, `[characters]`.
        starts: Position of each window's first input, `[batches, rows]`; positions outside the text
            give the id at its nearer end.
        carries: 1 where a row goes on from the state before, 0 from the zero state,
            `[batches, rows]`.
        time_steps: Ids of a row.

    Returns:
        A dataset of (inputs `[rows, time]`, targets `[rows, time]`, carries `[rows]`, starts
        `[rows]`); targets are the inputs of one position later.

    Raises:
        UsageError: The shapes do not fit together.
    """
    if starts.shape != carries.shape or starts.ndim != 2:
        raise UsageError(f"starts and carries differ in shape: {starts.shape}, {carries.shape}.")
    with tf.device("/cpu:0"):
        text = tf.constant(ids)
        offsets = tf.range(time_steps + 1, dtype=tf.int64)

    def gather(starts: tf.Tensor, carries: tf.Tensor) -> tuple[tf.Tensor, ...]:
        positions = tf.clip_by_value(starts[:, None] + offsets, 0, len(ids) - 1)
        windows = tf.cast(tf.gather(text, positions), tf.int32)  # [rows, time + 1]
        return windows[:, :-1], windows[:, 1:], carries, starts

    rows = tf.data.Dataset.from_tensor_slices((starts, carries))
    return rows.map(gather).prefetch(2).with_options(_untuned())


def _untuned() -> tf.data.Options:
    """Turn autotuning off: an iterator with it may wait up to a minute for its tuning thread to end.

    The thread sleeps between two looks, for longer and longer, and TensorFlow 2.21 does not always
    wake it. There is nothing here to tune.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def compact(ids: npt.NDArray[np.int32], vocabulary_size: int) -> npt.NDArray[np.integer]:
    """Return ids in the narrowest type that TensorFlow gathers from: a byte each for most texts."""
    for kind in (np.uint8, np.uint16):
        if vocabulary_size <= np.iinfo(kind).max + 1:
            return ids.astype(kind)
    return ids
