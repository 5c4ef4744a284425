"""The directory of a run of either kind: file names, lock, and safe reading.

    checkpoints/<name>/
        run.json         options, training data, losses; replaced atomically
        vocabulary.json  characters or words <-> ids
        held_out.txt     a generator's held-out text, for prompts and evaluation
        ngram.safetensors  a generator's n-gram model (`inference/ngram.py`)
        history.csv      one row per validation
        samples.txt      previews of each validation
        weights/epoch-003.weights.h5  written once each, in Keras' own format
        state/step-00001200/          the exact training state, for resuming (`state.py`)
        README.md        the model card

A file is written whole or not at all (`files.py`), then run.json is made to point at it with its sha256.
Readers check hash, names, shapes and types before they allocate. Nothing here runs code of a run: no
pickle, no `load_model`.
"""

import difflib
import errno
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lstmega import files
from lstmega.errors import RunError, UsageError
from lstmega.inference.ngram import FREE_BYTES, MOST_BYTES, MOST_COUNTED
from lstmega.runs import reading, schema
from lstmega.runs.record import ClassifierRecord, GeneratorRecord, RunRecord

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SCHEMA = 1
RECORDS: dict[str, type[RunRecord]] = {"generator": GeneratorRecord, "classifier": ClassifierRecord}

RECORD, VOCABULARY, HELD_OUT, NGRAM = "run.json", "vocabulary.json", "held_out.txt", "ngram.safetensors"
HISTORY, SAMPLES, CARD, _LOCK = "history.csv", "samples.txt", "README.md", ".lock"
WEIGHTS, STATES = "weights", "state"
MAX_RECORD = 16 << 20  # bytes of run.json: two lines for each file of text, 80,000 files
_MAX_VALUES = 1 << 19  # of run.json: five for each file
MAX_LOG = 8 << 20  # bytes of history.csv, 80,000 validations, and of samples.txt
_NAME = re.compile(r"\w[\w.+-]{0,199}")
WEIGHTS_NAME = re.compile(r"[\w-]{1,100}\.weights\.h5")


def read_record(path: Path) -> RunRecord:
    """Return run.json of a run of either kind.

    Raises:
        RunError: There is no run, or its run.json is damaged or of a newer schema.
    """
    where = str(path / RECORD)

    def parse(content: bytes) -> RunRecord:
        fields = schema.unseal(content, SCHEMA, where, values=_MAX_VALUES)
        kind = fields.get("kind", "generator")
        if not isinstance(kind, str) or kind not in RECORDS:
            raise RunError(f"{where}: kind must be one of {list(RECORDS)}. Received: {kind!r:.80}.")
        return schema.build(RECORDS[kind], fields, where)

    return reading.load(path / RECORD, MAX_RECORD, parse)


def is_free(path: Path) -> bool:
    """Return whether a run can begin here: the path is free, or has only leftovers of a killed start."""
    if not path.is_dir():
        return not (path.exists() or path.is_symlink())
    began = {VOCABULARY, HELD_OUT, WEIGHTS, _LOCK}
    names = {item.name for item in path.iterdir()}
    return all(name in began or name.startswith(files.TEMPORARY_PREFIX) for name in names)


def clear(path: Path) -> None:
    """Remove what a killed start left in a directory that `is_free`."""
    for place in (path, path / WEIGHTS):
        files.remove_leftovers(place)
    for name in (VOCABULARY, HELD_OUT):
        files.remove(path / name)


def exists(path: Path) -> bool:
    """Return whether there is a run at `path`; one that cannot be entered counts."""
    try:
        return stat.S_ISREG((path / RECORD).stat().st_mode)
    except (OSError, ValueError) as error:
        return _is_closed(error)


