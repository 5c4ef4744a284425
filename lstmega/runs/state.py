"""The exact training state: one atomic directory per save, for resuming only.

    state/step-00001200/
        arrays.safetensors  weights, optimizer, recurrent states, dropout seeds; no pickle
        state.json          step, losses so far, and the sha256, shape and type of every array

Only whole directories get their name. A state with a wrong hash is skipped for the one before.
"""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from lstmega import files
from lstmega.display.history import HistoryRow
from lstmega.errors import DamageError, RunError
from lstmega.runs import reading, schema

SCHEMA = 1
KEPT = 2
Arrays = Mapping[str, npt.NDArray[np.generic]]

_ARRAYS, _STATE = "arrays.safetensors", "state.json"
_MAX_HEADER = 1 << 20  # bytes of arrays.safetensors beyond the arrays
_MAX_STATE = 64 << 20  # bytes of state.json: its history has a quarter of a kilobyte for each validation


@dataclass(frozen=True)
class ArrayInfo:
    """Hash, shape and type of an array, checked when it is read."""

    sha256: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class TrainingState:
    """The position of a training, apart from its arrays.

    Args:
        step: Steps done.
        total_steps: Steps of the whole run; `--minutes` fixed them once.
        text_sha256: sha256 of the training data.
        vocabulary_sha256: sha256 of the vocabulary.
        nats: Sum of the losses since the last validation.
        losses: Number of these losses.
        smooth: Smoothed loss, for the display.
        busy: Seconds spent on these steps.
        seconds: Training time so far.
        history: One row for each validation.
        samples: The content of samples.txt.
        versions: Versions of the libraries that computed it.
        arrays: Every array of arrays.safetensors.
    """

    step: int
    total_steps: int
    text_sha256: str
    vocabulary_sha256: str
    nats: float
    losses: int
    smooth: float | None
    busy: float
    seconds: float
    history: tuple[HistoryRow, ...]
    samples: str
    versions: Mapping[str, str]
    arrays: Mapping[str, ArrayInfo] = field(default_factory=dict)


def save(directory: Path, state: TrainingState, arrays: Arrays) -> Path:
    """Write a state, then remove all but it and the newest one before it.

    Args:
        directory: `state/` of the run; made if it is not there.
        state: All but `arrays`, which is filled in.
        arrays: By name.

    Raises:
        OSError: Writing fails; the earlier states are unchanged.
    """
    directory.mkdir(exist_ok=True)
    infos = {name: _info(array) for name, array in arrays.items()}
    content = dataclasses.asdict(dataclasses.replace(state, arrays=infos))
    path = directory / f"step-{state.step:08d}"
    with files.replacing(path) as temporary:
        temporary.mkdir()
        (temporary / _ARRAYS).write_bytes(safetensors.numpy.save(dict(arrays)))
        (temporary / _STATE).write_bytes(schema.seal(content, SCHEMA))
    before = [old for old in paths(directory) if old.name < path.name]
    for old in set(paths(directory)) - {path, *before[: KEPT - 1]}:
        files.remove(old)
    return path


def set_aside(path: Path) -> None:
    """Give a state that cannot be read a name that `paths` does not list."""
    files.remove(aside := path.with_name(f"damaged-{path.name}"))
    path.replace(aside)


def paths(directory: Path) -> list[Path]:
    """Return the state directories, newest first."""
    if not directory.is_dir():
        return []
    return sorted((one for one in directory.iterdir() if one.match("step-*")), reverse=True)


def load(path: Path, shapes: Mapping[str, tuple[Sequence[int], str]]) -> tuple[TrainingState, Arrays]:
    """Read a state, and check everything in it.

    Args:
        path: One of `paths`.
        shapes: Name -> (shape, type) of every array that is expected.

    Raises:
        DamageError: A file is missing, damaged or cannot be read.
        RunError: It is of a newer schema or another model.
    """
    with reading.guarded(path, DamageError):
        where, content = str(path / _STATE), files.read(path / _STATE, _MAX_STATE)
        fields = schema.unseal(content, SCHEMA, where)
        state = schema.build(TrainingState, fields, where)
        if path.name != f"step-{state.step:08d}":
            raise DamageError(f"{path} holds the state of step {state.step}.")
        return state, _read_arrays(path / _ARRAYS, state.arrays, shapes)


def _info(array: npt.NDArray[np.generic]) -> ArrayInfo:
    digest = hashlib.sha256(np.ascontiguousarray(array).data)
    return ArrayInfo(digest.hexdigest(), array.shape, str(array.dtype))


def _read_arrays(
    path: Path, infos: Mapping[str, ArrayInfo], shapes: Mapping[str, tuple[Sequence[int], str]]
) -> Arrays:
    size = sum(math.prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes.values())
    content = files.read(path, size + _MAX_HEADER)
    if len(content) <= size:
        raise DamageError(f"{path} is cut short.")
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError) as error:  # the key is a type that NumPy lacks
        raise DamageError(f"{path} is damaged: {error}.") from error
    if set(arrays) != set(shapes) or set(infos) != set(shapes):
        raise RunError(f"{path} is not of this model: {sorted(set(arrays) ^ set(shapes))[:4]}.")
    for name, array in arrays.items():
        shape, kind = shapes[name]
        if array.shape != tuple(shape) or str(array.dtype) != kind:
            received = f"{array.dtype} {list(array.shape)}"
            raise RunError(f"{path}: {name} must be {kind} {list(shape)}. Received: {received}.")
        if _info(array) != infos[name]:
            raise DamageError(f"{path} is damaged: {name} differs from its sha256 in {_STATE}.")
    return arrays
