"""Arrays by our names <-> a Keras weights file, which is checked before it is believed."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.errors import RunError
from lstmega.options import ModelOptions

Weights = dict[str, npt.NDArray[np.float32]]

LARGEST = 1e6  # no trained weight comes near, and no sum of products of such overflows
_KERAS_CLASS = {"lstm": "lstm", "gru": "gru", "rnn": "simple_rnn"}


def read(content: bytes, model: ModelOptions, vocabulary_size: int, *, where: str) -> Weights:
    """Return the arrays of a `.weights.h5` file.

    Args:
        content: The whole file.
        model: What it must be the weights of.
        vocabulary_size: Number of token ids.
        where: The file's name in messages.

    Returns:
        Arrays by the names of `ModelOptions.weight_shapes`.

    Raises:
        RunError: It is no HDF5 file, an array is missing, of another shape or type, not finite, or
            kept outside the file.
    """
    import h5py  # noqa: PLC0415 - a tenth of a second that `runs` and `show` can do without

    if len(content) < 4 * model.parameters(vocabulary_size):  # never allocate more than the file
        raise RunError(f"{where} is shorter than its {model.parameters(vocabulary_size):,} numbers.")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return {
                name: _array(file, _keras_path(model, name), shape, where)
                for name, shape in model.weight_shapes(vocabulary_size).items()
            }
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise RunError(f"{where} is not a weights file of this model: {error}.") from error


def write(weights: Mapping[str, npt.NDArray[np.float32]], model: ModelOptions) -> bytes:
    """Return arrays as a `.weights.h5` file that `keras.Model.load_weights` reads.

    It is made in memory: when a disk is full, HDF5's own writing ends the process instead of failing.

    Args:
        weights: Arrays by the names of `ModelOptions.weight_shapes`.
        model: What they are the weights of.
    """
    import h5py  # noqa: PLC0415

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in weights.items():
            file.create_dataset(_keras_path(model, name), data=array)
    return buffer.getvalue()


def _array(file: Any, path: str, shape: tuple[int, ...], where: str) -> npt.NDArray[np.float32]:
    import h5py  # noqa: PLC0415

    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        if not isinstance(file.get("/".join(parts[:depth]), getlink=True), h5py.HardLink):
            raise RunError(f"{where}: {path} points outside the file.")
    array = file[path]
    if not isinstance(array, h5py.Dataset) or array.is_virtual or array.external:
        raise RunError(f"{where}: {path} must be an array inside the file. Received: {array!r:.80}.")
    if array.shape != shape or array.dtype != np.float32:
        received = f"{array.dtype} {list(array.shape)}"
        raise RunError(f"{where}: {path} must be float32 {list(shape)}. Received: {received}.")
    values: npt.NDArray[np.float32] = array[()]
    if not (np.abs(values) <= LARGEST).all():
        raise RunError(f"{where}: {path} holds values that are not finite, or above {LARGEST:g}.")
    return values


def _keras_path(model: ModelOptions, name: str) -> str:
    """Return where Keras keeps a weight: by class and order of creation, not by layer name."""
    layer, _, weight = name.partition("/")
    if layer == "embedding":
        return f"layers/{'reversible_' if model.tied else ''}embedding/vars/0"
    dense = [*model.hidden_names(), "projection" if model.tied else "logits"]
    if layer in dense:
        return f"{_numbered('dense', dense.index(layer))}/vars/{('kernel', 'bias').index(weight)}"
    if layer in (norms := model.norm_names()):
        path = _numbered("layer_normalization", norms.index(layer))
        return f"{path}/vars/{('gamma', 'beta').index(weight)}"
    path = _numbered(_KERAS_CLASS[model.cell], model.layer_names().index(layer))
    return f"{path}/cell/vars/{('kernel', 'recurrent_kernel', 'bias').index(weight)}"


def _numbered(kind: str, index: int) -> str:
    return f"layers/{kind}_{index}" if index else f"layers/{kind}"
