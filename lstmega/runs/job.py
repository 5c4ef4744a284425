"""Where a training begins or goes on, whatever is trained: its directory, and what may not change."""

import dataclasses
import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lstmega.config.options import TrainingOptions, flag
from lstmega.errors import RunError, UsageError
from lstmega.runs import directory as directories
from lstmega.runs.directory import RunDirectory

_MAY_CHANGE = {"epochs", "steps", "minutes", "patience"}


def run_path(
    run: str | Path | None, checkpoints: Path, name: str, sha256: str, resume: bool | None
) -> Path:
    """Return the directory of a run that is to begin or to go on.

    Args:
        run: Its name below `checkpoints`, or its path; None makes one of `name` and the time.
        checkpoints: The directory of runs.
        name: Of what is trained.
        sha256: Of the same.
        resume: True, without `run`, takes the newest unfinished run of the same; False refuses one
            that is there.

    Raises:
        UsageError: There is no such run, or one that must not be.
    """
    path = _named(run, checkpoints, name, sha256, resume)
    if not directories.exists(path) and not directories.is_free(path):
        raise UsageError(f"{path} exists already, and is no run. Choose another name with --run.")
    if resume is False and directories.exists(path):
        raise UsageError(f"{path} exists already. Choose another name with --run.")
    if resume and not directories.exists(path):
        raise UsageError(f"--resume: there is no run {path}.")
    return path


def _named(
    run: str | Path | None, checkpoints: Path, name: str, sha256: str, resume: bool | None
) -> Path:
    if run is None and resume:
        return _unfinished(checkpoints, name, sha256)
    if run is None:
        return checkpoints / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    path = Path(run)
    if len(path.parts) > 1 or path.is_absolute():
        return path
    return checkpoints / directories.check_name(path.name)


def _unfinished(checkpoints: Path, name: str, sha256: str) -> Path:
    for path in directories.directories(checkpoints):
        try:
            record = directories.read_record(path)
        except RunError:
            continue
        if record.status != "finished" and record.source_sha256 == sha256:
            return path
    raise UsageError(f"--resume: {checkpoints} has no unfinished run on {name}. Name one with --run.")


def length(training: TrainingOptions) -> dict[str, Any]:
    """Return the three fields of which one says how long."""
    return {name: getattr(training, name) for name in ("epochs", "steps", "minutes")}


def length_now(
    run: RunDirectory, training: TrainingOptions, *, keeps: bool
) -> tuple[TrainingOptions, bool]:
    """Return how a run that goes on is trained, and whether it is to end elsewhere than it was to.

    Args:
        run: It.
        training: As it is asked for.
        keeps: Whether no length was asked for.
    """
    before = run.record.training
    now = training.replace(**length(before)) if keeps else training
    return now, length(before) != length(now)


def differences(before: Any, now: Any) -> list[tuple[str, tuple[Any, Any]]]:
    """Return (name, (before, now)) of the fields in which two dataclasses differ."""
    pairs = zip(dataclasses.asdict(before).items(), dataclasses.asdict(now).values(), strict=True)
    return [(name, (old, new)) for (name, old), new in pairs if old != new]


def option_changes(
    before: tuple[Any, TrainingOptions], now: tuple[Any, TrainingOptions]
) -> dict[str, Any]:
    """Return the options that differ and may not when a run goes on: flag -> (before, now)."""
    changed = [*differences(before[0], now[0]), *differences(before[1], now[1])]
    return {flag(name): values for name, values in changed if name not in _MAY_CHANGE}


def check_same(run: RunDirectory, changed: dict[str, tuple[Any, Any]]) -> None:
    """Refuse to go on with a run otherwise than it began.

    Raises:
        UsageError: Something changed; the message has both values.
    """
    if changed:
        listed = "; ".join(f"{name} was {old!r}, is {new!r}" for name, (old, new) in changed.items())
        raise UsageError(
            f"{run.path} was trained otherwise: {listed}. Give the same to go on, or another --run."
        )


def is_finished(run: RunDirectory | None, training: TrainingOptions, extended: bool) -> bool:
    """Return whether a run has been trained to its end, and no other end is asked for."""
    if run is None or run.record.status != "finished" or extended:
        return False
    waits_on = run.record.training.patience != training.patience
    return not (waits_on and run.record.step < (run.record.total_steps or 0))


def remarks(run: RunDirectory | None, training: TrainingOptions, extended: bool) -> list[str]:
    """Return what a person should know of a run that goes on otherwise than before."""
    if run is None or not extended:
        return []
    before, now = (
        next(f"{flag(name)} {value:g}" for name, value in length(one).items() if value)
        for one in (run.record.training, training)
    )
    return [f"Length: was {before}, is {now} in all"]


def versions() -> dict[str, str]:
    """Return the versions of what reads and writes text."""
    return {
        "lstmega": version("lstmega"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }
