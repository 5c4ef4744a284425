"""The sources of a corpus: files, directories, standard input, named corpora.

Only directories are opened here; each `Found` reads its bytes on demand, so that the bytes of a thousand
files are never in memory at once.
"""

import errno
import os
import platform
import re
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lstmega.data import download, python_reference
from lstmega.errors import CorpusError, reason_of

# A directory with all files of one of these is a run's, or that of a killed beginning.
_RUNS = (("run.json",), ("vocabulary.json", "held_out.txt"))


class Found(NamedTuple):
    """A source to read, and its name in the run (absolute path, `-` or a corpus' name)."""

    label: str
    read: Callable[[], bytes]
    size: int = 0  # in bytes; 0 where it is not known before


class Finder:
    """Finds sources, and collects their names for the run and notes for the user.

    Args:
        glob, corpora, stdin, progress: As for `corpus.read`.
    """

    def __init__(
        self, glob: str, corpora: Path, stdin: BinaryIO | None, progress: download.OnBytes | None
    ) -> None:
        self._glob, self._corpora, self._stdin, self._progress = glob, corpora, stdin, progress
        self.names: list[str] = []
        self.notes: list[str] = []

    def find(self, source: str) -> list[Found]:
        """Return the files of one source, by path, by name in `corpora`, or of a named corpus.

        Raises:
            CorpusError: It is missing, of a kind that cannot be read, or a directory without matches.
            DownloadError: A named corpus could not be downloaded.
        """
        path = Path(source)
        if source == "-":
            return self._named("stdin", Found("-", partial(_read_stdin, self._stdin)))
        mode = _mode(path)
        if mode is None and path.name == source:
            return self._find_name(source.removesuffix(".txt"), source)
        if mode is not None and stat.S_ISDIR(mode):
            self.names.append(path.resolve().name)
            return self._find_in(path)
        return self._named(path.stem, _file(path, mode))

    def _named(self, name: str, found: Found) -> list[Found]:
        self.names.append(name)
        return [found]

    def _find_name(self, name: str, source: str) -> list[Found]:
        local, named = self._corpora / f"{name}.txt", download.NAMED.get(name)
        if named and named.url:
            path = download.fetch(name, corpora=self._corpora, progress=self._progress)
            return self._named(name, _file(path, _mode(path))._replace(label=name))
        if (mode := _mode(local)) is not None:
            return self._named(name, _file(local, mode))
        if named:
            label = f"{name} (Python {platform.python_version()})"
            return self._named(name, Found(label, _read_pydoc))
        raise CorpusError(_refusal(source, os.strerror(errno.ENOENT)))

    def _find_in(self, directory: Path) -> list[Found]:
        try:
            paths = self._matches(directory)
        except (ValueError, NotImplementedError) as error:
            raise CorpusError(
                f"--glob is no pattern for files below a directory ({error}). Received: "
                f"{self._glob!r}. Accepted: a pattern like '*.md' or '**/*.txt'."
            ) from error
        except OSError as error:
            raise CorpusError(_refusal(str(directory), reason_of(error))) from error
        if not paths:
            raise CorpusError(
                f"No file to read in the directory {str(directory)!r}. Received: --glob "
                f"{self._glob!r}, hidden files and files of runs apart. Accepted: a pattern like '*.md' "
                "or '**/*', or the directory of a run itself."
            )
        return [_file(path, _mode(path)) for path in paths]

    def _matches(self, directory: Path) -> list[Path]:
        self._note_blocked(directory)
        visible = [
            path
            for path in sorted(set(directory.glob(self._glob)))
            if not any(part.startswith(".") for part in path.relative_to(directory).parts)
        ]
        regular = [path for path in visible if path.is_file()]
        odd = len(visible) - len(regular) - sum(path.is_dir() for path in visible)
        if odd:
            self.notes.append(f"{shown(str(directory))}: {odd:,} matches skipped, no regular files.")
        return self._outside_runs(directory, regular)

    def _outside_runs(self, directory: Path, paths: list[Path]) -> list[Path]:
        """Return the files outside of run directories below `directory`; a note counts the others."""
        runs = {path: _run_of(path, directory) for path in paths}
        outside = [path for path, run in runs.items() if run is None]
        if skipped := len(paths) - len(outside):
            self.notes.append(
                f"{shown(str(directory))}: {skipped:,} files of {len({*runs.values()} - {None}):,} runs "
                f"skipped. A run's directory is read only where --corpus names it."
            )
        return outside

    def _note_blocked(self, directory: Path) -> None:
        """Add a note on each directory that cannot be listed, which `glob` skips in silence."""
        blocked: list[OSError] = []
        for _, names, _ in os.walk(directory, onerror=blocked.append):
            names[:] = [name for name in names if not name.startswith(".") and "**" in self._glob]
        for error in blocked:
            if error.filename == str(directory):
                raise error
            self.notes.append(f"{shown(error.filename)} was skipped: {reason_of(error)}.")


def _run_of(path: Path, directory: Path) -> Path | None:
    """Return the run directory, below `directory`, that a file is in."""
    below = list(path.relative_to(directory).parents)[:-1]  # the last is `directory`
    return next((directory / one for one in below if _is_run(directory / one)), None)


def _is_run(directory: Path) -> bool:
    return any(all((directory / name).is_file() for name in names) for names in _RUNS)


def _mode(path: Path) -> int | None:
    """Return the mode of a file without opening it, or None where there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            reason = f"a symbolic link to {str(path.readlink())!r}, which does not exist"
            raise CorpusError(_refusal(str(path), reason)) from None
        return None
    except (OSError, ValueError) as error:
        raise CorpusError(_refusal(str(path), reason_of(error))) from error


_KINDS = {
    stat.S_IFIFO: "a FIFO (try: --corpus - < FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
}


def _file(path: Path, mode: int | None) -> Found:
    if mode is None:
        raise CorpusError(_refusal(str(path), os.strerror(errno.ENOENT)))
    if not stat.S_ISREG(mode):
        raise CorpusError(_refusal(str(path), _KINDS.get(stat.S_IFMT(mode), "not a regular file")))
    return Found(str(path.absolute()), partial(_read_file, path), _size(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has gone meanwhile: reading it has the better message
        return 0


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(_refusal(str(path), reason_of(error))) from error


def _read_stdin(stdin: BinaryIO | None) -> bytes:
    stream = stdin or getattr(sys.stdin, "buffer", None)
    try:
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        content: bytes = stream.read()
    except (OSError, ValueError) as error:
        raise CorpusError(_refusal("-", reason_of(error))) from error
    return content


def _read_pydoc() -> bytes:
    """Return the prose of the language reference of this Python."""
    try:
        from pydoc_data import topics  # noqa: PLC0415 (700 kB that nothing else needs)
    except ImportError as error:
        raise CorpusError(_refusal("pydoc", f"this Python came without it ({error})")) from error
    return python_reference.prose(topics.topics).encode()


def _refusal(source: str, reason: str) -> str:
    return f"Cannot read the corpus: {reason}. Received: {source!r}. Accepted: {accepted()}."


def accepted() -> str:
    """Return the accepted values of `--corpus`, for a message."""
    return f"a text file, a directory, - for standard input, or a name ({', '.join(download.NAMED)})"


def shown(label: str) -> str:
    """Return the file name of a label, escaped where it is not printable."""
    name = Path(label).name
    return name if name.isprintable() else repr(name)


def safe_name(name: str, default: str) -> str:
    """Return a name for a run directory: at most 40 characters, none of them special."""
    return re.sub(r"[^\w.-]+", "-", name)[:40].strip("-.") or default
