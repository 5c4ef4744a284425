"""One writer at a time: a lock file that goes with its process, however that ends."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lstmega.errors import RunError

try:
    import fcntl
except ImportError:  # Windows: two trainings in one directory are the user's care
    fcntl = None  # type: ignore[assignment]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file, which is made if it is not there and says the process's number.

    Raises:
        RunError: Another process holds it, or it is no regular file.
        OSError: The disk refuses, or the path is a link.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RunError(f"{path} is no regular file.")
        _lock(file, path)
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        yield


def _lock(file: Any, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = file.read(20).decode("ascii", "replace").strip() or "unknown"
        raise RunError(f"Another training (process {holder}) writes to {path.parent}.") from error
    except OSError:  # a file system without locks, NFS for one: as on Windows
        return
