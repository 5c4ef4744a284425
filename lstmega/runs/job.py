"""The training of a generator or a classifier: its directory, its options, its rules for a resume.

Every mistake of a user is found here, before the seconds that the import of TensorFlow takes.
"""

import dataclasses
import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from lstmega.config.base import Config, flag
from lstmega.config.model import RecurrentConfig
from lstmega.config.training import LENGTHS, TrainingConfig
from lstmega.errors import RunError, UsageError
from lstmega.runs import directory
from lstmega.runs.run import Run

CHECKPOINTS = Path("checkpoints")
RunT = TypeVar("RunT", bound=Run)
Changes = dict[str, tuple[Any, Any]]  # name -> (the run's value, the value now)

_MAY_CHANGE = {*LENGTHS, "patience"}


class TrainingData(Protocol):
    """A text or labelled sequences."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...


class Batches(Protocol):
    """The batches of a training."""

    @property
    def batches(self) -> int: ...
    @property
    def steps(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class TrainingJob(ABC, Generic[RunT]):
    """A training that can start.

    Args:
        model: The options of the model.
        training: The options of the training.
        path: The run directory.
        run: The run to resume; None starts a new one.
        initial: The run whose weights a new run starts from (warm start).
        extended: Whether a resumed run gets another length than it had.
        keeps_length: Whether no length was given, so that a resumed run keeps its own.
        started: `time.monotonic()` at the start of the command; `--minutes` counts from there.
    """

    model: RecurrentConfig
    training: TrainingConfig
    path: Path
    run: RunT | None = None
    initial: Run | None = None
    extended: bool = False
    keeps_length: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    @abstractmethod
    def source(self) -> "TrainingData":
        """The training data."""

    @property
    @abstractmethod
    def vocabulary_sha256(self) -> str:
        """The sha256 of the vocabulary; empty where there is none."""

    @property
    @abstractmethod
    def batches(self) -> "Batches":
        """The training batches."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """The unit that a loss is per: `char`, `byte` or `example`."""

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
        return self.source.notes

    @abstractmethod
    def summary(self, device: str) -> list[str]:
        """Return the lines that describe model and data before the training starts."""

    @abstractmethod
    def create_run(self) -> RunT:
        """Make the directory of a new run."""

    @abstractmethod
    def attach(self, run: RunT) -> None:
        """Give a run its vocabulary and texts, which then need not be read from its directory."""

    @abstractmethod
    def _opened(self) -> RunT:
        """Open the run at `path`."""

    @abstractmethod
    def _resuming(self, run: RunT) -> tuple[Self, Changes]:
        """Return the job that resumes a run, and which of its data differ from the run's."""

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass over the training part."""
        return self.batches.batches

    @property
    def finished(self) -> bool:
        """Whether the run is trained to its end, and its length stays the same."""
        run = self.run
        if run is None or run.record.status != "finished" or self.extended:
            return False
        patience_changed = run.record.training.patience != self.training.patience
        return not (patience_changed and run.record.step < (run.record.total_steps or 0))

    def announce(self, device: str) -> list[str]:
        """Return the lines that describe the training to the user before it starts."""
        return [*self.summary(device), f"Run: {self.path}", *self._length_change(), *self.notes]

    def open_run(self) -> RunT:
        """Return the run to resume, or make the directory of a new one.

        Raises:
            UsageError: The path is taken.
            OSError: The disk refuses.
        """
        return self.create_run() if self.run is None else self.run

    def rewind(self, run: RunT, step: int) -> list[str]:
        """Make a run's directory fit for resuming from `step`; see `Run.rewind`."""
        self.attach(run)
        return run.rewind(step)

    def refresh(self) -> Self:
        """Return the job for the directory as it is now; again when the directory is locked.

        Raises:
            UsageError: The run there has other options or other data.
        """
        if not directory.exists(self.path):
            return dataclasses.replace(self, run=None, extended=False)
        run = self._opened()
        training, extended = self._length(run)
        job, data = self._resuming(run)
        job = dataclasses.replace(job, run=run, training=training, extended=extended)
        record = run.record
        changes = option_changes((record.model, record.training), (job.model, job.training))
        changes |= {name: values for name, values in data.items() if values[0] != values[1]}
        if job.initial is not None and not record.initial:
            changes["--init-from"] = (None, job.initial.name)
        check_unchanged(run, changes)
        return job

    def _length(self, run: Run) -> tuple[TrainingConfig, bool]:
        """Return the options of a resumed training, and whether its length changes."""
        before = run.record.training.length
        now = self.training.replace(**before) if self.keeps_length else self.training
        return now, before != now.length

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


