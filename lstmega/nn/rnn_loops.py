"""LSTM and GRU over time, feature-major, each with its gradient written by hand.

Every array is `[..., features, rows]`. The input of a step is either projected for all steps at once,
`[time, gates, rows]`, or a row of a table, `[vocabulary, gates]`, by the ids `[time, rows]`.

The forward loop keeps the gates of each step, and the backward loop computes from them the gradient that
comes back through time; the kernel's gradient is one product over all steps for each gate.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lstmega.nn.devices import tf
from lstmega.nn.precision import Multiplier, contracted, unpacked

Tensor = Any


def lstm(
    given: Tensor, ids: Tensor | None, kernel: Tensor, hidden: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM (Hochreiter and Schmidhuber 1997, Gers et al. 2000) over time.

    Args:
        given: The gates' inputs, bias included: `[time, 4 * units, rows]`, or with ids a table
            `[vocabulary, 4 * units]`. The order is Keras': i, f, c, o.
        ids: `[time, rows]`, or None.
        kernel: Recurrent, `[units, 4 * units]`.
        hidden, memory: State before the first step, each `[units, rows]`.

    Returns:
        Outputs `[time, units, rows]`, and hidden and memory after the last step, `[units, rows]`.
    """

    @tf.custom_gradient
    def run(given: Tensor, kernel: Tensor, hidden: Tensor, memory: Tensor) -> Any:
        steps, units, rows = _steps(given, ids), kernel.shape[0], hidden.shape[1]
        # sigmoid(x) = (tanh(x / 2) + 1) / 2: with halved sums, one tanh serves all gates.
        halves = tf.repeat(tf.constant([0.5, 0.5, 1, 0.5], kernel.dtype), units)[:, None]
        inputs = _reader(given, ids, halves)
        product = Multiplier(tf.transpose(kernel) * halves, rows)  # by [4 * units, units]

        def step(given: Sequence[Tensor], hidden: Tensor, memory: Tensor) -> Any:
            gates = tf.tanh(product(product.factor(hidden)) + given[0])  # [4 * units, rows]
            i, f, g, o = tf.split(gates, 4)
            new_memory = _open(f) * memory + _open(i) * g
            squashed = tf.tanh(new_memory)
            return (_open(o) * squashed, new_memory), (gates, squashed, hidden, memory)

        (hidden, memory), (gates, squashed, hiddens, memories) = _loop(
            step, steps, [inputs], (hidden, memory), kept=[4 * units, units, units, units]
        )

        def gradient(d_outputs: Tensor, d_hidden: Tensor, d_memory: Tensor) -> Any:
            product = Multiplier(kernel, rows)

            def back(given: Sequence[Tensor], d_hidden: Tensor, d_memory: Tensor, *later: Tensor) -> Any:
                d_output, gates, through, memory = given
                i, f, g, o = tf.split(gates, 4)
                d_hidden = d_hidden + product(*later) + d_output
                d_memory = d_memory + d_hidden * _open(o) * (1 - through * through)
                d_gates = (
                    d_memory * g * _slope(i),
                    d_memory * memory * _slope(f),
                    d_memory * _open(i) * (1 - g * g),
                    d_hidden * through * _slope(o),
                )
                factors = [product.factor(d_gate) for d_gate in d_gates]
                return (tf.zeros_like(d_hidden), d_memory * _open(f), *factors), factors

            # A product is taken one step later, from arrays that the loop carries: its factors are
            # joined by plain copies then, which is faster than in one pass with their computation.
            none = product.factor(tf.zeros_like(d_hidden))
            given_back = [array.__getitem__ for array in (d_outputs, gates, squashed, memories)]
            states = d_hidden, d_memory, *[none] * 4
            (d_hidden, d_memory, *later), d_gates = _loop(
                back, steps, given_back, states, kept=[units] * 4, kind=none.dtype, backwards=True
            )
            d_hidden += product(*later)
            return *_weight_gradients(given, ids, hiddens, d_gates), d_hidden, d_memory

        return (_shifted(hiddens, hidden), hidden, memory), gradient

    outputs, hidden, memory = run(given, kernel, hidden, memory)
    return outputs, hidden, memory


