"""The directory of a run of either kind: file names, lock, and safe reading.

    checkpoints/<name>/
        run.json         options, training data, losses; replaced atomically
        vocabulary.json  characters or words <-> ids
        held_out.txt     a generator's held-out text, for prompts and evaluation
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
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lstmega import files
from lstmega.errors import RunError, UsageError
from lstmega.runs import schema
from lstmega.runs.record import ClassifierRecord, GeneratorRecord, RunRecord

try:
    import fcntl
except ImportError:  # Windows: two trainings in one directory are the user's care
    fcntl = None  # type: ignore[assignment]

SCHEMA = 1
RECORDS: dict[str, type[RunRecord]] = {"generator": GeneratorRecord, "classifier": ClassifierRecord}

RECORD, VOCABULARY, HELD_OUT = "run.json", "vocabulary.json", "held_out.txt"
HISTORY, SAMPLES, CARD, _LOCK = "history.csv", "samples.txt", "README.md", ".lock"
WEIGHTS, STATES = "weights", "state"
MAX_JSON = MAX_LOG = schema.MAX_JSON
_NAME = re.compile(r"\w[\w.+-]{0,199}")
WEIGHTS_NAME = re.compile(r"[\w-]{1,100}\.weights\.h5")


def read_record(path: Path) -> RunRecord:
    """Return run.json of a run of either kind.

    Raises:
        RunError: There is no run, or its run.json is damaged or of a newer schema.
    """
    where = str(path / RECORD)
    content = schema.unseal(read_file(path / RECORD, MAX_JSON), SCHEMA, where)
    kind = content.get("kind", "generator")
    if kind not in RECORDS:
        raise RunError(f"{where}: kind must be one of {list(RECORDS)}. Received: {kind!r:.80}.")
    try:
        return schema.build(RECORDS[kind], content, where)
    except UsageError as error:
        raise RunError(f"{where}: {error}") from error


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
    """Return whether there is a run at `path`."""
    return (path / RECORD).is_file()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a run directory against a second writer; the directory is made if it is not there.

    The lock ends with the process.

    Raises:
        RunError: Another process holds it; the message has its number.
    """
    path.mkdir(parents=True, exist_ok=True)
    for inside in (path / WEIGHTS, path / STATES):
        if inside.is_symlink():  # a foreign run must not redirect what is written
            raise RunError(f"{inside} is a link. Received: {inside.readlink()}; it must be a directory.")
    with _held(path / _LOCK):
        yield


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
    """Return the run directories below `checkpoints`, newest first."""
    records = checkpoints.glob(f"*/{RECORD}") if checkpoints.is_dir() else ()
    ages = sorted((-path.stat().st_mtime_ns, path.parent) for path in records)
    return [path for _, path in ages]


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


def read_file(path: Path, most: int, sha256: str | None = None) -> bytes:
    """Return a file's content.

    Raises:
        RunError: It cannot be read, is longer than `most` bytes, or its sha256 is another.
    """
    try:
        content = files.read(path, most)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error
    if sha256 is not None:
        compare_hashes(path, digest(content), sha256)
    return content


def encode(text: str) -> bytes:
    """Return a text as the bytes of a run's files."""
    return text.encode("utf-8", "surrogatepass")


def write_text(path: Path, text: str) -> str:
    """Replace a file by a text, atomically, and return the sha256 of its content."""
    content = encode(text)
    files.write(path, content)
    return digest(content)


def digest(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def max_weights(record: RunRecord) -> int:
    """Return the largest size of a weights file in bytes, with room for what HDF5 adds."""
    return 4 * sum(map(math.prod, record.shapes.values())) + (16 << 20)


def compare_hashes(path: Path, found: str, expected: str) -> None:
    """Raise RunError where the hash of a file differs from that in run.json."""
    if found != expected:
        raise RunError(f"{path} is damaged: its sha256 is {found}, in run.json it is {expected}.")


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
