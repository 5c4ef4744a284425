"""Matrix products of a training step: in float32, or with factors rounded to bfloat16.

Processors with AVX512_BF16 or AMX multiply bfloat16 about twice as fast. The large products are rounded:
those of recurrent kernels, of the inputs of recurrent layers, and of dense layers over time. They are
summed in float32; weights, states, gates and the optimizer stay float32. XLA computes a rounded product
where it is written as one operation with factors of bfloat16 and a result of float32, and where no
factor is the transpose of another array; elsewhere it falls back to float32 without a message
(`tests/nn/test_precision.py` reads its code).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from lstmega.config.training import FixedPrecision
from lstmega.nn.devices import tf, xla

Tensor = Any

# Columns. XLA fills vectors of 16 of them: with fewer than these, float32 is faster.
_LEAST_COLUMNS = 12
# Rows of a kernel that are this many bytes apart evict each other from the cache; zeros move them apart.
_PAGE, _PADDING = 4096, 32

# Serialised xla.DotDimensionNumbers: contracted axes (1, 0), and (1, 1).
_PLAIN, _TRANSPOSED = b"\x0a\x01\x01\x12\x01\x00", b"\x0a\x01\x01\x12\x01\x01"


@dataclass(frozen=True)
class _Rounding:
    compiled: bool  # by XLA


_rounding: ContextVar[_Rounding | None] = ContextVar("rounding", default=None)


@contextmanager
def rounding(precision: FixedPrecision, *, compiled: bool) -> Iterator[None]:
    """Compute the products that are traced inside the block with this precision.

    Args:
        precision: Type of the factors.
        compiled: Whether XLA compiles the graph. Elsewhere TensorFlow multiplies the rounded factors in
            float32: the same numbers, no faster.
    """
    token = _rounding.set(_Rounding(compiled) if precision == "bfloat16" else None)
    try:
        yield
    finally:
        _rounding.reset(token)


class Multiplier:
    """Products of one kernel with many narrow matrices, prepared once.

    Args:
        kernel: `[m, k]`.
        columns: Columns of the other factor; None where they are not known yet. Products with fewer
            than 12 columns, or an unknown number, are computed in float32.
    """

    def __init__(self, kernel: Tensor, columns: int | None) -> None:
        few = columns is None or columns < _LEAST_COLUMNS
        self._rounding = None if few else _rounding_of(kernel)
        self._kernel, self._padding = kernel, None
        if self._rounding is not None:
            if 2 * kernel.shape[1] % _PAGE == 0:
                self._padding = tf.zeros((_PADDING, columns))
                kernel = tf.pad(kernel, [[0, 0], [0, _PADDING]])
            self._kernel = _rounded(kernel, self._rounding)

    def factor(self, part: Tensor) -> Tensor:
        """Return rows of the other factor as the product takes them."""
        if self._rounding is None:
            return part
        rounded = _rounded(part, self._rounding)
        # As plain bits: XLA would move bfloat16 as float32.
        return tf.bitcast(rounded, tf.uint16) if self._rounding.compiled else rounded

    def __call__(self, *parts: Tensor) -> Tensor:
        """Return `kernel @ right`, `[m, columns]`.

        Args:
            parts: The rows of `right`, `[k, columns]`, from top to bottom, each a `factor`.
        """
        if self._padding is not None:
            parts = (*parts, self.factor(self._padding))
        right = tf.concat(parts, axis=0) if len(parts) > 1 else parts[0]
        if self._rounding is None:
            return self._kernel @ right
        if self._rounding.compiled:
            right = tf.bitcast(right, tf.bfloat16)
        return _product(self._kernel, right, self._rounding)


def contracted(left: Tensor, right: Tensor) -> Tensor:
    """Return `left @ right.T`.

    Args:
        left: `[m, k]`.
        right: `[n, k]`, or the `factor` of a `Multiplier`.
    """
    rounding = _rounding_of(left)
    if rounding is None:
        return tf.matmul(left, right, transpose_b=True)
    return _product(_rounded(left, rounding), _rounded(right, rounding), rounding, transposed=True)


def unpacked(factor: Tensor) -> Tensor:
    """Return the numbers of a `Multiplier`'s factor."""
    if factor.dtype != tf.uint16:
        return factor
    return tf.cast(tf.bitcast(factor, tf.bfloat16), tf.float32)


def row_major(transposed: Tensor) -> Tensor:
    """Return a transposed array as one that a rounded product can read.

    XLA takes a transpose for an array with its axes in another order in memory, and a product with a
    factor of that kind falls back to float32.
    """
    rounding = _rounding_of(transposed)
    in_xla = rounding is not None and rounding.compiled
    return tf.zeros_like(transposed) + transposed if in_xla else transposed


def dense(sequences: Tensor, kernel: Tensor) -> Tensor:
    """Return `sequences @ kernel`, `[rows, time, outputs]`.

    Args:
        sequences: `[rows, time, features]`; where factors are rounded, all of them known.
        kernel: `[features, outputs]`.
    """
    kernel = tf.convert_to_tensor(kernel)
    rounding = _rounding_of(kernel)
    if rounding is None:
        return tf.einsum("rti,io->rto", sequences, kernel)

    @tf.custom_gradient
    def run(sequences: Tensor, kernel: Tensor) -> Any:
        rows, time, features = sequences.shape
        flat = _rounded(tf.reshape(sequences, (rows * time, features)), rounding)
        outputs = _product(flat, _rounded(kernel, rounding), rounding)

        def gradient(d_outputs: Tensor) -> Any:
            # The time before the rows: XLA would fold a mere transpose into the product.
            d_flat = tf.reshape(tf.transpose(d_outputs, (2, 1, 0)), (-1, time * rows))
            features_first = tf.reshape(tf.transpose(sequences, (2, 1, 0)), (features, time * rows))
            d_sequences = _product(_rounded(kernel, rounding), _rounded(d_flat, rounding), rounding)
            d_sequences = tf.transpose(tf.reshape(d_sequences, (features, time, rows)), (2, 1, 0))
            return d_sequences, contracted(features_first, d_flat)

        return tf.reshape(outputs, (rows, time, -1)), gradient

    return run(sequences, kernel)


def _rounding_of(factor: Tensor) -> _Rounding | None:
    """Return how a factor is rounded; None where it is not, as all that are not float32."""
    return _rounding.get() if factor.dtype == tf.float32 else None


def _rounded(factor: Tensor, rounding: _Rounding) -> Tensor:
    """Return a factor as bfloat16; outside of XLA, as float32 with the bits of bfloat16."""
    if factor.dtype == tf.uint16:
        return tf.bitcast(factor, tf.bfloat16)
    rounded = tf.cast(factor, tf.bfloat16)
    return rounded if rounding.compiled else tf.cast(rounded, tf.float32)


def _product(left: Tensor, right: Tensor, rounding: _Rounding, *, transposed: bool = False) -> Tensor:
    """Return the product of two rounded factors, in float32; the second may be transposed."""
    if not rounding.compiled:
        return tf.matmul(left, right, transpose_b=transposed)
    axes = _TRANSPOSED if transposed else _PLAIN
    return xla.xla_dot_v2(
        left, right, dimension_numbers=axes, precision_config=b"", preferred_element_type=tf.float32
    )
