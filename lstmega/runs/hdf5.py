"""Float arrays of an HDF5 file, read without the HDF5 library.

Weights may come from strangers, and the library has overflowed on damaged files more than once. This
module reads only what Keras and `weights.write` make: superblock 0, groups as symbol tables, and arrays
of little-endian float32 that lie in the file as one block. Every other structure is refused.

Source: HDF5 File Format Specification, version 3.0, sections II.A (superblock), III.A (B-trees), III.B
and III.D (groups), IV.A (object headers and their messages).
"""

import math
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FLOAT32 = bytes.fromhex("11201f00 04000000 00002000 17080017 7f000000")  # the datatype message
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _FILTERS, _CONTINUATION, _GROUP = 1, 3, 7, 8, 11, 16, 17
_SHARED = 2  # flag of a message that lies elsewhere
_SYMBOLIC_LINK = 2
_MOST_NODES = 1000  # of one group; a file of Keras has one or two
_MOST_BLOCKS = 16  # of one object header


def read(content: bytes, path: str) -> npt.NDArray[np.float32]:
    """Return an array of the file.

    Args:
        content: The whole file.
        path: Names of groups and of the array, joined by "/".

    Raises:
        ValueError: There is no such array, or the file uses what is not accepted.
    """
    if _take(content, 0, 9) != _SIGNATURE + b"\0" or _take(content, 13, 2) != b"\x08\x08":
        raise ValueError("It is no HDF5 file of the earliest version")
    if _number(content, 24):
        raise ValueError("Its addresses do not count from its beginning")
    address = _number(content, 64)
    for name in path.split("/"):
        address = _member(content, address, name, path)
    return _array(content, address, path)


def _array(content: bytes, address: int, path: str) -> npt.NDArray[np.float32]:
    messages = dict(_messages(content, address))
    if messages.get(_DATATYPE, b"")[: len(_FLOAT32)] != _FLOAT32:
        raise ValueError(f"{path} is no array of float32 in little-endian order")
    layout = messages.get(_LAYOUT, b"")
    if layout[:2] != b"\x03\x01" or _FILTERS in messages or _EXTERNAL in messages:
        raise ValueError(
            f"{path} does not lie in the file as one block, but in chunks, compressed or elsewhere"
        )
    shape = _shape(messages.get(_DATASPACE, b""), path)
    start, size = _number(layout, 2), 4 * math.prod(shape)
    if _number(layout, 10) != size or start + size > len(content):
        raise ValueError(f"{path} does not lie in the file as one block, but reaches beyond its end")
    return np.frombuffer(content, "<f4", size // 4, start).reshape(shape).astype(np.float32)


def _shape(message: bytes, path: str) -> tuple[int, ...]:
    version, rank = _take(message, 0, 2)
    if version not in (1, 2) or rank > 3:
        raise ValueError(f"{path} has {rank} axes in a dataspace of version {version}")
    start = 8 if version == 1 else 4
    return tuple(_number(message, start + 8 * axis) for axis in range(rank))


def _member(content: bytes, group: int, name: str, path: str) -> int:
    """Return the address of the object header of a group's member."""
    table = dict(_messages(content, group)).get(_GROUP)
    if table is None:
        raise ValueError(f"{path} is not in it")
    tree, heap = _number(table, 0), _number(table, 8)
    if _take(content, heap, 5) != b"HEAP\0":
        raise ValueError(f"{path}: the names of its group are damaged")
    size, names = _number(content, heap + 8), _number(content, heap + 24)
    wanted = name.encode() + b"\0"
    for entry in _entries(content, tree):
        offset = _number(content, entry)
        start, end = names + offset, names + offset + len(wanted)
        if end <= names + size and content[start:end] == wanted:
            if _number(content, entry + 16, 4) == _SYMBOLIC_LINK:
                raise ValueError(f"{path} is a link")
            return _number(content, entry + 8)
    raise ValueError(f"{path} is not in it")


def _entries(content: bytes, tree: int) -> Iterator[int]:
    """Yield the addresses of the entries of a group's symbol table."""
    nodes = [tree]
    for node in nodes:
        kind, used = _take(content, node, 4), _number(content, node + 6, 2)
        if kind == b"TREE":
            nodes += [_number(content, node + 32 + 16 * number) for number in range(used)]
            if len(nodes) > _MOST_NODES:
                raise ValueError("A group has too many members")
        elif kind == b"SNOD":
            yield from range(node + 8, node + 8 + 40 * used, 40)
        else:
            raise ValueError("A group of it is damaged")


def _messages(content: bytes, address: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and data of the messages of an object header."""
    if _take(content, address, 1) != b"\x01":
        raise ValueError("An object header is damaged, or of another version")
    blocks = [(address + 16, _number(content, address + 8, 4))]
    for visited, (start, length) in enumerate(blocks):
        if visited == _MOST_BLOCKS:
            raise ValueError("An object header has too many parts")
        block, place = _take(content, start, length), 0
        while place + 8 <= length:
            kind, size, flags = struct.unpack_from("<HHB", block, place)
            data = _take(block, place + 8, size)
            if flags & _SHARED:
                raise ValueError("A message of it lies elsewhere")
            if kind == _CONTINUATION:
                blocks.append((_number(data, 0), _number(data, 8)))
            yield kind, data
            place += 8 + size


def _number(content: bytes, address: int, size: int = 8) -> int:
    return int.from_bytes(_take(content, address, size), "little")


def _take(content: bytes, address: int, size: int) -> bytes:
    part = content[address : address + size]
    if len(part) != size:
        raise ValueError("It is cut short, or points beyond its end")
    return part
