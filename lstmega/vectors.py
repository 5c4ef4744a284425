"""Sequences of number vectors, from `.npz` files and MNIST's own; nothing in them is believed."""

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.errors import CorpusError

Vectors = npt.NDArray[np.float32]

_BYTES = 0x08  # an idx file's number type: the only one that MNIST has


def archive(raw: bytes, path: Path, *, needs_labels: bool = True) -> Iterator[tuple[str, Vectors]]:
    """Return (label, vectors) of an `.npz` file's arrays x and y; without y all labels are 0.

    Raises:
        CorpusError: It has other arrays, other shapes, objects, or numbers that are not finite.
    """
    wanted = {"x", "y"} if needs_labels else {"x"}
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            if not wanted <= set(arrays.files):
                raise CorpusError(
                    f"{path} must have the arrays {sorted(wanted)}. Received: {sorted(arrays.files)}."
                )
            x = arrays["x"]
            y = arrays["y"] if needs_labels else np.zeros(x.shape[:1], int)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusError(f"{path} is no readable .npz file without objects: {error}.") from error
    return pairs(x, y, path)


def pairs(x: npt.NDArray[Any], y: npt.NDArray[Any], path: Path) -> Iterator[tuple[str, Vectors]]:
    """Return (label, vectors `[time, features]`) of examples; pixels (uint8) become numbers from 0 to 1.

    Raises:
        CorpusError: Shapes or types do not fit, or a number is not finite.
    """
    if x.dtype.kind not in "uif" or x.ndim not in (2, 3) or 0 in x.shape:
        raise CorpusError(
            f"{path}: x must be numbers [examples, time] or [examples, time, features]. "
            f"Received: {x.dtype} {list(x.shape)}."
        )
    if y.dtype.kind not in "uiU" or y.shape != x.shape[:1]:
        raise CorpusError(
            f"{path}: y must be a whole number or a text for each of the {len(x):,} examples. "
            f"Received: {y.dtype} {list(y.shape)}."
        )
    vectors = x.reshape(*x.shape[:2], math.prod(x.shape[2:])).astype(np.float32)
    if x.dtype == np.uint8:
        vectors /= 255  # pixels
    finite = np.isfinite(vectors).all(axis=(1, 2))
    if not finite.all():
        place = int(np.argmin(finite))
        raise CorpusError(
            f"{path}, example {place} (from 0): NaN or infinity. Accepted: finite numbers."
        )
    return zip(map(str, y.tolist()), vectors, strict=True)


def idx(raw: bytes, path: Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the array of an idx file, as MNIST has them: big-endian sizes, then bytes.

    Raises:
        CorpusError: It is no such file, of another number of dimensions, cut short or damaged.
    """
    try:
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path} is a damaged gzip file: {error}.") from error
    begin = 4 + 4 * dimensions
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _BYTES:
        raise CorpusError(f"{path} is no idx file of bytes. Received: it begins with {content[:4]!r}.")
    if content[3] != dimensions or len(content) < begin:
        raise CorpusError(f"{path} must have {dimensions} dimensions. Received: {content[3]}.")
    shape = struct.unpack(f">{dimensions}I", content[4:begin])
    if len(content) - begin != math.prod(shape):
        raise CorpusError(
            f"{path} must have {math.prod(shape):,} bytes for {list(shape)}. "
            f"Received: {len(content) - begin:,}."
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)