def gives_length(options: Mapping[str, Any]) -> bool:
    """Return whether options contain the length of the training."""
    return any(options.get(name) is not None for name in LENGTHS)


def run_path(
    run: str | Path | None, checkpoints: Path, source: TrainingData, resume: bool | None
) -> Path:
    """Return the directory of a run that is to start or to be resumed.

    Args:
        run: Its name below `checkpoints`, or its path; None makes one of the data's name and the time.
        checkpoints: The directory of runs.
        source: The training data.
        resume: True, without `run`, takes the newest unfinished run on the same data; False refuses a
            run that exists.

    Raises:
        UsageError: The run does not exist, or exists although it must not.
    """
    path = _named(run, checkpoints, source, resume)
    if not directory.exists(path) and not directory.is_free(path):
        raise UsageError(f"{path} exists already, and is not a run. Choose another name with --run.")
    if resume is False and directory.exists(path):
        raise UsageError(f"{path} exists already. Choose another name with --run.")
    if resume and not directory.exists(path):
        raise UsageError(f"--resume: there is no run {path}.")
    return path


def _named(run: str | Path | None, checkpoints: Path, source: TrainingData, resume: bool | None) -> Path:
    if run is None and resume:
        return _unfinished(checkpoints, source)
    if run is None:
        return checkpoints / f"{source.name}-{datetime.now():%Y%m%d-%H%M%S}"
    path = Path(run)
    if len(path.parts) > 1 or path.is_absolute():
        return path
    return checkpoints / directory.check_name(path.name)


def _unfinished(checkpoints: Path, source: TrainingData) -> Path:
    for path in directory.directories(checkpoints):
        try:
            record = directory.read_record(path)
        except RunError:
            continue
        if record.status != "finished" and record.info.sha256 == source.sha256:
            return path
    raise UsageError(
        f"--resume: {checkpoints} has no unfinished run on {source.name}. Name one with --run."
    )


def differences(before: Config, now: Config) -> Changes:
    """Return the fields in which two configurations differ: name -> (before, now)."""
    pairs = ((name, getattr(before, name), getattr(now, name)) for name in now.names())
    return {name: (old, new) for name, old, new in pairs if old != new}


def option_changes(before: tuple[Config, TrainingConfig], now: tuple[Config, TrainingConfig]) -> Changes:
    """Return the options that differ and may not differ in a resumed run: flag -> (before, now)."""
    changed = differences(before[0], now[0]) | differences(before[1], now[1])
    return {flag(name): values for name, values in changed.items() if name not in _MAY_CHANGE}


def check_unchanged(run: Run, changes: Changes) -> None:
    """Refuse to train a run with other options or data than it has.

    Raises:
        UsageError: Something changed; the message has both values.
    """
    if changes:
        listed = "; ".join(f"{name} {old}, not {new}" for name, (old, new) in changes.items())
        raise UsageError(
            f"Run {run.name} was trained with {listed}. Use the same to resume it, or choose another "
            "--run."
        )


def check_warm_start(run: Run, changes: Changes) -> None:
    """Refuse a warm start whose model differs from the run's: field -> (the run's value, the value now).

    Raises:
        UsageError: An option of the model differs.
    """
    if changes:
        listed = "; ".join(f"{flag(name)} {old}, not {new}" for name, (old, new) in changes.items())
        raise UsageError(f"--init-from {run.name} has {listed}. Accepted: the sizes of that run.")


def _provenance(run: Run) -> str:
    best = run.record.best
    return f"{run.name} {'' if best is None else best.sha256}"


def versions() -> dict[str, str]:
    """Return the versions of what reads and writes text."""
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
