"""Sequences of number vectors, read from `.npz` files and MNIST's own files, and checked."""

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lstmega.data import memory
from lstmega.errors import CorpusError

Vectors = npt.NDArray[np.float32]

_BYTES = 0x08  # an idx file's number type: the only one in MNIST
_LARGE = 1 << 28  # bytes up to which an array may be anything, all zeros too
_RATIO = (
    900  # of a larger one to its packed bytes: 1,032 for zeros, 700 for one-hot int64 of 1,024 classes
)
_COPIES = 3  # of an array's numbers as float32, which a training makes


class Where(NamedTuple):
    """A place in a file, for messages: a line (from 1), or an example of arrays (from 0)."""

    path: Path
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{spoken(self.path)}, {self.unit} {self.number}"


def spoken(path: Path) -> str:
    """Return a path for a message, escaped where it is not printable."""
    return str(path) if str(path).isprintable() else repr(str(path))


def archive(
    raw: bytes, path: Path, *, needs_labels: bool = True
) -> Iterator[tuple[Where, str, Vectors]]:
    """Return (place, label, vectors) of an `.npz` file's arrays x and y; without y all labels are 0.

    Raises:
        CorpusError: It has other arrays, other shapes, objects, or numbers that are not finite.
    """
    wanted = ["x", "y"] if needs_labels else ["x"]
    if not raw.startswith(b"PK"):  # numpy reads a single array, too
        raise CorpusError(
            f"{spoken(path)} is no readable .npz file. Received: it begins with {raw[:8]!r}. "
            f"Accepted: a file of numpy.savez with the arrays {wanted}."
        )
    x, *y = _arrays(raw, wanted, path)
    return pairs(x, y[0] if y else np.zeros(x.shape[:1], int), path)


def _arrays(raw: bytes, wanted: list[str], path: Path) -> list[npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as members:
            names = sorted(name.removesuffix(".npy") for name in members.namelist())
            found = [_array(members, name, path) for name in wanted if name in names]
    except CorpusError:
        raise
    except Exception as error:  # of damaged bytes zipfile, zlib and numpy raise a dozen kinds
        raise CorpusError(
            f"{spoken(path)} is no readable .npz file without objects. Received: {str(error)!r:.300}. "
            f"Accepted: a file of numpy.savez with the arrays {wanted}."
        ) from error
    if len(found) < len(wanted):
        raise CorpusError(f"{spoken(path)} must have the arrays {wanted}. Received: {names!r:.300}.")
    return found


def _array(members: zipfile.ZipFile, name: str, path: Path) -> npt.NDArray[Any]:
    """Return an array whose header, size in the archive and memory have been checked before."""
    info = members.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed by another method than numpy's")
    with members.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):  # others may have a header of any length
            raise ValueError(f"{name} is of a newer format than arrays of numbers are")
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        size = math.prod(shape) * kind.itemsize
        if info.file_size - file.tell() != size:
            raise ValueError(
                f"{name} has {info.file_size:,} bytes with its header, not {size:,} besides"
            )
    _check_size(size, info.compress_size, math.prod(shape), path)
    with members.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_size(size: int, packed: int, numbers: int, path: Path) -> None:
    """Refuse an array that is too large for the file that it is in, or for the memory.

    Args:
        size: In bytes.
        packed: Bytes of the file that it is unpacked from.
        numbers: Elements of the array, each of which becomes float32.
        path: The file, for the message.

    Raises:
        CorpusError: It does not fit.
    """
    if size > max(_LARGE, _RATIO * packed):
        raise CorpusError(
            f"{spoken(path)} holds an array that is too large for its file. Received: {size:,} bytes, "
            f"packed into {packed:,}. Accepted: at most {_RATIO} times as many, or {_LARGE:,} in all."
        )
    memory.check(size + _COPIES * 4 * numbers, spoken(path))


def pairs(x: npt.NDArray[Any], y: npt.NDArray[Any], path: Path) -> Iterator[tuple[Where, str, Vectors]]:
    """Return (place, label, vectors `[time, features]`) of examples; uint8 pixels become 0 to 1.

    Raises:
        CorpusError: Shapes or types do not fit, or a number is not finite.
    """
    if x.dtype.kind not in "uif" or x.ndim not in (2, 3) or 0 in x.shape:
        raise CorpusError(
            f"{spoken(path)}: x must be numbers [examples, time] or [examples, time, features]. "
            f"Received: {x.dtype} {list(x.shape)}."
        )
    if y.dtype.kind not in "uiU" or y.shape != x.shape[:1]:
        raise CorpusError(
            f"{spoken(path)}: y must be a whole number or a text for each of the {len(x):,} examples. "
            f"Received: {y.dtype} {list(y.shape)}."
        )
    with np.errstate(all="ignore"):  # numbers too large become infinity, which is refused
        vectors = x.reshape(*x.shape[:2], math.prod(x.shape[2:])).astype(np.float32)
    if x.dtype == np.uint8:
        vectors /= 255  # pixels
    elif x.dtype.kind == "f":
        _check_finite(vectors, path)
    labelled = zip(_texts(y, path), vectors, strict=True)
    return ((Where(path, n, "example"), label, one) for n, (label, one) in enumerate(labelled))


def _check_finite(vectors: Vectors, path: Path) -> None:
    finite = np.isfinite(vectors)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), finite.shape)
        example, time, feature = (int(one) for one in place)
        raise CorpusError(
            f"{spoken(path)}, example {example}, time {time}, feature {feature} (from 0): NaN or "
            f"infinity. Received: {vectors[place]}. Accepted: finite numbers, as float32."
        )


def _texts(y: npt.NDArray[Any], path: Path) -> list[str]:
    try:
        return [str(one) for one in y.tolist()]
    except (ValueError, SystemError) as error:  # numpy accepts numbers that are no characters
        raise CorpusError(f"{spoken(path)}: y holds no text. Received: {error}.") from error


def idx(raw: bytes, path: Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the array of an idx file, the format of MNIST: big-endian sizes, then bytes.

    Raises:
        CorpusError: It is another kind of file, has other dimensions, is cut short or damaged.
    """
    begin = 4 + 4 * dimensions
    packed = raw[:2] == b"\x1f\x8b"
    with gzip.open(io.BytesIO(raw)) if packed else io.BytesIO(raw) as file:
        try:
            head = file.read(begin)
            shape = _idx_shape(head, path, dimensions)
            size = math.prod(shape)
            _check_size(size, len(raw), size, path)
            content = file.read(size)
            received = f"{len(content):,}{' and more' if file.read(1) else ''}"
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"{spoken(path)} is a damaged gzip file: {error}.") from error
    if received != f"{size:,}":
        raise CorpusError(
            f"{spoken(path)} must have {size:,} bytes for {list(shape)}. Received: {received}."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _idx_shape(head: bytes, path: Path, dimensions: int) -> tuple[int, ...]:
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != _BYTES:
        raise CorpusError(
            f"{spoken(path)} is no idx file of bytes. Received: it begins with {head[:4]!r}."
        )
    if head[3] != dimensions or len(head) < 4 + 4 * dimensions:
        raise CorpusError(f"{spoken(path)} must have {dimensions} dimensions. Received: {head[3]}.")
    return struct.unpack(f">{dimensions}I", head[4:])
