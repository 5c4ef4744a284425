"""What a training leaves on disk: Keras' ModelCheckpoint made atomic, and its exact state."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega import files
from lstmega.nn import generator as model
from lstmega.nn.devices import keras
from lstmega.runs import directory as directories
from lstmega.runs import weights
from lstmega.runs.directory import RunDirectory
from lstmega.runs.record import SavedWeights
from lstmega.training.step import Carried


class RunCheckpoint(keras.callbacks.ModelCheckpoint):
    """Save the weights of every validation once each, and name them and the best in run.json.

    Keras' own callback writes over the only good file; this one writes beside it, renames, and then
    moves the pointer. The files are Keras' (`load_weights` reads them), without the optimizer.

    Args:
        run: Where to save.
        network: The model whose weights are saved.
        monitor: The logged loss that decides which weights are the best.
    """

    def __init__(self, run: RunDirectory, network: keras.Model, *, monitor: str) -> None:
        pattern = run.weights_path("epoch-{epoch:03d}.weights.h5")
        super().__init__(pattern, monitor=monitor, mode="min", save_weights_only=True)
        self._run, self._network = run, network

    def _save_model(self, epoch, batch, logs):  # Keras' hook: (epoch from 0, None, logs)
        position = {"epoch": epoch + 1, "step": int(logs["step"])}
        path = self._run.weights_path(
            directories.weights_name(**position, whole=bool(logs["whole_epoch"]))
        )
        content = weights.write(model.weights(self._network), tied=self._run.record.tied)
        files.write(path, content)
        digest, nats = hashlib.sha256(content).hexdigest(), float(logs[self.monitor])
        self._run.add_weights(SavedWeights(path.name, digest, nats=nats, **position))


class Snapshot:
    """Every number that decides how a training goes on, by name and in a fixed order.

    Weights and dropout seeds (`network`), Adam's slots, step and rate (`optimizer`), the recurrent
    states of all lanes (`lanes`). Named by position: Keras' own names count what was built before.

    Args:
        network: The model.
        optimizer: Built.
        carried: The states of the lanes, where there are any.
    """

    def __init__(
        self, network: keras.Model, optimizer: keras.optimizers.Optimizer, carried: Carried | None
    ) -> None:
        self._variables = {
            f"{kind}/{number:03d}": variable
            for kind, owner in (("network", network), ("optimizer", optimizer))
            for number, variable in enumerate(owner.variables)
        }
        self._carried = carried

    def take(self) -> dict[str, npt.NDArray[Any]]:
        """Return a copy of everything."""
        arrays = {name: np.array(variable.numpy()) for name, variable in self._variables.items()}
        if self._carried is None:
            return arrays
        return arrays | {f"lanes/{i:03d}": state for i, state in enumerate(self._carried.numpy())}

    def put_back(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Make everything as it was; `arrays` must have the names and shapes of `take`."""
        for name, variable in self._variables.items():
            variable.assign(arrays[name])
        if self._carried is not None:
            self._carried.assign([arrays[name] for name in sorted(arrays) if name.startswith("lanes/")])
