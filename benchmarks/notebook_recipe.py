"""Train as the reference notebook does, with stock Keras, and write the weights of each epoch.

    python benchmarks/notebook_recipe.py DIRECTORY EPOCHS UNITS

DIRECTORY holds training.txt and held_out.txt; epoch-NNN.npz appear there, with the seconds of training
since the start of the process. The recipe: windows of 101 characters, shuffled in a buffer of 10,000,
batches of 64; Embedding 256, a stateful LSTM, Dense; Adam at Keras' 1e-3; nothing else.
"""

# ruff: noqa: E402 - the imports are part of the time
import time

BEGUN = time.monotonic()

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

BATCH, SEQUENCE, BUFFER = 64, 100, 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and write after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, nargs="?")
    parser.add_argument("epochs", type=int, nargs="?", default=20)
    parser.add_argument("units", type=int, nargs="?", default=1024)
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    if given.check:
        with tempfile.TemporaryDirectory() as place:
            text = Path(__file__).read_text()
            (Path(place) / "training.txt").write_text(text * 3)  # more than a batch
            (Path(place) / "held_out.txt").write_text(text)
            train(Path(place), epochs=1, units=4)
    elif given.directory is None:
        parser.error("give DIRECTORY")
    else:
        train(given.directory, given.epochs, given.units)


def train(directory: Path, epochs: int, units: int) -> None:
    """Train on a directory's text and write the weights of each epoch there."""
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
    model.fit(data, epochs=epochs, callbacks=[keep], shuffle=False, verbose=2)


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
