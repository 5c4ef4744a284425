"""LSTM and GRU over time, feature-major, each with its gradient written by hand.

Every array is `[..., features, rows]`. The input of a step is either projected for all steps at once,
`[time, gates, rows]`, or a row of a table, `[vocabulary, gates]`, by the ids `[time, rows]`.

Each gradient is a factor that is known after the forward pass, computed for all steps together, times
the gradient that comes back through time. So the backward loop has one product and a few multiplications
a step, and the kernel's gradient is one product over all steps.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lstmega.nn.devices import tf

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
        inputs, product = _reader(given, ids), tf.transpose(kernel)  # [4 * units, units]
        steps, units = _steps(given, ids), kernel.shape[0]

        def step(time: Tensor, hidden: Tensor, memory: Tensor) -> Any:
            sums = product @ hidden + inputs(time)  # [4 * units, rows]
            i_f, g, o = tf.split(sums, [2 * units, units, units])
            i_f, g, o = tf.sigmoid(i_f), tf.tanh(g), tf.sigmoid(o)
            i, f = tf.split(i_f, 2)
            new_memory = f * memory + i * g
            return (o * tf.tanh(new_memory), new_memory), (i_f, g, o, hidden, memory)

        (hidden, memory), (i_f, g, o, hiddens, memories) = _loop(
            step, steps, (hidden, memory), kept=[2 * units, units, units, units, units]
        )
        i, f = tf.split(i_f, 2, axis=1)  # each [time, units, rows], like the rest

        def gradient(d_outputs: Tensor, d_hidden: Tensor, d_memory: Tensor) -> Any:
            squashed = tf.tanh(_shifted(memories, memory))
            through = o * (1 - squashed * squashed)  # d hidden / d memory
            of_i, of_f, of_g = i * (1 - i) * g, f * (1 - f) * memories, i * (1 - g * g)
            of_o = o * (1 - o) * squashed

            def back(time: Tensor, d_hidden: Tensor, d_memory: Tensor) -> Any:
                d_hidden = d_hidden + d_outputs[time]
                d_memory = d_memory + d_hidden * through[time]
                d_gates = tf.concat(
                    [factor[time] * d_memory for factor in (of_i, of_f, of_g)] + [of_o[time] * d_hidden],
                    axis=0,
                )  # [4 * units, rows]
                return (kernel @ d_gates, d_memory * f[time]), (d_gates,)

            states, (d_gates,) = _loop(
                back, steps, (d_hidden, d_memory), kept=[4 * units], backwards=True
            )
            return *_weight_gradients(given, ids, hiddens, d_gates), *states

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
        inputs, product = _reader(given, ids), tf.transpose(kernel)  # [3 * units, units]
        steps, units = _steps(given, ids), kernel.shape[0]

        def step(time: Tensor, hidden: Tensor) -> Any:
            x_zr, x_h = tf.split(inputs(time), [2 * units, units])
            h_zr, inner = tf.split(product @ hidden, [2 * units, units])
            zr, inner = tf.sigmoid(x_zr + h_zr), inner + bias[:, None]
            z, r = tf.split(zr, 2)  # each [units, rows]
            candidate = tf.tanh(x_h + r * inner)
            return (z * hidden + (1 - z) * candidate,), (zr, inner, candidate, hidden)

        (hidden,), (zr, inner, candidate, hiddens) = _loop(
            step, steps, (hidden,), kept=[2 * units, units, units, units]
        )
        z, r = tf.split(zr, 2, axis=1)  # each [time, units, rows], like the rest

        def gradient(d_outputs: Tensor, d_hidden: Tensor) -> Any:
            of_z = (hiddens - candidate) * z * (1 - z)
            of_candidate = (1 - z) * (1 - candidate * candidate)
            of_r, of_inner = of_candidate * inner * r * (1 - r), of_candidate * r

            def back(time: Tensor, d_hidden: Tensor) -> Any:
                d_hidden = d_hidden + d_outputs[time]
                d_gates = tf.concat([of[time] * d_hidden for of in (of_z, of_r, of_inner)], axis=0)
                kept = d_gates, of_candidate[time] * d_hidden
                return (kernel @ d_gates + z[time] * d_hidden,), kept

            (d_hidden,), (d_gates, d_candidate) = _loop(
                back, steps, (d_hidden,), kept=[3 * units, units], backwards=True
            )
            d_zr, d_inner = tf.split(d_gates, [2 * units, units], axis=1)
            d_given = tf.concat([d_zr, d_candidate], axis=1)  # [time, 3 * units, rows]
            return (
                *_weight_gradients(given, ids, hiddens, d_gates, d_given=d_given),
                tf.reduce_sum(d_inner, (0, 2)),
                d_hidden,
            )

        return (_shifted(hiddens, hidden), hidden), gradient

    outputs, hidden = run(given, kernel, bias, hidden)
    return outputs, hidden


def _reader(given: Tensor, ids: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Return a function from a time to the gates' inputs of that step, `[gates, rows]`."""
    if ids is None:
        return lambda time: given[time]
    table = tf.transpose(given)  # [gates, vocabulary]
    return lambda time: tf.gather(table, ids[time], axis=1)


def _weight_gradients(
    given: Tensor, ids: Tensor | None, hiddens: Tensor, d_gates: Tensor, *, d_given: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of `given` and of the recurrent kernel.

    Args:
        given, ids: As in `lstm`.
        hiddens: The factors of the kernel's product, `[time, units, rows]`.
        d_gates: Gradient of the product with the kernel, `[time, gates, rows]`.
        d_given: Gradient of the input of a step, where it differs from `d_gates`.
    """
    if ids is None:
        return (d_gates if d_given is None else d_given), _product(hiddens, d_gates)
    # A table is a kernel for one-hot inputs, [time, vocabulary, rows].
    vocabulary = given.shape[0]
    one_hot = tf.one_hot(ids, vocabulary, axis=1, dtype=given.dtype)
    if d_given is not None:
        return _product(one_hot, d_given), _product(hiddens, d_gates)
    both = _product(tf.concat([one_hot, hiddens], axis=1), d_gates)  # one product is faster than two
    return both[:vocabulary], both[vocabulary:]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return the products of two features, summed over time and rows: `[left, right]`."""
    return tf.matmul(_flat(left), _flat(right), transpose_b=True)


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
    states: Sequence[Tensor],
    *,
    kept: Sequence[int],
    backwards: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Call `step(time, *states) -> (states, kept)` for each time.

    Args:
        step: Takes and returns arrays `[features, rows]`.
        steps: Number of calls.
        states: Before the first call.
        kept: Features of each array that a step returns to be kept.
        backwards: Go from the last time to the first.

    Returns:
        The states after the last call, and the kept arrays of all times, `[time, features, rows]`.
    """
    rows, kind = states[0].shape[1], states[0].dtype
    arrays = [tf.TensorArray(kind, size=steps, element_shape=(width, rows)) for width in kept]

    def body(count: Tensor, states: Sequence[Tensor], arrays: Sequence[Any]) -> Any:
        time = steps - 1 - count if backwards else count
        states, values = step(time, *states)
        arrays = [array.write(time, value) for array, value in zip(arrays, values, strict=True)]
        return count + 1, list(states), arrays

    _, states, arrays = tf.while_loop(
        lambda count, *_: count < steps, body, (tf.constant(0), list(states), arrays)
    )
    return list(states), [array.stack() for array in arrays]
