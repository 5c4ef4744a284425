"""A run directory, whatever was trained: the only module that knows its file names.

    checkpoints/<name>/
        run.json         what was trained, on what, how well; replaced atomically
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

import contextlib
import dataclasses
import difflib
import hashlib
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from lstmega import files
from lstmega.display import export as exports
from lstmega.display import formatting as display
from lstmega.display import history as curves
from lstmega.display import html
from lstmega.display.history import HistoryRow
from lstmega.errors import RunError, UsageError
from lstmega.runs import schema, weights
from lstmega.runs.record import ClassifierRecord, GeneratorRecord, RunRecord, SavedWeights
from lstmega.runs.weights import Weights

try:
    import fcntl
except ImportError:  # Windows: two trainings in one directory are the user's care
    fcntl = None  # type: ignore[assignment]

SCHEMA = 1
RECORDS: dict[str, type[RunRecord]] = {"generator": GeneratorRecord, "classifier": ClassifierRecord}

RECORD, VOCABULARY, HELD_OUT = "run.json", "vocabulary.json", "held_out.txt"
_HISTORY, _SAMPLES, _CARD, _LOCK = "history.csv", "samples.txt", "README.md", ".lock"
_WEIGHTS, _STATES = "weights", "state"
MAX_JSON = 64 << 20  # bytes: above any vocabulary that we write
_MAX_LOG = 64 << 20
_NAME = re.compile(r"\w[\w.+-]{0,199}")
_WEIGHTS_NAME = re.compile(r"[\w-]{1,100}\.weights\.h5")


class Run:
    """A run of either kind: opened with `open`, changed only through its methods.

    Args:
        path: The run directory.
        record: The content of run.json.
    """

    kind: ClassVar[str]
    example: ClassVar[str]  # a command that trains one
    next_step: ClassVar[str]  # a command that uses one, without --run
    record: RunRecord

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    def begin(self) -> None:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        if not is_free(self.path):
            raise UsageError(f"{self.path} exists already. Choose another name with --run.")
        (self.path / _WEIGHTS).mkdir(parents=True, exist_ok=True)
        self.write_texts()
        self._write_record()
        files.sync(self.path.parent)

    def write_texts(self) -> None:
        """Write the small files that never change: the vocabulary, the held-out text."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory, trusting nothing in it.

        Raises:
            RunError: There is no run, or its run.json is damaged or of a newer schema.
            UsageError: It is a run of another kind.
        """
        record = read_record(path)
        if not isinstance(record, RECORDS[cls.kind]):
            other = "classifier" if cls.kind == "generator" else "generator"
            instead = "lstmega classify predict" if other == "classifier" else "lstmega sample"
            raise UsageError(f"{path} is a {other}. Accepted here: a {cls.kind}. Try {instead}.")
        return cls(path, record)

    @classmethod
    def find(cls, checkpoints: Path, name: str | Path | None = None) -> Self:
        """Return a run of this kind by name or path; without either, the newest that has weights.

        Args:
            checkpoints: The directory of runs.
            name: A directory below `checkpoints`, or a path.

        Raises:
            UsageError: There is no such run; the message lists those that there are.
        """
        if name is not None:
            return cls.open(located(checkpoints, name))
        damaged = None
        for path in directories(checkpoints):
            if not is_kind(path, cls.kind):
                continue
            try:
                run = cls.open(path)
            except RunError as error:  # one damaged directory does not hide the others
                damaged = damaged or error
                continue
            if run.trained:
                return run
        if damaged is not None:
            raise damaged
        raise UsageError(
            f"There is no trained {cls.kind} in {checkpoints}. Train one first, for example: "
            f"{cls.example}"
        )

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def states(self) -> Path:
        """The directory of exact training states (`states.py`)."""
        return self.path / _STATES

    @property
    def trained(self) -> bool:
        """Whether there are weights."""
        return self.record.best is not None

    def update(self, **changes: Any) -> None:
        """Change fields of run.json, atomically."""
        self.record = dataclasses.replace(self.record, **changes)
        self._write_record()

    def _write_record(self) -> None:
        content = schema.seal(schema.to_json(self.record), SCHEMA)
        files.write(self.path / RECORD, content)

    def history(self) -> list[HistoryRow]:
        """Return one row for each validation, oldest first."""
        try:
            return curves.from_csv(self._read_log(_HISTORY))
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{self.path / _HISTORY} is damaged: {error}.") from error

    def samples(self) -> str:
        """Return the previews of all validations."""
        return self._read_log(_SAMPLES)

    # Weights.

    def weights_path(self, file: str) -> Path:
        """Return the path of a file below weights/."""
        return self.path / _WEIGHTS / file

    def weights(self) -> Weights:
        """Return the best weights by the names of `GeneratorConfig.weight_shapes`, checked.

        Raises:
            RunError: There are none yet, or the file is damaged or of another model.
        """
        saved = self.record.best
        if saved is None:
            raise RunError(f"{self.path} has no weights yet: training saves them at its validations.")
        if not _WEIGHTS_NAME.fullmatch(saved.file):
            raise RunError(f"{self.path / RECORD}: not a name for weights: {saved.file!r:.80}.")
        path = self.weights_path(saved.file)
        content = read_file(path, _max_weights(self.record))
        compare_hashes(path, digest(content), saved.sha256)
        return weights.read(content, self.record.shapes, tied=self.record.tied, where=str(path))

    # Written by the training.

    def write_logs(self, history: Sequence[HistoryRow], samples: str, **changes: Any) -> None:
        """Replace history.csv and samples.txt, then name them in run.json with other changes."""
        contents = {_HISTORY: curves.to_csv(history).encode(), _SAMPLES: encode(samples)}
        for name, content in contents.items():
            files.write(self.path / name, content)
        self.update(logs={name: digest(content) for name, content in contents.items()}, **changes)

    def _read_log(self, name: str) -> str:
        expected = self.record.logs.get(name)
        if expected is None:
            return ""
        content = read_file(self.path / name, _MAX_LOG)
        compare_hashes(self.path / name, digest(content), expected)
        return content.decode("utf-8", "surrogatepass")

    def write_card(self, text: str) -> None:
        """Replace the model card."""
        files.write(self.path / _CARD, encode(text))

    def rewind(self, step: int) -> list[str]:
        """Make the directory fit for resuming from `step`.

        Leftovers of a killed writer are removed, small files are written again, and weights of later
        validations or with a wrong hash are dropped from run.json.

        Returns:
            One line for each weights file that is damaged or missing.
        """
        for directory in (self.path, self.path / _WEIGHTS, self.states):
            directory.mkdir(exist_ok=True)
            files.remove_leftovers(directory)
        self.write_texts()
        known = [saved for saved in self.record.weights if saved.step <= step]
        lost = [saved for saved in known if not self._is_whole(saved)]
        weights = tuple(saved for saved in known if saved not in lost)
        best = min(weights, key=lambda saved: saved.nats, default=None)
        self.update(weights=weights, best=best, step=step, held_out_nats=None)
        return [
            f"{self.weights_path(saved.file)} is damaged or missing, and was dropped" for saved in lost
        ]

    def _is_whole(self, saved: SavedWeights) -> bool:
        try:
            content = files.read(self.weights_path(saved.file), _max_weights(self.record))
        except OSError:
            return False
        return digest(content) == saved.sha256

    def add_weights(self, saved: SavedWeights) -> None:
        """Register a new weights file in run.json; it becomes the best if its loss is the lowest."""
        best = self.record.best
        if best is None or saved.nats < best.nats:
            best = saved
        others = tuple(item for item in self.record.weights if item.file != saved.file)
        self.update(weights=(*others, saved), best=best, step=saved.step)

    # Displays.

    def to_dataframe(self) -> Any:
        """Return the history as a pandas DataFrame, one row for each validation.

        Raises:
            UsageError: pandas is not installed.
        """
        return exports.dataframe([dataclasses.asdict(row) for row in self.history()])

    def plot(self) -> Any:
        """Return the learning curve as a matplotlib figure.

        Raises:
            UsageError: matplotlib is not installed.
        """
        return curves.figure(self.history(), title=f"Losses of {self.name}", unit=self.record.unit)

    def _repr_html_(self) -> str:
        curve = damage = ""
        try:
            curve = curves.svg(self.history(), title=f"Losses of {self.name}", unit=self.record.unit)
        except RunError as error:  # a notebook cell shows the rest of a damaged run
            damage = str(error)
        facts = [("", self.name), *self.record.facts()]
        return html.table(facts, f"lstmega run {self.name}", damage) + curve

    def __repr__(self) -> str:
        nats = self.record.nats
        loss = "no weights yet" if nats is None else display.loss(nats, self.record.unit)
        return f"<{type(self).__name__} {self.name}: {self.record.status}, {loss}>"


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


def is_kind(path: Path, kind: str) -> bool:
    """Return whether a run is of a kind; a damaged one may be of every kind."""
    with contextlib.suppress(RunError):
        return isinstance(read_record(path), RECORDS[kind])
    return True


def is_trained(path: Path) -> bool:
    """Return whether a run has weights; a damaged one counts, so that it is reported."""
    with contextlib.suppress(RunError):
        return read_record(path).best is not None
    return True


def is_free(path: Path) -> bool:
    """Return whether a run can begin here: the path is free, or has only leftovers of a killed start."""
    if not path.is_dir():
        return not (path.exists() or path.is_symlink())
    began = {VOCABULARY, HELD_OUT, _WEIGHTS, _LOCK}
    names = {item.name for item in path.iterdir()}
    return all(name in began or name.startswith(files.TEMPORARY_PREFIX) for name in names)


def exists(path: Path) -> bool:
    """Return whether there is a run at `path`."""
    return (path / RECORD).is_file()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a run directory against a second writer; the directory is made if it is not there.

    The lock is freed with the process, however that ends.

    Raises:
        RunError: Another process holds it; the message has its number.
    """
    path.mkdir(parents=True, exist_ok=True)
    for inside in (path / _WEIGHTS, path / _STATES):
        if inside.is_symlink():  # a run that somebody sent must not make us write elsewhere
            raise RunError(f"{inside} is a link. Received: {inside.readlink()}; it must be a directory.")
    with _held(path / _LOCK):
        yield


def located(checkpoints: Path, name: str | Path) -> Path:
    """Return the directory of a run, given by name or path.

    Raises:
        UsageError: There is none; the message lists those that there are.
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
    return [path.parent for path in sorted(records, key=_age)]


def _age(path: Path) -> tuple[int, str]:
    return -path.stat().st_mtime_ns, path.parent.name


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


def read_file(path: Path, most: int) -> bytes:
    """Return a file's content.

    Raises:
        RunError: It cannot be read, or is longer than `most` bytes.
    """
    try:
        return files.read(path, most)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error


def encode(text: str) -> bytes:
    """Return a text as the bytes of a run's files."""
    return text.encode("utf-8", "surrogatepass")


def digest(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _max_weights(record: RunRecord) -> int:
    return 4 * sum(map(math.prod, record.shapes.values())) + (16 << 20)  # bytes: HDF5 needs some


def compare_hashes(path: Path, found: str, expected: str) -> None:
    """Raise RunError where a file is not what run.json says."""
    if found != expected:
        raise RunError(f"{path} is damaged: its sha256 is {found}, run.json says {expected}.")


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock file that names this process; it is freed with the process.

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
