"""How well a model predicts a text: total nats over total characters.

Stream protocol: the state is carried from the first character to the last. To use more than one row
the text is cut into lanes, and each lane reads `WARMUP` characters of its predecessor before it counts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega import batches
from lstmega.devices import keras, tf
from lstmega.display import bits
from lstmega.errors import UsageError
from lstmega.model import forward, zero_states
from lstmega.options import ModelOptions

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
        ids: The text, `[characters]`, at least two.
        time_steps: Characters of a batch; the warm-up is a whole number of them.

    Raises:
        UsageError: The text has no character to predict.
    """

    def __init__(
        self,
        model: keras.Model,
        options: ModelOptions,
        ids: npt.NDArray[np.integer],
        *,
        rows: int | None = None,
        time_steps: int = _TIME_STEPS,
    ) -> None:
        if len(ids) < 2:
            raise UsageError(f"Evaluation needs at least 2 characters. Received: {len(ids)}.")
        self._model, self._options = model, options
        self._compiled = tf.function(self._batch, reduce_retracing=True)
        count = len(ids) - 1
        wanted = min(_MOST_ROWS, max(1, count // (4 * WARMUP)))
        self._rows = rows or wanted
        self._characters = count
        chunks = -(-count // (self._rows * time_steps))  # of each lane, rounded up
        warmup = -(-WARMUP // time_steps) if self._rows > 1 else 0
        lanes = np.arange(self._rows) * chunks * time_steps  # first counted position of each row
        steps = (np.arange(chunks + warmup) - warmup) * time_steps
        starts = lanes[None, :] + steps[:, None]  # [batches, rows]
        carries = (starts > 0).astype(np.float32)
        carries[0] = 0  # every lane's warm-up begins from the zero state
        self._lanes = (
            tf.constant(lanes),
            tf.constant(np.minimum(lanes + chunks * time_steps, count)),
        )
        self._dataset = batches.dataset(ids, starts, carries, time_steps)

    def __call__(self) -> Loss:
        """Read the text once and return its cost."""
        states, total = zero_states(self._options, self._rows), 0.0
        for inputs, targets, carries, starts in self._dataset:
            nats, *states = self._compiled(inputs, targets, carries, starts, states)
            total += float(nats)
        return Loss(total, self._characters)

    def _batch(self, inputs, targets, carries, starts, states):
        states = [state * carries[:, None] for state in states]
        logits, *states = forward(self._model, self._options, inputs, states)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # [rows, time]
        first, end = self._lanes
        positions = starts[:, None] + tf.range(tf.shape(inputs)[1], dtype=tf.int64)
        counted = (positions >= first[:, None]) & (positions < end[:, None])
        return tf.reduce_sum(tf.where(counted, tf.cast(nats, tf.float64), 0.0)), *states
