"""Files and directories that are whole or absent: write to a temporary name, fsync, rename.

A reader that opens a name finds the old bytes or the new ones, never half of them, whatever kills the
writer. `kill -9` needs only the rename; a power cut also needs the fsyncs.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    Args:
        path: The final name. Its directory must exist. What is made at the temporary path may be a
            file or a directory of files; a directory takes the place of none but an absent one.

    Raises:
        OSError: Whatever the disk says; the temporary is gone and `path` is as it was.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    remove(temporary)  # of a killed process with the same number, or a link that somebody laid there
    try:
        yield temporary
        for made in temporary.iterdir() if temporary.is_dir() else ():
            sync(made)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        remove(temporary)
        raise


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read(path: Path, most: int) -> bytes:
    """Return the content of a regular file that is no link and has at most `most` bytes.

    Raises:
        OSError: It is missing, too large, no regular file, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", str(path))
        if status.st_size > most:
            raise OSError(
                errno.EFBIG, f"It is larger than it can be ({status.st_size:,} bytes)", str(path)
            )
        return file.read(status.st_size)


def remove(path: Path) -> None:
    """Remove a file or a directory, if there is one; a directory first loses its name at once."""
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-removed-{path.name}")
        if not path.name.startswith(TEMPORARY_PREFIX):
            path = path.replace(doomed)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Ask the disk to keep `path` (a file, or a directory's entries) through a power cut."""
    if os.name == "nt":  # a directory cannot be opened there, nor a file that is open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits, reading it in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed writer left in `directory` under a temporary name."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        remove(path)
