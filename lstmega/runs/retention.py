"""Which weights a run keeps of its many validations: the best, the last, and a thinned history.

The steps that the training planned first are cut into equal parts, and the last validation in each part
is kept. So the choice depends on steps alone: a file that is not kept is never missed later, however
often the training is killed and resumed.
"""

from collections.abc import Sequence
from pathlib import Path

from lstmega import files
from lstmega.config.training import ALL_WEIGHTS, most_weights
from lstmega.runs import directory, state
from lstmega.runs.record import SavedWeights
from lstmega.runs.run import Run

Saved = tuple[SavedWeights, ...]


def thinned(weights: Sequence[SavedWeights], keep: str, total: int) -> Saved:
    """Return the weights to keep, oldest first.

    Args:
        weights: Those that there are.
        keep: As the option `--keep`.
        total: Steps of the whole training.
    """
    if keep == ALL_WEIGHTS or not weights:
        return tuple(weights)
    ordered, parts = sorted(weights, key=lambda item: item.step), most_weights(keep) - 1
    last = {min(item.step * parts // max(total, 1), parts - 1): item for item in ordered}
    kept = {*last.values(), min(ordered, key=lambda item: item.nats)}
    return tuple(item for item in ordered if item in kept)


def during_training(run: Run, saved: SavedWeights) -> None:
    """Register new weights in run.json, and remove those that no resume can need.

    A resume may begin at an older state; what a run had there stays until that state is gone.
    """
    before = _oldest_state(run)
    total, keep = run.record.planned_first or saved.step, run.record.training.keep
    weights = (*(item for item in run.record.weights if item.file != saved.file), saved)
    earlier = [item for item in weights if item.step <= before]
    needed = {*thinned(weights, keep, total), *thinned(earlier, keep, total)}
    best = run.record.best
    if best is None or saved.nats < best.nats:
        best = saved
    kept = tuple(item for item in weights if item in needed or item.step > before)
    _replace(run, kept, best=best, step=saved.step)


def at_end(run: Run, keep: str | None = None, **changes: object) -> int:
    """Thin the weights of a run that is not being trained, with other changes of run.json.

    Returns:
        Bytes that were freed.
    """
    total = run.record.planned_first or run.record.step
    return _replace(run, thinned(run.record.weights, keep or run.record.training.keep, total), **changes)


def prune(path: Path, keep: str) -> tuple[int, int]:
    """Thin the weights of a run, and remove files of weights that run.json does not name.

    Returns:
        The number of files that are left, and the bytes that were freed.

    Raises:
        UsageError: `keep` is none of its values.
        RunError: The run is damaged, or is being trained.
    """
    if keep != ALL_WEIGHTS:
        most_weights(keep)
    with directory.locked(path):
        run = Run.open(path)
        freed = at_end(run, keep)
        named = {item.file for item in (*run.record.weights, run.record.best) if item is not None}
        folder = path / directory.WEIGHTS
        for file in folder.iterdir() if folder.is_dir() else ():
            if directory.WEIGHTS_NAME.fullmatch(file.name) and file.name not in named:
                freed += _removed(file)
    return len(named), freed


def _oldest_state(run: Run) -> int:
    names = [path.name.removeprefix("step-") for path in state.paths(run.states)]
    return min((int(name) for name in names if name.isdecimal()), default=0)


def _replace(run: Run, kept: Saved, **changes: object) -> int:
    """Name the kept weights in run.json, then remove the others."""
    dropped = [item for item in run.record.weights if item not in kept]
    run.update(weights=kept, **changes)
    names = {item.file for item in kept}
    return sum(_removed(run.weights_path(item.file)) for item in dropped if item.file not in names)


def _removed(file: Path) -> int:
    """Remove a file below weights/, and return its size; what is no weights file stays."""
    if not directory.WEIGHTS_NAME.fullmatch(file.name) or file.is_symlink() or not file.is_file():
        return 0
    size = file.stat().st_size
    files.remove(file)
    return size
