"""Keras callbacks that a training runs beside the user's, and the snapshot of its exact state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras
from lstmega.runs import directory, retention, weights
from lstmega.runs.record import SavedWeights
from lstmega.runs.run import Run
from lstmega.training.schedule import Schedule
from lstmega.training.step import CarriedState

_OWN_RATES = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


class LearningRate(keras.callbacks.Callback):
    """Set the optimizer's learning rate before each step, unless it is constant.

    Args:
        schedule: Returns the schedule, which may change.
        step: Returns the number of steps done.
    """

    def __init__(self, schedule: Callable[[], Schedule], step: Callable[[], int]) -> None:
        super().__init__()
        self._schedule, self._step = schedule, step

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Set the rate of the next step."""
        schedule = self._schedule()
        if schedule.shape != "constant":
            self.model.optimizer.learning_rate.assign(schedule.learning_rate(self._step()))


def check_rates(callbacks: Sequence[keras.callbacks.Callback], schedule: Schedule) -> None:
    """Refuse a user's callback whose learning rate the schedule would overwrite.

    Raises:
        UsageError: There is one, and the schedule is not constant.
    """
    if schedule.shape != "constant" and any(isinstance(one, _OWN_RATES) for one in callbacks):
        raise UsageError(
            "A callback that sets the learning rate needs --schedule constant. "
            f"Received: --schedule {schedule.shape}."
        )


class RunCheckpoint(keras.callbacks.ModelCheckpoint):
    """Keras' ModelCheckpoint, made atomic: save the weights of every validation, and rank them.

    Keras' own callback overwrites the only good file; this one writes a new file, renames it, and then
    updates run.json. The files are Keras' (`load_weights` reads them), without the optimizer.

    Args:
        run: The run to save to.
        network: The model whose weights are saved.
        monitor: The logged loss that ranks the weights.
    """

    def __init__(self, run: Run, network: keras.Model, *, monitor: str) -> None:
        pattern = run.weights_path("epoch-{epoch:03d}.weights.h5")
        super().__init__(pattern, monitor=monitor, mode="min", save_weights_only=True)
        self._run, self._network = run, network

    def _save_model(self, epoch: int, batch: int | None, logs: Mapping[str, Any]) -> None:
        """Save; this is Keras' hook, with the epoch counted from 0."""
        position = {"epoch": epoch + 1, "step": int(logs["step"])}
        name = directory.weights_name(**position, whole=bool(logs["whole_epoch"]))
        content = weights.write(weights_of(self._network), tied=self._run.record.tied)
        digest = directory.write(self._run.weights_path(name), content)
        nats = float(logs[self.monitor])
        retention.during_training(self._run, SavedWeights(name, digest, nats=nats, **position))


class Snapshot:
    """Every number that decides how a training continues, by name and in a fixed order.

    Weights and dropout seeds (`network`), Adam's slots, step and rate (`optimizer`), the recurrent
    states of all lanes (`lanes`). Names are positions: Keras' own names depend on the models built
    before.

    Args:
        network: The model.
        optimizer: Built.
        carried: The states of the lanes, where there are any.
    """

    def __init__(
        self, network: keras.Model, optimizer: keras.optimizers.Optimizer, carried: CarriedState | None
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

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set everything; `arrays` must have the names and shapes of `take`."""
        for name, variable in self._variables.items():
            variable.assign(arrays[name])
        if self._carried is not None:
            self._carried.assign([arrays[name] for name in sorted(arrays) if name.startswith("lanes/")])
