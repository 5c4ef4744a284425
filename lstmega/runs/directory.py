"""A run directory, whatever was trained: the only module that knows its file names.

    checkpoints/<name>/
        run.json         what was trained, on what, how well; replaced atomically
        vocabulary.json  characters or words <-> ids
        held_out.txt     a generator's: the text that training never saw, for prompts and evaluation
        history.csv      one row per validation
        samples.txt      what the model wrote after each validation
        weights/epoch-003.weights.h5  written once each, in Keras' own format
        state/step-00001200/          the exact training state, for resuming (`states.py`)
        README.md        the model card

A file is written whole or not at all (`files.py`), then run.json is made to point at it with its
sha256. Readers check hash, names, shapes and types before they allocate. Nothing here runs code of a
run: no pickle, no `load_model`.
"""

import contextlib
import dataclasses
import hashlib
import math
import re
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
from lstmega.runs import locks, schema, weights
from lstmega.runs.record import ClassifierRecord, Record, RunRecord, SavedWeights
from lstmega.runs.weights import Weights

SCHEMA = 1
RECORDS: dict[str, type[RunRecord]] = {"generator": Record, "classifier": ClassifierRecord}

RECORD, VOCABULARY, HELD_OUT = "run.json", "vocabulary.json", "held_out.txt"
_HISTORY, _SAMPLES, _CARD, _LOCK = "history.csv", "samples.txt", "README.md", ".lock"
_WEIGHTS, _STATES = "weights", "state"
MOST_JSON = 64 << 20  # bytes: above any vocabulary that we write
_MAX_LOG = 64 << 20
_NAME = re.compile(r"\w[\w.+-]{0,199}")
_WEIGHTS_NAME = re.compile(r"[\w-]{1,100}\.weights\.h5")


class RunDirectory:
    """A run: read with `open`, begun with `create`, changed only through its methods."""

    kind: ClassVar[str]
    example: ClassVar[str]  # of a command that trains one
    next_step: ClassVar[str]  # what to do with a trained one
    record: RunRecord

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    def _begin(self) -> None:
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
        """Write what the run knows beside its record: small files that never change."""
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
            instead = "lstmega classify" if other == "classifier" else "lstmega sample and evaluate"
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
            f"There is no trained {'run' if cls.kind == 'generator' else cls.kind} in {checkpoints}. "
            f"Train one first, for example: {cls.example}"
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
        """Whether there are weights to sample with."""
        return self.record.best is not None

    def update(self, **changes: Any) -> None:
        """Change fields of run.json, atomically."""
        self.record = dataclasses.replace(self.record, **changes)
        self._write_record()

    def _write_record(self) -> None:
        content = schema.seal(dataclasses.asdict(self.record), SCHEMA)
        files.write(self.path / RECORD, content)

    def history(self) -> list[HistoryRow]:
        """Return one row for each validation, oldest first."""
        try:
            return curves.from_csv(self._read_log(_HISTORY))
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{self.path / _HISTORY} is damaged: {error}.") from error

    def samples(self) -> str:
        """Return what the model wrote during training."""
        return self._read_log(_SAMPLES)

    # Weights.

    def weights_path(self, file: str) -> Path:
        """Return the path of a file below weights/."""
        return self.path / _WEIGHTS / file

    def weights(self) -> Weights:
        """Return the best weights by the names of `ModelOptions.weight_shapes`, checked.

        Raises:
            RunError: There are none yet, or the file is damaged or of another model.
        """
        saved = self.record.best
        if saved is None:
            raise RunError(f"{self.path} has no weights yet: training saves them at its validations.")
        if not _WEIGHTS_NAME.fullmatch(saved.file):
            raise RunError(f"{self.path / RECORD}: not a name for weights: {saved.file!r:.80}.")
        path = self.weights_path(saved.file)
        content = read_file(path, _most_weights(self.record))
        compare_hashes(path, digest(content), saved.sha256)
        return weights.read(content, self.record.shapes, tied=self.record.tied, where=str(path))

    # What training writes.

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
        """Make the directory fit for going on from `step`.

        Leftovers of a killed writer go, small files are written again, and weights of later
        validations or with a wrong hash are forgotten.

        Returns:
            What a person should know of weights that were lost.
        """
        for directory in (self.path, self.path / _WEIGHTS, self.states):
            directory.mkdir(exist_ok=True)
            files.remove_leftovers(directory)
        self.write_texts()
        known = [saved for saved in self.record.weights if saved.step <= step]
        lost = [saved for saved in known if not self._is_whole(saved)]
        weights = tuple(saved for saved in known if saved not in lost)
        best = min(weights, key=lambda saved: saved.nats, default=None)
        self.update(weights=weights, best=best, step=step)
        return [f"{self.weights_path(saved.file)} is damaged or missing: forgotten" for saved in lost]

    def _is_whole(self, saved: SavedWeights) -> bool:
        try:
            content = files.read(self.weights_path(saved.file), _most_weights(self.record))
        except OSError:
            return False
        return digest(content) == saved.sha256

    def add_weights(self, saved: SavedWeights) -> None:
        """Name a new weights file in run.json; it becomes the best if its loss is the lowest."""
        best = self.record.best
        if best is None or saved.nats < best.nats:
            best = saved
        others = tuple(item for item in self.record.weights if item.file != saved.file)
        self.update(weights=(*others, saved), best=best, step=saved.step)

    # How it shows itself.

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
        best = self.record.best
        loss = display.loss(best.nats, self.record.unit) if best else "no weights yet"
        return f"<Run {self.name}: {self.record.status}, {loss}>"


