"""Keras' ModelCheckpoint, made atomic and told to the run."""

import keras

from lstmega import files, runs
from lstmega.records import SavedWeights
from lstmega.runs import Run


class RunCheckpoint(keras.callbacks.ModelCheckpoint):
    """Save the weights of every validation once each, and name them and the best in run.json.

    Keras' own callback writes over the only good file; this one writes beside it, renames, and then
    moves the pointer. Only weights are saved, no optimizer: `network` is not the compiled model.

    Args:
        run: Where to save.
        network: The model whose weights are saved.
        monitor: The logged loss that decides which weights are the best.
    """

    def __init__(self, run: Run, network: keras.Model, *, monitor: str) -> None:
        pattern = run.weights_path("epoch-{epoch:03d}.weights.h5")
        super().__init__(pattern, monitor=monitor, mode="min", save_weights_only=True)
        self._run, self._network = run, network

    def _save_model(self, epoch, batch, logs):  # Keras' hook: (epoch from 0, None, logs)
        position = {"epoch": epoch + 1, "step": int(logs["step"])}
        path = self._run.weights_path(runs.weights_name(**position, whole=bool(logs["whole_epoch"])))
        with files.replacing(path, suffix=".weights.h5") as temporary:
            self._network.save_weights(temporary)
        nats = float(logs[self.monitor])
        self._run.add_weights(SavedWeights(path.name, files.sha256(path), nats=nats, **position))