def gru(
    given: Tensor, ids: Tensor | None, kernel: Tensor, bias: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor]:
    """Run a GRU (Cho et al. 2014) with the reset gate after the product, as in cuDNN.

    Args:
        given, ids, kernel, hidden: As in `lstm`, for 3 gates in Keras' order: z, r, h.
        bias: The candidate's, inside the reset gate, `[units]`.

    Returns:
        Outputs `[time, units, rows]`, and hidden after the last step, `[units, rows]`.
    """

    @tf.custom_gradient
    def run(given: Tensor, kernel: Tensor, bias: Tensor, hidden: Tensor) -> Any:
        steps, units, rows = _steps(given, ids), kernel.shape[0], hidden.shape[1]
        halves = tf.repeat(tf.constant([0.5, 0.5, 1], kernel.dtype), units)[:, None]  # as in `lstm`
        inputs = _reader(given, ids, halves)
        product = Multiplier(tf.transpose(kernel) * halves, rows)  # by [3 * units, units]

        def step(given: Sequence[Tensor], hidden: Tensor) -> Any:
            x_zr, x_h = tf.split(given[0], [2 * units, units])
            h_zr, inner = tf.split(product(product.factor(hidden)), [2 * units, units])
            zr, inner = tf.tanh(x_zr + h_zr), inner + bias[:, None]
            z, r = tf.split(zr, 2)  # each [units, rows]
            candidate = tf.tanh(x_h + _open(r) * inner)
            return (candidate + _open(z) * (hidden - candidate),), (zr, inner, candidate, hidden)

        (hidden,), (zr, inner, candidates, hiddens) = _loop(
            step, steps, [inputs], (hidden,), kept=[2 * units, units, units, units]
        )

        def gradient(d_outputs: Tensor, d_hidden: Tensor) -> Any:
            product = Multiplier(kernel, rows)

            def back(given: Sequence[Tensor], d_hidden: Tensor, *later: Tensor) -> Any:
                d_output, zr, inner, candidate, hidden = given
                z, r = tf.split(zr, 2)
                d_hidden = d_hidden + product(*later) + d_output
                d_candidate = d_hidden * (1 - _open(z)) * (1 - candidate * candidate)
                d_gates = (
                    d_hidden * (hidden - candidate) * _slope(z),
                    d_candidate * inner * _slope(r),
                    d_candidate * _open(r),
                )
                factors = [product.factor(d_gate) for d_gate in d_gates]
                return (_open(z) * d_hidden, *factors), (*factors, product.factor(d_candidate))

            none = product.factor(tf.zeros_like(d_hidden))
            given_back = [array.__getitem__ for array in (d_outputs, zr, inner, candidates, hiddens)]
            states = d_hidden, *[none] * 3  # as in `lstm`
            (d_hidden, *later), (*d_gates, d_candidate) = _loop(
                back, steps, given_back, states, kept=[units] * 4, kind=none.dtype, backwards=True
            )
            d_hidden += product(*later)
            d_z, d_r, d_inner = d_gates
            return (
                *_weight_gradients(given, ids, hiddens, d_gates, d_given=(d_z, d_r, d_candidate)),
                tf.reduce_sum(unpacked(d_inner), (0, 2)),
                d_hidden,
            )

        return (_shifted(hiddens, hidden), hidden), gradient

    outputs, hidden = run(given, kernel, bias, hidden)
    return outputs, hidden


def _open(halved: Tensor) -> Tensor:
    """Return the sigmoid of a sum, from tanh(sum / 2)."""
    return 0.5 * halved + 0.5


def _slope(halved: Tensor) -> Tensor:
    """Return the derivative of the sigmoid of a sum, from tanh(sum / 2)."""
    return 0.25 - 0.25 * halved * halved


