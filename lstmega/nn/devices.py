"""TensorFlow, imported quietly, and the device that it uses: CPU or GPU, threads, strategy.

Every other module imports `keras` and `tf` from here. TensorFlow writes its start-up lines to file
descriptor 2, past every logging setting, so the descriptor itself is redirected during the import.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lstmega.config.base import check_int, usage_error
from lstmega.config.training import DeviceChoice
from lstmega.errors import LstmegaError, UsageError
from lstmega.nn import executables

__all__ = ["Device", "choose", "graph", "keep_compiled", "keras", "quiet", "tf", "versions", "xla"]


@contextmanager
def quiet() -> Iterator[None]:
    """Redirect file descriptor 2 inside the block; if that fails, `LSTMEGA_DEBUG=1` replays it."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:  # not for Ctrl-C
            if os.environ.get("LSTMEGA_DEBUG") == "1":
                aside.seek(0)
                os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_NEEDED = 2  # GiB of address space that the import takes, rounded up

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise LstmegaError(
        f"lstmega trains with TensorFlow. Received: KERAS_BACKEND={os.environ['KERAS_BACKEND']}. "
        "Unset it, or set it to tensorflow."
    )
try:
    with quiet(), executables.opened() as _executables:
        import keras
        import tensorflow as tf
        from tensorflow.compiler.tf2xla.ops import gen_xla_ops as xla  # not in `tf.raw_ops`

        # The first query starts the GPU driver, which writes lines of its own.
        tf.config.list_physical_devices("GPU")
except Exception as error:
    raise LstmegaError(
        "TensorFlow could not be imported. Received: "
        f"{': '.join([type(error).__name__, *str(error).strip().splitlines()[-1:]])}. "
        f"Needed: {_NEEDED} GiB of memory, and a whole installation of tensorflow and keras."
    ) from error
if keras.config.backend() != "tensorflow":
    raise LstmegaError(
        f"Keras was imported with the backend {keras.config.backend()} before. Import lstmega first."
    )


@dataclass(frozen=True)
class Device:
    """The device of a training.

    Args:
        kind: `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; results repeat bit by bit for the same number.
        strategy: Places variables and runs steps; several replicas share the rows of a batch.
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
    """Choose the device of a training.

    Args:
        device: `auto` takes GPUs where TensorFlow finds some.
        threads: Threads of one operation on the CPU; None takes the cores.
        rows: Rows of a batch; the number of GPUs used divides it.

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
            "--device gpu: TensorFlow finds no GPU here, or a training with --device cpu hid it from "
            "this process. Use --device cpu or auto, or a fresh process."
        )
    if device == "cpu" or not gpus:
        _hide_gpus()
        _reuse_compiled()
        return Device("cpu", _threads(), tf.distribute.OneDeviceStrategy("/cpu:0"))
    used = max(n for n in range(1, len(gpus) + 1) if rows % n == 0)
    names = [f"/gpu:{index}" for index in range(used)]
    one = tf.distribute.OneDeviceStrategy
    return Device(
        "gpu", _threads(), tf.distribute.MirroredStrategy(names) if used > 1 else one(names[0])
    )


def _reuse_compiled() -> None:
    flags, version = os.environ.get("XLA_FLAGS", "").strip(), tf.version
    in_file = flags and not flags.startswith("-")  # whose content is not known
    if _executables is not None and not in_file:
        built = version.VERSION, version.GIT_VERSION, version.COMPILER_VERSION
        _executables.reuse(*built, _threads(), flags)


def keep_compiled() -> None:
    """Keep what XLA compiled in this process, for later ones."""
    if _executables is not None:
        _executables.keep()


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
    """Hide the GPUs from this process: recurrent layers use cuDNN wherever one is visible."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise UsageError(
            "--device cpu: TensorFlow has already started with a GPU in this process; train on the CPU "
            "in a fresh one."
        ) from error


def _threads() -> int:
    """Return TensorFlow's threads of one operation: as set, or the cores that this process may use."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return tf.config.threading.get_intra_op_parallelism_threads() or own


def versions() -> dict[str, str]:
    """Return the versions of TensorFlow and Keras."""
    return {"tensorflow": tf.__version__, "keras": keras.__version__}


def graph(function: Callable[..., Any], **options: Any) -> Any:
    """Return `tf.function(function, **options)` without AutoGraph and the warning about retracing.

    AutoGraph rewrites Python's `if` and `for` on tensors; there are none here, and it takes most of the
    time of tracing. A function is traced once for each of few lengths, and TensorFlow counts the traces
    of all models of a process together.
    """
    made = tf.function(function, autograph=False, **options)
    made._omit_frequent_tracing_warning = True  # the attribute's name in TensorFlow 2.21
    return made