def read_record(path: Path) -> RunRecord:
    """Return what run.json says, of whatever kind.

    Raises:
        RunError: There is no run, or its run.json is damaged or of a newer schema.
    """
    where = str(path / RECORD)
    content = schema.unseal(read_file(path / RECORD, MOST_JSON), SCHEMA, where)
    kind = content.get("kind", "generator")
    if kind not in RECORDS:
        raise RunError(f"{where}: kind must be one of {list(RECORDS)}. Received: {kind!r:.80}.")
    try:
        return schema.build(RECORDS[kind], content, where)
    except UsageError as error:
        raise RunError(f"{where}: {error}") from error


def is_kind(path: Path, kind: str) -> bool:
    """Return whether a run is of a kind, as far as can be told: a damaged one is of every kind."""
    with contextlib.suppress(RunError):
        return isinstance(read_record(path), RECORDS[kind])
    return True


def is_free(path: Path) -> bool:
    """Return whether a run can begin here: nothing is, or only what a killed beginning left."""
    if not path.is_dir():
        return not (path.exists() or path.is_symlink())
    began = {VOCABULARY, HELD_OUT, _WEIGHTS, _LOCK}
    names = {item.name for item in path.iterdir()}
    return all(name in began or name.startswith(files.TEMPORARY_PREFIX) for name in names)


def exists(path: Path) -> bool:
    """Return whether a run is here."""
    return (path / RECORD).is_file()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the right to write into a run directory, which is made if it is not there.

    The lock goes with the process, however it ends.

    Raises:
        RunError: Another process holds it; the message has its number.
    """
    path.mkdir(parents=True, exist_ok=True)
    for inside in (path / _WEIGHTS, path / _STATES):
        if inside.is_symlink():  # a run that somebody sent must not make us write elsewhere
            raise RunError(f"{inside} is a link. Received: {inside.readlink()}; it must be a directory.")
    with locks.held(path / _LOCK):
        yield


def located(checkpoints: Path, name: str | Path) -> Path:
    """Return where the run of a name or a path is.

    Raises:
        UsageError: There is none; the message lists those that there are.
    """
    for path in (checkpoints / name, Path(name)):
        if exists(path):
            return path
    known = ", ".join(path.name for path in directories(checkpoints)) or "none"
    raise UsageError(f"There is no run {str(name)!r}. Runs in {checkpoints}: {known}.")


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
    """Return the file name of a validation's weights; `whole` says that the epoch is complete."""
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
    """Return a text as a run's files hold it."""
    return text.encode("utf-8", "surrogatepass")


def digest(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _most_weights(record: RunRecord) -> int:
    return 4 * sum(map(math.prod, record.shapes.values())) + (16 << 20)  # bytes: HDF5 needs some


def compare_hashes(path: Path, found: str, expected: str) -> None:
    """Raise RunError where a file is not what run.json says."""
    if found != expected:
        raise RunError(f"{path} is damaged: its sha256 is {found}, run.json says {expected}.")