def _reader(given: Tensor, ids: Tensor | None, scale: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function from a time to the gates' scaled inputs of that step, `[gates, rows]`.

    Args:
        given, ids: As in `lstm`.
        scale: `[gates, 1]`.
    """
    if ids is None:
        return lambda time: given[time] * scale
    table = given * scale[:, 0]  # [vocabulary, gates]
    return lambda time: tf.transpose(tf.gather(table, ids[time]))


def _weight_gradients(
    given: Tensor,
    ids: Tensor | None,
    hiddens: Tensor,
    d_gates: Sequence[Tensor],
    *,
    d_given: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `given` and of the recurrent kernel.

    Args:
        given, ids: As in `lstm`.
        hiddens: The factors of the kernel's product, `[time, units, rows]`.
        d_gates: For each gate, the gradient of the product with the kernel, `[time, units, rows]`.
        d_given: Gradients of the input of a step, where they differ from `d_gates`.
    """
    if ids is None:
        return unpacked(tf.concat(d_given or d_gates, axis=1)), _summed_products(hiddens, d_gates)
    # A table is a kernel for one-hot inputs, [time, vocabulary, rows].
    vocabulary = given.shape[0]
    one_hot = tf.one_hot(ids, vocabulary, axis=1, dtype=given.dtype)
    if d_given is not None:
        return _summed_products(one_hot, d_given), _summed_products(hiddens, d_gates)
    both = _summed_products(
        tf.concat([one_hot, hiddens], axis=1), d_gates
    )  # one product is faster than two
    return both[:vocabulary], both[vocabulary:]


def _summed_products(left: Tensor, d_gates: Sequence[Tensor]) -> Tensor:
    """Return the products of `left` and of all gates, summed over time and rows: `[left, gates]`."""
    flat = _flat(left)
    return tf.concat([contracted(flat, _flat(d_gate)) for d_gate in d_gates], axis=1)


def _flat(array: Tensor) -> Tensor:
    """Return `[time, features, rows]` as `[features, time * rows]`."""
    features = array.shape[1]
    return tf.reshape(tf.transpose(array, (1, 0, 2)), [features, -1])


def _shifted(before: Tensor, last: Tensor) -> Tensor:
    """Return a state after each step, from that before each step and the last: `[time, units, rows]`."""
    return tf.concat([before[1:], last[None]], axis=0)


def _steps(given: Tensor, ids: Tensor | None) -> Tensor | int:
    first = given if ids is None else ids
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def _loop(
    step: Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]],
    steps: Tensor | int,
    given: Sequence[Callable[[Tensor], Tensor]],
    states: Sequence[Tensor],
    *,
    kept: Sequence[int],
    kind: Any = None,
    backwards: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Call `step(given, *states) -> (states, kept)` for each time.

    Args:
        step: Takes and returns arrays `[features, rows]`.
        steps: Number of calls.
        given: Functions from a time to what `step` is given then. They are called one step ahead: a
            loop of XLA that computes with slices of a long array is not vectorised.
        states: Before the first call.
        kept: Features of each array that a step returns to be kept.
        kind: Their type, where it is not that of the states.
        backwards: Go from the last time to the first.

    Returns:
        The states after the last call, and the kept arrays of all times, `[time, features, rows]`.
    """
    rows, kind = states[0].shape[1], kind or states[0].dtype
    arrays = [tf.TensorArray(kind, size=steps, element_shape=(width, rows)) for width in kept]

    def at(count: Tensor) -> Tensor:
        return steps - 1 - count if backwards else count

    def read(count: Tensor) -> list[Tensor]:
        return [reader(at(count)) for reader in given]

    def body(count: Tensor, now: Sequence[Tensor], states: Sequence[Tensor], arrays: Any) -> Any:
        states, values = step(now, *states)
        time = at(count)
        arrays = [array.write(time, value) for array, value in zip(arrays, values, strict=True)]
        return count + 1, read(tf.minimum(count + 1, steps - 1)), list(states), arrays

    _, _, states, arrays = tf.while_loop(
        lambda count, *_: count < steps, body, (tf.constant(0), read(0), list(states), arrays)
    )
    return list(states), [array.stack() for array in arrays]