def _is_closed(error: Exception) -> bool:
    """Return whether an error says that something is there, though it cannot be read."""
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EIO)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a run directory against a second writer; the directory is made if it is not there.

    The lock ends with the process. A new directory in which nothing was written is removed.

    Raises:
        RunError: Another process holds it; the message has its number.
    """
    new = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    for inside in (path / WEIGHTS, path / STATES):
        if inside.is_symlink():  # a foreign run must not redirect what is written
            raise RunError(f"{inside} is a link. Received: {inside.readlink()}; it must be a directory.")
    with _held(path / _LOCK):
        try:
            yield
        finally:
            if new and [item.name for item in path.iterdir()] == [_LOCK]:
                files.remove(path)


def located(checkpoints: Path, name: str | Path) -> Path:
    """Return the directory of a run, given by name or path.

    Raises:
        UsageError: The run does not exist; the message lists the runs that exist.
    """
    for path in (checkpoints / name, Path(name)):
        if exists(path):
            return path
    raise UsageError(f"There is no run {str(name)!r}. {_known(checkpoints, str(name))}")


def _known(checkpoints: Path, name: str) -> str:
    """Return the names of the runs below `checkpoints`, the nearest to `name` first, ten at most."""
    names = [path.name for path in directories(checkpoints)]
    near = difflib.get_close_matches(name, names, 3)
    listed = [*near, *(other for other in names if other not in near)][:10]
    more = f" and {len(names) - len(listed):,} more" if len(names) > len(listed) else ""
    return f"Runs in {checkpoints}: {', '.join(listed) or 'none'}{more}."


def directories(checkpoints: Path) -> list[Path]:
    """Return the runs below `checkpoints`, newest first, and last those that cannot be entered."""
    found = list(checkpoints.iterdir()) if checkpoints.is_dir() else []
    ages = sorted((-_time(path), path) for path in found if path.is_dir() and exists(path))
    return [path for _, path in ages]


def _time(path: Path) -> int:
    """Return when run.json was written, in nanoseconds; 0 where that cannot be read."""
    try:
        return (path / RECORD).stat().st_mtime_ns
    except OSError:
        return 0


def size(path: Path) -> int:
    """Return the bytes of all files below a run's directory; links count nothing."""
    places = (Path(place, name) for place, _, names in os.walk(path) for name in names)
    found = 0
    for place in places:
        with suppress(OSError):  # a training may have removed it
            found += place.lstat().st_size
    return found


def check_name(name: str) -> str:
    """Return a run's name if it can be a directory's.

    Raises:
        UsageError: It is empty, too long, or holds a separator.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--run must be a name of letters, digits and . _ + -, or a path. Received: {name!r}."
        )
    return name


def weights_name(epoch: int, step: int, *, whole: bool) -> str:
    """Return the file name of a validation's weights; `whole` means that the epoch is complete."""
    return f"epoch-{epoch:03d}.weights.h5" if whole else f"epoch-{epoch:03d}-step-{step:08d}.weights.h5"


def encode(text: str) -> bytes:
    """Return a text as the bytes of a run's files."""
    return text.encode("utf-8", "surrogatepass")


def write(path: Path, content: bytes) -> str:
    """Replace a file, atomically, and return the sha256 of its content."""
    files.write(path, content)
    return reading.digest(content)


def write_text(path: Path, text: str) -> str:
    """Replace a file by a text, atomically, and return the sha256 of its content."""
    return write(path, encode(text))


def max_weights(record: RunRecord) -> int:
    """Return the largest size of a weights file in bytes, with room for what HDF5 adds."""
    return 4 * sum(map(math.prod, record.shapes.values())) + (16 << 20)


def max_ngram(record: GeneratorRecord) -> int:
    """Return the largest size of an n-gram model in bytes, with room for the names of its arrays."""
    return MOST_BYTES * min(record.text.characters, MOST_COUNTED) + 2 * FREE_BYTES


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock file that names this process; it is freed with the process.

    Raises:
        RunError: Another process holds it, or it is no regular file.
        OSError: The file cannot be written, or the path is a link.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise RunError(f"{path} is no regular file.")
        _lock(file, path)
        if not os.fstat(file.fileno()).st_nlink:  # its holder removed it after it was opened here
            raise RunError(f"{path.parent} was removed by another training. Try again.")
        file.seek(0)
        file.truncate(0)
        file.write(f"{os.getpid()} {_started(os.getpid())}\n".encode())
        try:
            yield
        finally:
            file.truncate(0)


def _lock(file: Any, path: Path) -> None:
    """Lock the file, or where the system has no locks, refuse one that a living process has written.

    The second knows only processes of this machine, and only where there is /proc.
    """
    taken = None
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
    except BlockingIOError as error:
        taken = error
    except OSError:  # a file system without locks, NFS for one
        pass
    number, _, started = file.read(60).decode("ascii", "replace").strip().partition(" ")
    if taken is not None or (started and started == _started(number)):
        raise RunError(
            f"Another training (process {number or 'unknown'}) writes to {path.parent}. "
            "Accepted: a run that no other process trains."
        ) from taken


def _started(process: int | str) -> str:
    """Return when a process started, in ticks since the boot; empty where that is not known."""
    try:
        return Path(f"/proc/{int(process)}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return ""
