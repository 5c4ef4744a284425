"""Compiled steps, kept for the next training of the same shape.

XLA compiles a step for some seconds, in some 100 MiB. TensorFlow can keep what it compiled in a
directory and load it again, but a damaged file there ends the training, as does a directory that
cannot be written. So each process gives TensorFlow a directory of its own; it begins with links to those
files of earlier processes whose checksums are right, and what is new there is kept afterwards.

TensorFlow reads the directory's name once, while it is imported.
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

_FLAGS, _FLAG = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory"
_FILES = "xla_compile_cache__*.pb"  # as TensorFlow names them
_MOST = 1 << 26  # bytes that are kept
_FREE = 1 << 27  # bytes that are free on the disk, at least


class Executables:
    """What TensorFlow compiled in this process and in earlier ones.

    Args:
        root: Directory of what is kept; it has one for each kind of machine and version.
        own: Directory of this process.
    """

    def __init__(self, root: Path, own: Path) -> None:
        self._root, self._own, self._process = root, own, os.getpid()
        self._kept: Path | None = None

    def reuse(self, *conditions: object) -> None:
        """Offer TensorFlow what was kept under the same conditions.

        Args:
            conditions: All that decides what XLA makes of a graph, beside the processor.
        """
        model = platform.machine(), processor.fields().get("model name")
        everything = repr((*conditions, *model, sorted(processor.instructions())))
        self._kept = self._root / sha256(everything.encode()).hexdigest()[:16]
        with suppress(OSError):
            self._own.mkdir(exist_ok=True)
            for path in self._kept.glob(f"{_FILES}.*"):
                link = self._own / path.stem
                if link.exists():
                    continue
                if files.sha256(path) == path.suffix[1:]:
                    os.link(path, link)
                else:
                    path.unlink()

    def keep(self) -> None:
        """Keep what was compiled since; where that fails, there is nothing to reuse."""
        if self._kept is None:
            return
        with suppress(OSError):
            self._kept.mkdir(exist_ok=True)
            for path in self._own.glob(_FILES):
                if path.stat().st_nlink == 1:
                    with suppress(FileExistsError):
                        os.link(path, self._kept / f"{path.name}.{files.sha256(path)}")
            self._forget()

    def _forget(self) -> None:
        """Remove the oldest files beyond the limit."""
        found = [(path.stat(), path) for path in self._root.glob(f"*/{_FILES}.*")]
        size = 0
        for status, path in sorted(found, key=lambda one: -one[0].st_mtime):
            size += status.st_size
            if size > _MOST:
                path.unlink()

    def close(self) -> None:
        """Remove the directory of this process."""
        if os.getpid() == self._process:  # not a fork of it
            shutil.rmtree(self._own, ignore_errors=True)


@contextmanager
def opened() -> Iterator[Executables | None]:
    """Give TensorFlow a directory while the block imports it.

    Yields:
        What is compiled; None where nothing can be kept: TensorFlow is there already or was given a
        directory, the system is not Linux, or no directory can be made.
    """
    given = os.environ.get(_FLAGS)
    own = None if "tensorflow" in sys.modules or _FLAG in (given or "") else _directory()
    if own is None:
        yield None
        return
    executables = Executables(own.parent, own)
    atexit.register(executables.close)
    os.environ[_FLAGS] = f"{given or ''} {_FLAG}={own}".strip()
    try:
        yield executables
    finally:
        if given is None:
            del os.environ[_FLAGS]
        else:
            os.environ[_FLAGS] = given


def _directory() -> Path | None:
    """Make the directory of this process, and remove those of killed ones."""
    if not sys.platform.startswith("linux"):  # the processor is known there
        return None
    try:
        caches = os.environ.get(DIRECTORY)
        if caches is None:
            caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
            caches = str(Path(caches) / "lstmega")
        elif not caches:
            return None
        root = Path(caches).absolute() / "xla"
        if any(character.isspace() or character in "\"'\\" for character in str(root)):
            return None  # TensorFlow would split the name
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in root.glob("process-*"):
            if not Path("/proc", path.name.split("-")[1]).exists():
                shutil.rmtree(path, ignore_errors=True)
        if shutil.disk_usage(root).free < _FREE:
            return None
        return Path(tempfile.mkdtemp(prefix=f"process-{os.getpid()}-", dir=root))
    except (OSError, RuntimeError):  # no home, or none that can be written
        return None
