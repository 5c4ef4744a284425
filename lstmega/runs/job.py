"""The training of a generator or a classifier: its directory, its options, its rules for a resume.

Every mistake of a user is reported here, before TensorFlow is imported (five seconds).
"""

import dataclasses
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from lstmega.config.base import Config, flag
from lstmega.config.model import RecurrentConfig
from lstmega.config.training import LENGTHS, TrainingConfig
from lstmega.data.batching import TextBatches
from lstmega.data.bucketing import ExampleBatches
from lstmega.data.corpus import Corpus
from lstmega.data.labelled import Labelled
from lstmega.errors import RunError, UsageError
from lstmega.runs import directory
from lstmega.runs.record import RunRecord
from lstmega.runs.run import Run

CHECKPOINTS = Path("checkpoints")
RunT = TypeVar("RunT", bound=Run)
Changes = dict[str, tuple[Any, Any]]  # name or flag -> (the run's value, the value now)

_AT_END = ("keep", "mix")  # options that only matter when a training is finished
_MAY_CHANGE = {*LENGTHS, "patience", *_AT_END}


@dataclass(frozen=True, kw_only=True)
class TrainingJob(ABC, Generic[RunT]):
    """A training that can start.

    Args:
        model: The options of the model.
        training: The options of the training.
        data: The training data.
        path: The run directory.
        run: The run to resume; None starts a new one.
        initial: The run whose weights a new run starts from (warm start).
        extended: Whether a resumed run gets another length than it had.
        keeps_length: Whether no length was given, so that a resumed run keeps its own.
        kept: Options that were not given, and that a resumed run keeps although they may change.
        started: `time.monotonic()` at the start of the command; `--minutes` counts from there.
    """

    run_type: ClassVar[type[Any]]  # a subclass of Run
    model: RecurrentConfig
    training: TrainingConfig
    data: Corpus | Labelled
    path: Path
    run: RunT | None = None
    initial: Run | None = None
    extended: bool = False
    keeps_length: bool = False
    kept: Sequence[str] = ()
    started: float = field(default_factory=time.monotonic)

    @property
    @abstractmethod
    def batches(self) -> TextBatches | ExampleBatches:
        """The training batches."""

    @property
    def unit(self) -> str:
        """The unit that a loss is per: `char`, `byte` or `example`."""
        return "example"

    @property
    def extent(self) -> str:
        """The length of the data in words, for the sentence that says what `--minutes` chose."""
        return ""

    @property
    @abstractmethod
    def step_units(self) -> float:
        """Units that a step reads, on average."""

    @property
    def final_seconds(self) -> float:
        """Seconds that baselines take when the training is over."""
        return 0.0

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about the data that the user should read."""
        return self.data.notes

    @abstractmethod
    def summary(self, device: str) -> list[str]:
        """Return the lines that describe model and data before the training starts."""

    @abstractmethod
    def _record(self) -> RunRecord:
        """Return run.json of a new run."""

    @abstractmethod
    def _texts(self) -> tuple[Any, ...]:
        """Return the arguments of `Run.attach`: the vocabulary (None for vectors), then texts."""

    @abstractmethod
    def _resuming(self, run: RunT) -> tuple[Self, Changes]:
        """Return the job that resumes a run, and the data to compare: name -> (in the run, now)."""

    @property
    def vocabulary_sha256(self) -> str:
        """The sha256 of the vocabulary; empty where there is none."""
        vocabulary = self._texts()[0]
        return "" if vocabulary is None else str(vocabulary.sha256)

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass over the training part."""
        return self.batches.batches

    def refitted(self, seconds: float) -> Self | None:
        """Return the job with the options for this machine, where they differ; None where they do not.

        Args:
            seconds: Time of a step with the options as they are.
        """
        return None

    @property
    def finished(self) -> bool:
        """Whether the run is trained to its end, and no option was given that would continue it."""
        run = self.run
        if run is None or run.record.status != "finished" or self.extended:
            return False
        before, now = run.record.training, self.training
        stops_later = before.patience != now.patience and run.record.step < (run.record.total_steps or 0)
        return not stops_later and before.mix == now.mix

    def announce(self, device: str) -> list[str]:
        """Return the lines that describe the training to the user before it starts."""
        return [*self.summary(device), f"Run: {self.path}", *self._length_change(), *self.notes]

    def open_run(self) -> RunT:
        """Return the run to resume, or make the directory of a new one.

        Raises:
            UsageError: The path is taken.
            OSError: Writing fails.
        """
        if self.run is not None:
            return self.run
        created: RunT = self.run_type.create(self.path, self._record(), *self._texts())
        return created

    def rewind(self, run: RunT, step: int) -> list[str]:
        """Make a run's directory fit for resuming from `step`; see `Run.rewind`."""
        run.attach(*self._texts())
        return run.rewind(step)

    def refresh(self) -> Self:
        """Return the job for the directory as it is now; again when the directory is locked.

        Raises:
            UsageError: The run there has other options or other data.
        """
        if not directory.exists(self.path):
            return dataclasses.replace(self, run=None, extended=False)
        run: RunT = self.run_type.open(self.path)
        record, length = run.record, run.record.training.length
        training = self.training.replace(**length) if self.keeps_length else self.training
        training = training.replace(**{name: getattr(record.training, name) for name in self.kept})
        job, data = self._resuming(run)
        extended = training.length != length
        job = dataclasses.replace(job, run=run, training=training, extended=extended)
        changes = differences(record.model, job.model, job.model.names())
        names = [name for name in training.names() if name not in _MAY_CHANGE]
        changes |= differences(record.training, training, names)
        if training.precision == record.trained_precision:  # what `auto` chose
            changes.pop("--precision", None)
            job = dataclasses.replace(
                job, training=training.replace(precision=record.training.precision)
            )
        elif "--precision" in changes and record.trained_precision is not None:
            changes["--precision"] = (record.trained_precision, training.precision)
        changes |= {name: values for name, values in data.items() if values[0] != values[1]}
        if job.initial is not None and not record.initial:
            changes["--init-from"] = (False, job.initial.name)
        if changes:
            raise UsageError(
                f"Run {run.name} was trained with {_listed(changes)}. Use the same to resume it, or "
                "choose another --run."
            )
        return job

    def _length_change(self) -> list[str]:
        """Describe, for the log, how the length of a resumed run changed."""
        if self.run is None or not self.extended:
            return []
        before, now = (
            next(f"{flag(name)} {value:g}" for name, value in options.length.items() if value)
            for options in (self.run.record.training, self.training)
        )
        return [f"Length: was {before}, is {now} in total"]

    def record_fields(self) -> dict[str, Any]:
        """Return the fields of run.json that both kinds of run have."""
        return {
            "name": self.path.name,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "model": self.model,
            "training": self.training,
            "vocabulary_sha256": self.vocabulary_sha256,
            "epoch_steps": self.epoch_steps,
            "initial": "" if self.initial is None else _provenance(self.initial),
            "versions": versions(),
        }


