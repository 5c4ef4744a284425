"""How well a model predicts a text: total nats over total characters.

Stream protocol: the state is carried from the first character to the last. To use more than one row
the text is cut into lanes, and each lane reads `WARMUP` characters of its predecessor before it counts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.config.options import ModelOptions
from lstmega.data.batching import Plan
from lstmega.display.formatting import bits
from lstmega.errors import UsageError
from lstmega.nn.devices import graph, keras, tf
from lstmega.nn.generator import forward, zero_states
from lstmega.training import pipeline as batches
from lstmega.training.step import counted_nats

WARMUP = 256  # characters
_TIME_STEPS = 128
_MOST_ROWS = 64


@dataclass(frozen=True)
class Loss:
    """What a text cost.

    Args:
        nats: Total, over all predicted characters.
        characters: How many were predicted: all but the first.
    """

    nats: float
    characters: int

    @property
    def nats_per_character(self) -> float:
        """Mean cost in nats."""
        return self.nats / self.characters

    @property
    def bits_per_character(self) -> float:
        """Mean cost in bits."""
        return bits(self.nats_per_character)


class Validator:
    """Measures one text again and again while a model learns.

    Args:
        model: `[ids, *states] -> [logits, *states]`.
        options: The model's.
        ids: The text, `[characters]`.
        plan: What to read of it; `stream` makes one.
    """

    def __init__(
        self, model: keras.Model, options: ModelOptions, ids: npt.NDArray[np.integer], plan: Plan
    ) -> None:
        self._model, self._options = model, options
        self._compiled = graph(self._batch, reduce_retracing=True)
        self._rows = plan.starts.shape[1]
        self._dataset = batches.dataset(ids, plan)

    def __call__(self) -> Loss:
        """Read the text once and return its cost."""
        states, total, count = zero_states(self._options, self._rows), 0.0, 0
        for inputs, targets, carries in self._dataset:
            nats, counted, *states = self._compiled(inputs, targets, carries, states)
            total, count = total + float(nats), count + int(counted)
        return Loss(total, count)

    def _batch(self, inputs, targets, carries, states):
        states = [state * carries[:, None] for state in states]
        logits, *states = forward(self._model, self._options, inputs, states)
        nats = tf.cast(counted_nats(targets, logits), tf.float64)
        return tf.reduce_sum(nats), tf.math.count_nonzero(targets >= 0), *states


def stream(length: int, *, rows: int | None = None, time_steps: int = _TIME_STEPS) -> Plan:
    """Return how a text of `length` ids is read once with the state carried along.

    Args:
        length: At least two.
        rows: Lanes; None takes as many as are worth it.
        time_steps: Characters of a batch; the warm-up is a whole number of them.

    Raises:
        UsageError: The text has no character to predict.
    """
    if length < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {length}.")
    count = length - 1
    rows = rows or min(_MOST_ROWS, max(1, count // (4 * WARMUP)))
    chunks = -(-count // (rows * time_steps))  # of each lane, rounded up
    warmup = -(-WARMUP // time_steps) if rows > 1 else 0
    lanes = np.arange(rows) * chunks * time_steps  # first counted position of each row
    read = (np.arange(chunks + warmup) - warmup) * time_steps
    starts = lanes[None, :] + read[:, None]  # [batches, rows]
    carries = (starts > 0).astype(np.float32)
    carries[0] = 0  # every lane's warm-up begins from the zero state
    left = np.minimum(lanes + chunks * time_steps, count) - starts
    ends = np.where(read[:, None] < 0, 0, left.clip(0, time_steps))
    times = np.full(len(starts), time_steps)
    return Plan(starts, carries, times, np.zeros_like(ends), ends)
