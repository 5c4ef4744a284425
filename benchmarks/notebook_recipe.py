"""Train as the reference notebook does, with stock Keras, and write the weights of each epoch.

    python benchmarks/notebook_recipe.py DIRECTORY EPOCHS UNITS

DIRECTORY holds training.txt and held_out.txt; epoch-NNN.npz appear there, with the seconds of training
since the start of the process. The recipe: windows of 101 characters, shuffled in a buffer of 10,000,
batches of 64; Embedding 256, a stateful LSTM, Dense; Adam at Keras' 1e-3; nothing else.
"""

# ruff: noqa: E402 - the imports are part of the time
import sys
import time

BEGUN = time.monotonic()

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

BATCH, SEQUENCE, BUFFER = 64, 100, 10_000


def main() -> None:
    """Train, and write after each epoch."""
    directory, epochs, units = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    training, held_out = ((directory / f"{name}.txt").read_text() for name in ("training", "held_out"))
    characters = sorted(set(training + held_out))
    number = {character: index for index, character in enumerate(characters)}
    ids = np.array([number[character] for character in training])
    keras.utils.set_random_seed(0)
    windows = tf.data.Dataset.from_tensor_slices(ids).batch(SEQUENCE + 1, drop_remainder=True)
    data = (
        windows.map(lambda window: (window[:-1], window[1:]))
        .shuffle(BUFFER)
        .batch(BATCH, drop_remainder=True)
    )
    model = keras.Sequential(
        [
            keras.Input((None,), batch_size=BATCH),
            keras.layers.Embedding(len(characters), 256),
            keras.layers.LSTM(
                units, return_sequences=True, stateful=True, recurrent_initializer="glorot_uniform"
            ),
            keras.layers.Dense(len(characters)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    keep = _Keep(directory)
    model.fit(data, epochs=epochs, callbacks=[keep], verbose=2)


NAMES = (
    "embedding/embeddings", "lstm_1/kernel", "lstm_1/recurrent_kernel", "lstm_1/bias",
    "logits/kernel", "logits/bias",
)  # fmt: skip


class _Keep(keras.callbacks.Callback):
    """Write the weights after each epoch; the time that this takes does not count."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory, self._away = directory, 0.0

    def on_epoch_end(self, epoch, logs=None):
        arrived = time.monotonic()
        arrays = {
            name: np.asarray(variable)
            for name, variable in zip(NAMES, self.model.trainable_variables, strict=True)
        }
        seconds = arrived - BEGUN - self._away
        np.savez(self._directory / f"epoch-{epoch + 1:03d}.npz", seconds=seconds, **arrays)
        self._away += time.monotonic() - arrived


if __name__ == "__main__":
    main()
