"""Files and directories that are whole or absent: write to a temporary name, fsync, rename.

A reader finds the old bytes or the new ones, never a part, however the writer ends. The rename protects
against `kill -9`, the fsyncs against a power cut.
"""

import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lstmega.errors import UsageError, reason_of

TEMPORARY_PREFIX = ".tmp-"
STDOUT = "-"
_KEPT = 50  # last characters of a name that its temporary name has, at most 200 bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    Args:
        path: The final name, in a directory that exists. The temporary path may become a file or a
            directory of files; a directory replaces nothing.

    Raises:
        OSError: The disk failed; it names `path`. The temporary is removed and `path` is as it was.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{path.name[-_KEPT:]}")
    remove(temporary)  # of a killed process with the same number, or a planted link
    try:
        yield temporary
        for made in temporary.iterdir() if temporary.is_dir() else ():
            sync(made)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            error.filename = error.filename2 = str(path)
        raise


def write(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, atomically; a file that is there keeps its mode and its owner."""
    with replacing(path) as temporary:
        with suppress(FileNotFoundError):
            _make_like(path.lstat(), temporary)
        temporary.write_bytes(content)


def _make_like(old: os.stat_result, path: Path) -> None:
    """Make an empty file with the mode and, where that is allowed, the owner of a regular file.

    Nobody reads the new content who could not read the old: that is settled before it is written.
    """
    if not stat.S_ISREG(old.st_mode):
        return
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if hasattr(os, "chown"):
        with suppress(PermissionError):
            os.chown(path, old.st_uid, old.st_gid)
    path.chmod(stat.S_IMODE(old.st_mode))


@dataclass(frozen=True)
class Output:
    """A file that the user names for a result. One rule for all of them:

    Replaced is only what this program wrote before, an empty file, or with `force` any file. Links are
    followed. Pipes and terminals are written into; `-` is standard output.

    Args:
        path: The name of the file.
        option: What named it, for messages.
        mark: The first bytes of all files of this kind that this program writes; empty for none.
        force: Whether a file with something else in it may be replaced.
    """

    path: str | Path
    option: str
    mark: bytes = b""
    force: bool = False

    @property
    def to_stdout(self) -> bool:
        """Whether this is standard output, by whatever name."""
        if str(self.path) == STDOUT:
            return True
        try:
            return os.path.samestat(Path(self.path).stat(), os.fstat(1))
        except (OSError, ValueError):
            return False

    def check(self) -> os.stat_result | None:
        """Return the status of the file, None where there is none yet.

        Raises:
            UsageError: It cannot be written, or must not be replaced.
        """
        try:
            found = self._status()
            if found is None or stat.S_ISREG(found.st_mode):
                self._check_regular(found)
            elif not (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode)):
                raise self._refused("it is a directory or a device")
        except (OSError, ValueError) as error:  # ValueError: a zero byte
            raise self._refused(reason_of(error)) from error
        return found

    def _status(self) -> os.stat_result | None:
        if not str(self.path) or self.path == Path():
            raise self._refused("a name without characters")
        try:
            return Path(self.path).stat()
        except FileNotFoundError:
            return None

    def _check_regular(self, found: os.stat_result | None) -> None:
        path = Path(self.path).resolve()
        if not path.parent.is_dir():
            raise self._refused(f"there is no directory {path.parent}")
        for needed in (path.parent, *([path] if found else ())):
            if not os.access(needed, os.W_OK):
                raise self._refused(f"{needed} may not be written: {os.strerror(errno.EACCES)}")
        if found is None or not found.st_size or self.force:
            return
        with path.open("rb") as file:
            if not self.mark or file.read(len(self.mark)) != self.mark:
                raise UsageError(
                    f"{self.option} replaces only what it wrote before, or an empty file. Received: "
                    f"{self.path}, which has something else in it. Accepted: another name, or --force."
                )

    def _refused(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.option} must be a file that can be written. Received: {str(self.path)!r:.200} "
            f"({reason}). Accepted: a file in a directory that exists, a pipe, or - for stdout."
        )

    def write(self, content: bytes) -> Path:
        """Write the content, a regular file whole or not at all, and return the path.

        Raises:
            UsageError: As for `check`.
            OSError: The disk fails, or the reader of a pipe is gone.
        """
        path = Path(self.path)
        if self.to_stdout:
            _print(content)
        elif (found := self.check()) is not None and not stat.S_ISREG(found.st_mode):
            with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
                file.write(content)
        else:
            write(path.resolve(), content)
        return path


def _print(content: bytes) -> None:
    """Write UTF-8 to standard output, whatever its encoding."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a notebook
        sys.stdout.write(content.decode("utf-8", "replace"))
    else:
        sys.stdout.flush()
        binary.write(content)


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
