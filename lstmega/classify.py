"""Sequences and their classes, for Python: the verbs of `lstmega classify`.

from lstmega import classify
run = classify.train("names")
classify.predict(run, ["Thais"])
classify.evaluate(run).accuracy
"""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmega import arguments as givens
from lstmega.arguments import Where
from lstmega.data import labelled
from lstmega.data.labelled import Labelled
from lstmega.display.progress import Progress
from lstmega.errors import UsageError
from lstmega.evaluation import classifier as verdicts
from lstmega.evaluation.classifier import ClassifierEvaluation, Predictions
from lstmega.runs import classifier_job as classifier_jobs
from lstmega.runs.classifier_job import Tokens
from lstmega.runs.classifier_run import ClassifierRun
from lstmega.runs.generator_job import CHECKPOINTS

if TYPE_CHECKING:
    import keras

    from lstmega.nn.devices import DeviceChoice

Data = Labelled | Where | Sequence[Where]


def train(
    data: Data,
    *,
    label: str | None = None,
    text: Sequence[str] = (),
    header: bool = False,
    class_names: Where | None = None,
    labels: Where | None = None,
    encoding: str | None = None,
    tokens: Tokens | None = None,
    max_vocabulary: int | None = None,
    run: Where | None = None,
    checkpoints: Where = CHECKPOINTS,
    resume: bool | None = None,
    save_every: int | None = None,
    device: "DeviceChoice" = "auto",
    threads: int | None = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    progress: Progress | bool = True,
    **options: Any,
) -> ClassifierRun:
    """Train a classifier of sequences.

    Args:
        data: A directory with a text file for each class, a CSV or TSV file, an `.npz` file with `x` and
            `y`, MNIST's files, several of one kind, or a `Labelled`.
        label: The column of the class in a table, by number from 1 or by name; None is the first.
        text: The columns that are read, joined by spaces; none is all others.
        header: Skip the first row of a table.
        class_names: A file whose lines name the classes 1, 2, ... (or 0, 1, ...).
        labels: MNIST's file of labels, where it is not beside the images.
        encoding: Of text files, where it is not UTF-8 and has no mark.
        tokens: Read texts by `char` or by `word`; None takes characters for short ones.
        max_vocabulary: Keep this many characters or words; the rest is read as unknown.
        run: The run's name below `checkpoints`, or a path; None makes one of data and time.
        checkpoints: The directory of runs.
        resume, save_every, device, threads, callbacks, progress: As for `lstmega.train`; callbacks see
            `val_accuracy` too.
        options: Fields of `ClassifierOptions` and `TrainingOptions`: `units=`, `pool=`, `epochs=`, ...

    Returns:
        The finished run.

    Raises:
        UsageError: An option, the data or the run's name cannot be used as given.
        TrainingError: The loss became NaN or infinite.
        Stopped: A signal came; everything is saved, and the same call with `run=` goes on.
    """
    listener = givens.listener(progress)
    how = {
        "label": label,
        "text": tuple([text] if isinstance(text, str) else text),
        "header": header,
        "class_names": None if class_names is None else str(Path(class_names).resolve()),
        "labels": None if labels is None else str(Path(labels).resolve()),
        "encoding": encoding,
    }
    try:
        job = classifier_jobs.prepare(
            _read(data, how),
            tokens=tokens,
            run=run,
            checkpoints=checkpoints,
            resume=resume,
            max_vocabulary=max_vocabulary,
            reading=how | {"data": _places(data)},
            **options,
        )
        finished: ClassifierRun = givens.trained(
            job,
            classifier_jobs.renewed,
            device=device,
            threads=threads,
            save_every=save_every,
            users=callbacks,
            progress=listener,
        )
        return finished
    finally:
        listener.end()


