"""Files and directories that are whole or absent: write to a temporary name, fsync, rename.

A reader finds the old bytes or the new ones, never a part, however the writer ends. The rename protects
against `kill -9`, the fsyncs against a power cut.
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
        path: The final name, in a directory that exists. The temporary path may become a file or a
            directory of files; a directory replaces nothing.

    Raises:
        OSError: The disk failed; the temporary is removed and `path` is as it was.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name}")
    remove(temporary)  # of a killed process with the same number, or a planted link
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
    """Return the content of a regular file, not a link, of at most `most` bytes.

    Raises:
        OSError: It is missing, too large, not a regular file, or cannot be read.
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
    """Remove a file or a directory, if there is one; a directory is renamed first, which is atomic."""
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-removed-{path.name}")
        if not path.name.startswith(TEMPORARY_PREFIX):
            path = path.replace(doomed)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Write `path` (a file, or a directory's entries) to the disk, for a power cut."""
    if os.name == "nt":  # a directory cannot be opened there, nor a file that is open for reading
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of killed writers in `directory`."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        remove(path)
