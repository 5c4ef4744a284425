"""Noise that training adds: dropout of what layers pass on, and of their recurrent kernels.

Masks are pure functions of a seed, so that a training that goes on has nothing to remember of them. They
are drawn outside of what XLA compiles: on a CPU its random numbers cost more than the network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lstmega.config.options import ModelOptions
from lstmega.nn.devices import keras, tf

Masks = Mapping[str, Any]


def draw(options: ModelOptions, rows: int, time: int, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """Draw the masks of a batch: 0 where something is dropped, the rest scaled to keep the mean.

    Args:
        options: Say what is dropped, and how much of it.
        rows: Of the batch.
        time: Steps of the batch.
        seed: `[2]` whole numbers.

    Returns:
        By what they are multiplied with: `embedding` and the names of layers for outputs
        `[rows, time, features]`, the time 1 where one mask is for all of it; `lstm_1/recurrent_kernel`
        and so on for kernels. Nothing where nothing is dropped.
    """
    steps = 1 if options.variational else time
    wanted = {"embedding": (options.input_dropout, (rows, steps, options.embedding))}
    for name, rate in zip(options.layer_names(), options.dropouts(), strict=True):
        wanted[name] = rate, (rows, steps, options.units)
        kernel = f"{name}/recurrent_kernel"
        wanted[kernel] = options.weight_drop, options.weight_shapes(1)[kernel]
    for name, rate, units in zip(
        options.hidden_names(), options.hidden_dropout, options.hidden, strict=False
    ):
        wanted[name] = rate, (rows, steps, units)
    return {
        name: mask(rate, shape, tf.random.experimental.stateless_fold_in(seed, place))
        for place, (name, (rate, shape)) in enumerate(wanted.items())
        if rate > 0
    }


def mask(rate: float, shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Draw a mask: 0 for about `rate` of the numbers, the rest scaled to keep the mean."""
    kept = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.cast(kept, tf.float32) / (1 - rate)


@contextmanager
def dropped(layer: keras.Layer, masks: Masks) -> Iterator[None]:
    """Let a recurrent layer compute with its kernel masked, where there is a mask for it."""
    mask = masks.get(f"{layer.name}/recurrent_kernel")
    if mask is None:
        yield
        return
    kernel = layer.cell.recurrent_kernel
    with keras.StatelessScope(state_mapping=[(kernel, tf.convert_to_tensor(kernel) * mask)]):
        yield
