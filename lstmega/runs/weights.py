"""Arrays by the names of `weight_shapes` <-> a Keras weights file, which is checked before use."""

import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from lstmega.errors import RunError
from lstmega.runs import hdf5

Weights = dict[str, npt.NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]

LARGEST = 1e6  # far above every trained weight; sums of products of these do not overflow
_KERAS_CLASS = {"lstm": "lstm", "gru": "gru", "rnn": "simple_rnn"}


def read(content: bytes, shapes: Shapes, *, tied: bool = False, where: str) -> Weights:
    """Return the arrays of a `.weights.h5` file.

    Args:
        content: The whole file.
        shapes: Every weight's name and shape, lowest layer first.
        tied: Whether the embedding is Keras' `ReversibleEmbedding`.
        where: The file's name in messages.

    Returns:
        Arrays by the names of `shapes`.

    Raises:
        RunError: It is no HDF5 file as `hdf5` reads it, or an array is missing, of another shape, or
            not finite.
    """
    numbers = sum(map(math.prod, shapes.values()))
    if len(content) < 4 * numbers:  # never allocate more than the file
        raise RunError(f"{where} is shorter than its {numbers:,} numbers.")
    return {
        name: _array(content, path, shapes[name], where)
        for name, path in _keras_paths(shapes, tied).items()
    }


def write(weights: Mapping[str, npt.NDArray[np.float32]], *, tied: bool = False) -> bytes:
    """Return arrays as a `.weights.h5` file that `keras.Model.load_weights` reads.

    It is made in memory: when a disk is full, HDF5's own writing ends the process instead of failing.

    Args:
        weights: Arrays by name, lowest layer first.
        tied: Whether the embedding is Keras' `ReversibleEmbedding`.
    """
    import h5py  # noqa: PLC0415

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:  # as `hdf5` reads
        for name, path in _keras_paths(weights, tied).items():
            file.create_dataset(path, data=weights[name])
    return buffer.getvalue()


def _array(content: bytes, path: str, shape: tuple[int, ...], where: str) -> npt.NDArray[np.float32]:
    try:
        values = hdf5.read(content, path)
    except ValueError as error:
        raise RunError(f"{where} is not a weights file of this model: {error}.") from error
    if values.shape != shape:
        raise RunError(
            f"{where}: {path} must be of shape {list(shape)}. Received: {list(values.shape)}."
        )
    if not (np.abs(values) <= LARGEST).all():
        raise RunError(f"{where}: {path} holds values that are not finite, or above {LARGEST:g}.")
    return values


def _keras_paths(names: Iterable[str], tied: bool) -> dict[str, str]:
    """Return the paths of weights in Keras' file: by class and order of creation, not by layer name."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(name.partition("/")[0], []).append(name)
    counted: Counter[str] = Counter()
    paths: dict[str, str] = {}
    for layer, weights in layers.items():
        kind, inside = _keras_class(layer, tied)
        path = f"layers/{kind}_{counted[kind]}" if counted[kind] else f"layers/{kind}"
        counted[kind] += 1
        paths |= {name: f"{path}/{inside}vars/{number}" for number, name in enumerate(weights)}
    return paths


def _keras_class(layer: str, tied: bool) -> tuple[str, str]:
    """Return a layer's class in Keras' spelling, and the path of its own weights inside."""
    if layer == "embedding":
        return f"{'reversible_' if tied else ''}embedding", ""
    if layer.endswith("_norm"):
        return "layer_normalization", ""
    cell = layer.partition("_")[0]
    return (_KERAS_CLASS[cell], "cell/") if cell in _KERAS_CLASS else ("dense", "")