def load(run: Where | None = None, *, checkpoints: Where = CHECKPOINTS) -> ClassifierRun:
    """Open a classifier by name or path; without either, the newest that has weights.

    Raises:
        UsageError: There is no such run, or it is no classifier.
        RunError: It is damaged.
    """
    return ClassifierRun.find(Path(checkpoints), run)


def predict(
    run: ClassifierRun | Where | None,
    sequences: Sequence[Any] | str,
    *,
    checkpoints: Where = CHECKPOINTS,
) -> Predictions:
    """Tell the classes of sequences; without TensorFlow.

    Args:
        run: A `ClassifierRun`, its name or its path; None is the newest.
        sequences: A text or several, or arrays `[time, features]` (pixels as from 0 to 1).
        checkpoints: The directory of runs.

    Returns:
        One prediction for each, with all classes' probabilities; shows itself in notebooks.

    Raises:
        UsageError: They are not what the run reads.
    """
    asked = [sequences] if isinstance(sequences, str) else list(sequences)
    if any(isinstance(one, numbers.Number) for one in asked):
        raise UsageError("Sequences must be texts, or arrays [time, features]. Received: numbers.")
    names = [one if isinstance(one, str) else f"example {place}" for place, one in enumerate(asked)]
    return verdicts.predict(_run(run, checkpoints), asked, names)


def evaluate(
    run: ClassifierRun | Where | None = None,
    data: Data | None = None,
    *,
    checkpoints: Where = CHECKPOINTS,
    moved: bool = False,
    **how: Any,
) -> ClassifierEvaluation:
    """Compare what a classifier says with what is true; without TensorFlow.

    Args:
        run: A `ClassifierRun`, its name or its path; None is the newest.
        data: Other examples; None is what was held out of the data of the run, which is read again from
            where it was.
        checkpoints: The directory of runs.
        moved: `data` is the run's own data in another place: measure what was held out of it.
        how: How `data` is read where that is not as for the run: `label=`, `text=`, `header=`,
            `class_names=`, `labels=`, `encoding=`.

    Returns:
        Accuracy, macro-F1, the scores of each class, the confusion matrix; shows itself in notebooks.

    Raises:
        UsageError: The data is not there any more, is other data, or has classes that the run does not
            know.
    """
    opened = _run(run, checkpoints)
    info = opened.record.data
    said = dict(info.reading) | {name: value for name, value in how.items() if value}
    if data is not None and not moved:
        other = _read(data, said)
        return verdicts.evaluate(opened, other, np.arange(len(other.labels)), other.name)
    own = _read(data if data is not None else _where_it_was(opened), said)
    if own.sha256 != info.sha256:
        raise UsageError(
            f"{own.name} is not the data that {opened.name} was trained on. "
            f"Received: sha256 {own.sha256[:12]}. Accepted: {info.sha256[:12]}."
        )
    _, places = classifier_jobs.split(own, opened.record.model, opened.record.training)
    return verdicts.evaluate(opened, own, places, f"held out of {own.name}")


def _run(run: ClassifierRun | Where | None, checkpoints: Where) -> ClassifierRun:
    return run if isinstance(run, ClassifierRun) else load(run, checkpoints=checkpoints)


def _read(data: Data, how: Mapping[str, Any]) -> Labelled:
    if isinstance(data, Labelled):
        return data
    return labelled.read(data, **{name: value for name, value in how.items() if value})


def _places(data: Data) -> list[str]:
    if isinstance(data, Labelled):
        return [source.path for source in data.sources]
    return [str(Path(one).resolve()) for one in ([data] if isinstance(data, str | Path) else data)]


def _where_it_was(run: ClassifierRun) -> list[Path]:
    places = [(run.path / place).resolve() for place in run.record.data.places]
    missing = [str(place) for place in places if not place.exists()]
    if missing or not places:
        raise UsageError(
            f"The data that {run.name} was trained on is needed. Received: nothing at "
            f"{', '.join(missing) or 'any place'}. Accepted: --data, with --moved where it has moved."
        )
    return places
