"""Compiled steps, kept for the next training of the same shape.

XLA compiles a step for some seconds, in some 100 MiB. TensorFlow can keep what it compiled on CPUs in a
directory and load it again, but a damaged file there ends the training, as does a directory that
cannot be written. So it gets a temporary directory of this process; copies of what earlier processes
kept, with the right checksums, are put there before a training, and what is new is kept after its first
step. In between a killed process leaves them behind.

TensorFlow reads the directory's name once, while it is imported, for all functions of the process that
XLA compiles for a CPU.
"""

import atexit
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from lstmega import files
from lstmega.nn import processor

DIRECTORY = "LSTMEGA_CACHE"  # names the directory of caches; where it is empty, nothing is kept

_FLAGS = "TF_XLA_FLAGS"
_PLACE, _DEVICES = "--tf_xla_persistent_cache_directory", "--tf_xla_persistent_cache_device_types"
_FILES = "xla_compile_cache__*.pb"  # as TensorFlow names them
_MOST = 1 << 25  # bytes that are kept
_FREE = 1 << 27  # bytes that are free for temporary files, at least
_PROCESSOR = (  # of x86, then of ARM
    *("model name", "cpu family", "model", "stepping", "flags"),
    *("cpu implementer", "cpu part", "features"),
)


class Executables:
    """Machine code that XLA compiled: in this process, and in earlier ones that kept it.

    In a fork of the process nothing is copied or kept; TensorFlow shares the directory with it.

    Args:
        root: Directory of what is kept, with one for each kind of machine and version.
        own: Directory that TensorFlow reads and writes.
    """

    def __init__(self, root: Path, own: Path) -> None:
        self._root, self._own, self._process = root, own, os.getpid()
        self._kept: Path | None = None
        self._known: set[str] = set()

    def reuse(self, *conditions: object) -> None:
        """Offer TensorFlow what was kept under the same conditions.

        Args:
            conditions: All that decides what XLA makes of a graph, beside the processor.
        """
        if os.getpid() != self._process:
            return
        described = processor.fields()
        model = platform.machine(), *(described.get(name) for name in _PROCESSOR)
        everything = repr((*conditions, *model))
        self._kept = self._root / sha256(everything.encode()).hexdigest()[:16]
        with suppress(OSError):
            self._own.mkdir(mode=0o700, exist_ok=True)
            for path in self._kept.glob(f"{_FILES}.*") if _is_own(self._kept) else ():
                content = path.read_bytes()
                if sha256(content).hexdigest() == path.suffix[1:]:
                    (self._own / path.stem).write_bytes(content)
                    self._known.add(path.stem)
                    os.utime(path)  # the last use
                else:
                    path.unlink()

    def keep(self) -> None:
        """Keep what was compiled since, and clear the directory; what fails is not kept."""
        if self._kept is None or os.getpid() != self._process:
            return
        with suppress(OSError):
            for path in self._own.glob(_FILES):
                if path.name not in self._known:
                    content = path.read_bytes()
                    self._kept.mkdir(mode=0o700, parents=True, exist_ok=True)
                    if not _is_own(self._kept):
                        break
                    files.write(self._kept / f"{path.name}.{sha256(content).hexdigest()}", content)
            self._forget()
        self._known.clear()
        self.close()

    def _forget(self) -> None:
        """Remove what was not used for longest, beyond the limit."""
        found = [(path.stat(), path) for path in self._root.glob(f"*/{_FILES}.*")]
        size = 0
        for status, path in sorted(found, key=lambda one: -one[0].st_mtime):
            size += status.st_size
            if size > _MOST:
                path.unlink()

    def close(self) -> None:
        """Remove the directory; TensorFlow makes it anew where it needs it."""
        if os.getpid() == self._process:
            shutil.rmtree(self._own, ignore_errors=True)


@contextmanager
def opened() -> Iterator[Executables | None]:
    """Give TensorFlow a directory while the block imports it.

    Yields:
        The executables of the process; None where nothing can be kept: TensorFlow is there already or
        its flags are in a file or name a directory, the system is not Linux, or there is no place.
    """
    given, root = os.environ.get(_FLAGS), _root()
    own = None if root is None or "tensorflow" in sys.modules else _directory(given or "")
    if root is None or own is None:
        yield None
        return
    executables = Executables(root, own)
    atexit.register(executables.close)
    os.environ[_FLAGS] = f"{given or ''} {_PLACE}={own} {_DEVICES}=CPU".strip()
    try:
        yield executables
    finally:
        if given is None:
            del os.environ[_FLAGS]
        else:
            os.environ[_FLAGS] = given


def _root() -> Path | None:
    """Return the directory of what is kept, whether it is there or not."""
    if not sys.platform.startswith("linux"):  # the processor is known there
        return None
    given, base = os.environ.get(DIRECTORY), Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given is not None:
        return Path(given).absolute() / "xla" if given else None
    try:
        base = base if base.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return base / "lstmega" / "xla"


def _directory(flags: str) -> Path | None:
    """Make a temporary directory that can stand in TensorFlow's flags beside others."""
    if _PLACE in flags or (flags.strip() and not flags.strip().startswith("-")):  # a file of flags
        return None
    try:
        place = tempfile.gettempdir()
        if any(character.isspace() or character in "\"'\\" for character in place):
            return None  # TensorFlow would split the name
        if shutil.disk_usage(place).free < _FREE:
            return None
        return Path(tempfile.mkdtemp(prefix="lstmega-xla-"))
    except OSError:
        return None


def _is_own(directory: Path) -> bool:
    """Return whether only this user can have written the machine code in a directory that exists."""
    found = directory.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o022
