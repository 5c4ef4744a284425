"""Keras callbacks that a training runs beside the user's: the learning rate, and when to stop."""

from collections.abc import Callable, Sequence

from lstmega.errors import UsageError
from lstmega.nn.devices import keras
from lstmega.training.schedule import Schedule

_OWN_RATES = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


class Rate(keras.callbacks.Callback):
    """Set the optimizer's learning rate before each step, unless it is constant.

    Args:
        schedule: Says the rate of a step.
        step: Says how many steps are done.
    """

    def __init__(self, schedule: Schedule, step: Callable[[], int]) -> None:
        super().__init__()
        self._schedule, self._step = schedule, step

    def on_train_batch_begin(self, batch, logs=None):
        if self._schedule.shape != "constant":
            self.model.optimizer.learning_rate.assign(self._schedule.learning_rate(self._step()))


def early_stopping(monitor: str, patience: int) -> keras.callbacks.EarlyStopping:
    """Return Keras' callback that stops after `patience` validations without a better loss."""
    return keras.callbacks.EarlyStopping(monitor, patience=patience, mode="min")


def check_rates(users: Sequence[keras.callbacks.Callback], schedule: Schedule) -> None:
    """Refuse a user's callback whose learning rate ours would overwrite.

    Raises:
        UsageError: There is one, and the schedule is not constant.
    """
    if schedule.shape != "constant" and any(isinstance(user, _OWN_RATES) for user in users):
        raise UsageError(
            "A callback that sets the learning rate needs --schedule constant. "
            f"Received: --schedule {schedule.shape}."
        )