def kept_by(options: Mapping[str, Any]) -> Sequence[str]:
    """Return the options that a resumed run keeps where they are not given."""
    return [name for name in _AT_END if options.get(name) is None]


def gives_length(options: Mapping[str, Any]) -> bool:
    """Return whether options contain the length of the training."""
    return any(options.get(name) is not None for name in LENGTHS)


def run_path(
    run: str | Path | None, checkpoints: Path, data: Corpus | Labelled, resume: bool | None
) -> Path:
    """Return the directory of a run that is to start or to be resumed.

    Args:
        run: Its name below `checkpoints`, or its path; None makes one of the data's name and the time.
        checkpoints: The directory of runs.
        data: The training data.
        resume: True, without `run`, takes the newest unfinished run on the same data; False refuses a
            run that exists.

    Raises:
        UsageError: The run does not exist, or exists although it must not.
    """
    path = _named(run, checkpoints, data, resume)
    if not directory.exists(path) and not directory.is_free(path):
        raise UsageError(f"{path} exists already, and is not a run. Choose another name with --run.")
    if resume is False and directory.exists(path):
        raise UsageError(f"{path} exists already. Choose another name with --run.")
    if resume and not directory.exists(path):
        raise UsageError(f"--resume: there is no run {path}.")
    return path


def _named(
    run: str | Path | None, checkpoints: Path, data: Corpus | Labelled, resume: bool | None
) -> Path:
    if run is None and resume:
        return _unfinished(checkpoints, data)
    if run is None:
        return checkpoints / f"{data.name}-{datetime.now():%Y%m%d-%H%M%S}"
    return path_of(run, checkpoints)


def path_of(run: str | Path, checkpoints: Path) -> Path:
    """Return the directory of a run to train: a path as it is, a name below `checkpoints`.

    Raises:
        UsageError: It cannot be the name of a run.
    """
    path = Path(run)
    if len(path.parts) > 1 or path.is_absolute():
        return path
    return checkpoints / directory.check_name(path.name)


def _unfinished(checkpoints: Path, data: Corpus | Labelled) -> Path:
    for path in directory.directories(checkpoints):
        try:
            record = directory.read_record(path)
        except RunError:
            continue
        if record.status != "finished" and record.info.sha256 == data.sha256:
            return path
    raise UsageError(
        f"--resume: {checkpoints} has no unfinished run on {data.name}. Name one with --run."
    )


def differences(before: Config, now: Config, names: Iterable[str]) -> Changes:
    """Return the named fields in which two configurations differ: flag -> (before, now)."""
    pairs = ((flag(name), getattr(before, name), getattr(now, name)) for name in names)
    return {name: (old, new) for name, old, new in pairs if old != new}


def _listed(changes: Changes) -> str:
    """Name the options that differ; the hashes only where no option explains them."""
    options = {name: values for name, values in changes.items() if name.startswith("--")}
    return "; ".join(_difference(name, *values) for name, values in (options or changes).items())


def _difference(name: str, old: Any, new: Any) -> str:
    if new is False or new is None:
        return f"{name if old is True else f'{name} {old}'}, not without it"
    if old is False or old is None:
        return f"no {name}, not with it" if new is True else f"no {name}, not {new}"
    return f"{name} {old}, not {new}"


def check_network(run: Run) -> None:
    """Refuse a warm start from a run that has no network.

    Raises:
        UsageError: It is an n-gram model.
    """
    if not run.record.has_network:
        raise UsageError(
            f"--init-from needs a run with a network. Received: {run.name}, an n-gram model."
        )


def check_warm_start(run: Run, model: Config, names: Iterable[str]) -> None:
    """Refuse a warm start whose model differs from the run's in one of the named options.

    Raises:
        UsageError: One differs; the message has both values.
    """
    if changes := differences(run.record.model, model, names):
        raise UsageError(
            f"--init-from {run.name} has {_listed(changes)}. Accepted: the sizes of that run."
        )


def _provenance(run: Run) -> str:
    best = run.record.best
    return f"{run.name} {'' if best is None else best.sha256}"


def versions() -> dict[str, str]:
    """Return the versions of lstmega, Python and NumPy."""
    return {
        "lstmega": _version("lstmega"),
        "python": platform.python_version(),
        "numpy": _version("numpy"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
