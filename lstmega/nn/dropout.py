"""Dropout masks of activations and of recurrent kernels.

Masks are pure functions of a seed, so no saved state has them. They are drawn outside of the graph that
XLA compiles: on a CPU, XLA's random numbers cost more than the network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from lstmega.nn.devices import keras, tf

Tensor = Any
Masks = Mapping[str, Tensor]
MaskSpecs = Mapping[str, tuple[float, tuple[int, ...]]]  # name -> (rate, shape)
NO_MASKS: Masks = MappingProxyType({})


def draw(specs: MaskSpecs, seed: Tensor) -> dict[str, Tensor]:
    """Draw the masks of a batch: 0 where a number is dropped, the rest scaled to keep the mean.

    Args:
        specs: Rate and shape of each mask; a mask's place in this order is part of its seed.
        seed: Two integers, `[2]`.

    Returns:
        The masks with a rate above 0, by name.
    """
    return {
        name: mask(rate, shape, tf.random.experimental.stateless_fold_in(seed, place))
        for place, (name, (rate, shape)) in enumerate(specs.items())
        if rate > 0
    }


def mask(rate: float, shape: tuple[int, ...], seed: Tensor) -> Tensor:
    """Draw one mask of float32: 0 for about `rate` of the numbers, `1 / (1 - rate)` for the rest."""
    kept = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.cast(kept, tf.float32) / (1 - rate)


@contextmanager
def masked_kernel(layer: keras.Layer, masks: Masks) -> Iterator[None]:
    """Apply weight dropout: replace a layer's recurrent kernel by its masked value inside the block.

    Args:
        layer: A recurrent layer.
        masks: Has a mask `NAME/recurrent_kernel` where the layer's kernel is dropped.
    """
    drop = masks.get(f"{layer.name}/recurrent_kernel")
    if drop is None:
        yield
        return
    kernel = layer.cell.recurrent_kernel
    with keras.StatelessScope(state_mapping=[(kernel, tf.convert_to_tensor(kernel) * drop)]):
        yield
