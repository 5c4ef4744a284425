"""One run directory: the only module that knows its file names.

    checkpoints/<name>/
        run.json         what was trained, on what, how well; replaced atomically
        vocabulary.json  characters <-> ids
        held_out.txt     the text that training never saw: for prompts and for evaluation
        history.csv      one row per validation
        samples.txt      what the model wrote after each validation
        weights/epoch-003.weights.h5  written once each, in Keras' own format
        state/step-00001200/          the exact training state, for resuming (`states.py`)
        README.md        the model card

A file is written whole or not at all (`files.py`), then run.json is made to point at it with its
sha256. Readers check hash, names, shapes and types before they allocate. Nothing here runs code of a
run: no pickle, no `load_model`.
"""

import dataclasses
import hashlib
import html
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from lstmega import curves, display, exports, files, locks, records, schema, weights
from lstmega.decoder import Decoder, WindowDecoder
from lstmega.errors import RunError, UsageError
from lstmega.options import ModelOptions, TrainingOptions
from lstmega.records import HistoryRow, Record, SavedWeights
from lstmega.vocabulary import Vocabulary
from lstmega.weights import Weights

SCHEMA = 1

_RECORD, _VOCABULARY, _HISTORY = "run.json", "vocabulary.json", "history.csv"
_HELD_OUT, _SAMPLES, _CARD, _LOCK = "held_out.txt", "samples.txt", "README.md", ".lock"
_WEIGHTS, _STATES = "weights", "state"
_MAX_JSON = 16 << 20  # bytes: above any vocabulary that we write
_MAX_LOG = 64 << 20
_NAME = re.compile(r"\w[\w.+-]{0,199}")
_WEIGHTS_NAME = re.compile(r"[\w-]{1,100}\.weights\.h5")


