"""TensorFlow, imported quietly, and where it computes: device, threads, strategy.

Every other module takes `keras` and `tf` from here. TensorFlow's start-up lines go to file descriptor 2,
past every logging setting, so the descriptor itself is turned aside while it loads.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lstmega.config.base import check_int, usage_error
from lstmega.errors import LstmegaError, UsageError

DeviceChoice = Literal["auto", "cpu", "gpu"]


@contextmanager
def quiet() -> Iterator[None]:
    """Turn file descriptor 2 aside; what it caught comes out only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:  # not for Ctrl-C: nobody wants TensorFlow's lines then
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise LstmegaError(
        f"lstmega trains with TensorFlow. Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']}. "
        "Unset it, or set it to tensorflow."
    )
with quiet():
    import keras
    import tensorflow as tf

    # The first question wakes the GPU driver, which has lines of its own.
    tf.config.list_physical_devices("GPU")
if keras.config.backend() != "tensorflow":
    raise LstmegaError(
        f"Keras was imported with the backend {keras.config.backend()} before. Import lstmega first."
    )


@dataclass(frozen=True)
class Device:
    """Where a training computes.

    Args:
        kind: `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; CPU results repeat for the same number.
        strategy: What places variables and runs steps; several replicas share the rows of a batch.
    """

    kind: Literal["cpu", "gpu"]
    threads: int
    strategy: "tf.distribute.Strategy"

    @property
    def replicas(self) -> int:
        """Devices that share a batch."""
        return int(self.strategy.num_replicas_in_sync)

    def __str__(self) -> str:
        if self.kind == "cpu":
            return f"CPU, {self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.replicas} GPU{'s' * (self.replicas != 1)}"


def choose(device: DeviceChoice = "auto", *, threads: int | None = None, rows: int = 1) -> Device:
    """Decide where to train.

    Args:
        device: `auto` takes GPUs where TensorFlow sees one.
        threads: Threads of one operation on the CPU; None leaves TensorFlow's choice, the cores.
        rows: Rows of a batch; as many GPUs are used as divide them.

    Raises:
        UsageError: `gpu` and there is none; `cpu` after TensorFlow has started with a GPU, or `threads`
            after it has started with others.
    """
    if device not in get_args(DeviceChoice):
        raise usage_error("--device", "one of: " + ", ".join(get_args(DeviceChoice)), device)
    _set_threads(threads)
    gpus = tf.config.get_visible_devices("GPU")
    if device == "gpu" and not gpus:
        raise UsageError(
            "--device gpu: TensorFlow sees no GPU here, or a training with --device cpu hid it from "
            "this process. Use --device cpu or auto, or a fresh process."
        )
    if device == "cpu" or not gpus:
        _hide_gpus()
        return Device("cpu", _threads(), tf.distribute.OneDeviceStrategy("/cpu:0"))
    used = max(n for n in range(1, len(gpus) + 1) if rows % n == 0)
    names = [f"/gpu:{index}" for index in range(used)]
    if used == 1:
        return Device("gpu", _threads(), tf.distribute.OneDeviceStrategy(names[0]))
    return Device("gpu", _threads(), tf.distribute.MirroredStrategy(names))


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    threads = check_int("--threads", threads, 1, 4096)
    if threads == tf.config.threading.get_intra_op_parallelism_threads():
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise UsageError(
            f"--threads {threads}: TensorFlow has already started with {_threads()} in this process; "
            "set the threads in a fresh one."
        ) from error


def _hide_gpus() -> None:
    """Let nobody see the GPUs: recurrent layers take cuDNN wherever there is one."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise UsageError(
            "--device cpu: TensorFlow has already started with a GPU in this process; train on the CPU "
            "in a fresh one."
        ) from error


def _threads() -> int:
    return tf.config.threading.get_intra_op_parallelism_threads() or _cores()


def _cores() -> int:
    """Return the cores that this process may use, where the system can tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def graph(function: Callable[..., Any], **options: Any) -> Any:
    """Return `tf.function(function, **options)` that may be traced for several shapes without a warning.

    Lengths differ, they are few, and TensorFlow would count those of all models of a process together.
    """
    made = tf.function(function, **options)
    made._omit_frequent_tracing_warning = True  # what it is called in TensorFlow 2.21
    return made