class Run:
    """A run directory: read with `open`, begun with `create`, changed only through its methods."""

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(cls, path: Path, record: Record, vocabulary: Vocabulary, held_out: str) -> Self:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        if not is_free(path):
            raise UsageError(f"{path} exists already. Choose another name with --run.")
        (path / _WEIGHTS).mkdir(parents=True, exist_ok=True)
        run = cls(path, record)
        run._write_texts(vocabulary, held_out)
        run._write_record()
        files.sync(path.parent)
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory, trusting nothing in it.

        Raises:
            RunError: There is no run, or its run.json is damaged or of a newer schema.
        """
        where = str(path / _RECORD)
        content = schema.unseal(_read(path / _RECORD, _MAX_JSON), SCHEMA, where)
        try:
            return cls(path, schema.build(Record, content, where))
        except UsageError as error:
            raise RunError(f"{where}: {error}") from error

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
        files.write(self.path / _RECORD, content)

    # What the run knows.

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters and their ids.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        path = self.path / _VOCABULARY
        try:
            vocabulary = Vocabulary.from_json(schema.parse(_read(path, _MAX_JSON), str(path)))
        except UsageError as error:
            raise RunError(f"{path}: {error}") from error
        _compare_hashes(path, vocabulary.sha256, self.record.vocabulary_sha256)
        return vocabulary

    @cached_property
    def held_out(self) -> str:
        """The text that training never saw; empty where nothing was held out."""
        path = self.path / _HELD_OUT
        content = _read(path, 4 * self.record.held_out_characters)
        _compare_hashes(path, _hash(content), self.record.held_out_sha256)
        return content.decode("utf-8", "surrogatepass")

    def history(self) -> list[HistoryRow]:
        """Return one row for each validation, oldest first."""
        try:
            return records.from_csv(self._read_log(_HISTORY))
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
            raise RunError(f"{self.path / _RECORD}: not a name for weights: {saved.file!r:.80}.")
        path = self.weights_path(saved.file)
        content = _read(path, _most_weights(self.record))
        _compare_hashes(path, _hash(content), saved.sha256)
        return weights.read(content, self.record.model, self.record.vocabulary_size, where=str(path))

    def decoder(self) -> Decoder:
        """Return the NumPy model with the best weights."""
        if len(self.vocabulary) != self.record.vocabulary_size:
            raise RunError(f"{self.path}: vocabulary.json and run.json differ in size.")
        return decoder_of(self.record.model, self.weights(), self.record.training, self.vocabulary)

    @property
    def lines(self) -> bool:
        """Whether each line is a text of its own."""
        return self.record.training.lines

    # What training writes.

    def write_logs(self, history: Sequence[HistoryRow], samples: str, **changes: Any) -> None:
        """Replace history.csv and samples.txt, then name them in run.json with other changes."""
        contents = {_HISTORY: records.to_csv(history).encode(), _SAMPLES: _encode(samples)}
        for name, content in contents.items():
            files.write(self.path / name, content)
        self.update(logs={name: _hash(content) for name, content in contents.items()}, **changes)

    def _read_log(self, name: str) -> str:
        expected = self.record.logs.get(name)
        if expected is None:
            return ""
        content = _read(self.path / name, _MAX_LOG)
        _compare_hashes(self.path / name, _hash(content), expected)
        return content.decode("utf-8", "surrogatepass")

    def write_card(self, text: str) -> None:
        """Replace the model card."""
        files.write(self.path / _CARD, _encode(text))

    def rewind(self, step: int, vocabulary: Vocabulary, held_out: str) -> list[str]:
        """Make the directory fit for going on from `step`.

        Leftovers of a killed writer go, small files are written again, and weights of later
        validations or with a wrong hash are forgotten.

        Returns:
            What a person should know of weights that were lost.
        """
        for directory in (self.path, self.path / _WEIGHTS, self.states):
            directory.mkdir(exist_ok=True)
            files.remove_leftovers(directory)
        self._write_texts(vocabulary, held_out)
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
        return _hash(content) == saved.sha256

    def _write_texts(self, vocabulary: Vocabulary, held_out: str) -> None:
        files.write(self.path / _VOCABULARY, json.dumps(vocabulary.to_json()).encode())
        files.write(self.path / _HELD_OUT, _encode(held_out))

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
        return curves.figure(self.history(), title=f"Losses of {self.name}")

    def _repr_html_(self) -> str:
        table = display.html_table([("", self.name), *self.record.facts()], f"lstmega run {self.name}")
        try:
            return table + curves.svg(self.history(), title=f"Losses of {self.name}")
        except RunError as error:  # a cell that shows a run is no place to fail
            return f"{table}<p>{html.escape(display.plain(str(error)))}</p>"

    def __repr__(self) -> str:
        best = self.record.best
        loss = display.loss(best.nats, self.record.text.tokens) if best else "no weights yet"
        return f"<Run {self.name}: {self.record.status}, {loss}>"


def decoder_of(
    model: ModelOptions, arrays: Weights, training: TrainingOptions, vocabulary: Vocabulary
) -> Decoder:
    """Return the NumPy model that reads as it was trained to read."""
    if training.order == "windows":
        return WindowDecoder(model, arrays, window=training.sequence_length)
    begins = int(vocabulary.encode("\n")[0]) if training.lines else None
    return Decoder(model, arrays, begins=begins)


def is_free(path: Path) -> bool:
    """Return whether a run can begin here: nothing is, or only what a killed beginning left."""
    if not path.is_dir():
        return not (path.exists() or path.is_symlink())
    began = {_VOCABULARY, _HELD_OUT, _WEIGHTS, _LOCK}
    names = {item.name for item in path.iterdir()}
    return all(name in began or name.startswith(files.TEMPORARY_PREFIX) for name in names)


def exists(path: Path) -> bool:
    """Return whether a run is here."""
    return (path / _RECORD).is_file()


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


def find(checkpoints: Path, name: str | Path | None = None) -> Run:
    """Return a run by name or path; without either, the newest that has weights.

    Args:
        checkpoints: The directory of runs.
        name: A directory below `checkpoints`, or a path.

    Raises:
        UsageError: There is no such run; the message lists those that there are.
    """
    if name is not None:
        for path in (checkpoints / name, Path(name)):
            if (path / _RECORD).is_file():
                return Run.open(path)
        known = ", ".join(path.name for path in directories(checkpoints)) or "none"
        raise UsageError(f"There is no run {str(name)!r}. Runs in {checkpoints}: {known}.")
    damaged = None
    for path in directories(checkpoints):
        try:
            run = Run.open(path)
        except RunError as error:  # one damaged directory does not hide the others
            damaged = damaged or error
            continue
        if run.trained:
            return run
    if damaged is not None:
        raise damaged
    raise UsageError(
        f"There is no trained run in {checkpoints}. Train one first, for example: "
        "lstmega train --corpus pydoc --preset tiny"
    )


def directories(checkpoints: Path) -> list[Path]:
    """Return the run directories below `checkpoints`, newest first."""
    records = checkpoints.glob(f"*/{_RECORD}") if checkpoints.is_dir() else ()
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


def text_sha256(text: str) -> str:
    """Return the sha256 of a text as held_out.txt holds it."""
    return _hash(_encode(text))


def weights_name(epoch: int, step: int, *, whole: bool) -> str:
    """Return the file name of a validation's weights; `whole` says that the epoch is complete."""
    return f"epoch-{epoch:03d}.weights.h5" if whole else f"epoch-{epoch:03d}-step-{step:08d}.weights.h5"


def _read(path: Path, most: int) -> bytes:
    try:
        return files.read(path, most)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _most_weights(record: Record) -> int:
    shapes = record.model.weight_shapes(record.vocabulary_size).values()
    return 4 * sum(map(math.prod, shapes)) + (16 << 20)  # bytes: HDF5 needs some of its own


def _compare_hashes(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise RunError(f"{path} is damaged: its sha256 is {found}, run.json says {expected}.")
