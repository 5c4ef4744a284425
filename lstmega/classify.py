"""Classification of sequences: the functions behind `lstmega classify`.

    import lstmega
    run = lstmega.classify.train("names")
    lstmega.classify.predict(run, ["Thais"])
    lstmega.classify.evaluate(run).accuracy

Arguments and errors are those of all functions in `api`.
"""

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from lstmega import arguments
from lstmega.arguments import PathLike, check_options, resolve
from lstmega.config.keywords import ClassifierOptions, ReadingOptions
from lstmega.config.model import ClassifierConfig
from lstmega.config.presets import given_of
from lstmega.config.training import DeviceChoice, TrainingConfig
from lstmega.data import labelled
from lstmega.data.labelled import Labelled
from lstmega.display.progress import Progress
from lstmega.errors import UsageError
from lstmega.evaluation import classifier
from lstmega.evaluation.classifier import ClassifierEvaluation, Predictions
from lstmega.runs import classifier_job, provenance
from lstmega.runs.classifier_job import TextTokens, split_of
from lstmega.runs.job import CHECKPOINTS
from lstmega.runs.run import ClassifierRun, Run

Data = Labelled | PathLike | Sequence[PathLike]


def train(
    data: Data,
    *,
    label: str | None = None,
    text: str | Sequence[str] = (),
    header: bool | None = None,
    class_names: PathLike | None = None,
    labels: PathLike | None = None,
    encoding: str | None = None,
    tokens: TextTokens | None = None,
    max_vocabulary: int | None = None,
    run: PathLike | None = None,
    checkpoints: PathLike = CHECKPOINTS,
    resume: bool | None = None,
    init_from: Run | PathLike | None = None,
    save_every: int | None = None,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress | bool = True,
    **options: Unpack[ClassifierOptions],
) -> ClassifierRun:
    """Train a classifier of sequences.

    Args:
        data: A directory with a text file for each class, a CSV or TSV file, an `.npz` file with `x` and
            `y`, MNIST's files, several of one kind, or a `Labelled`.
        label: The column of the class in a table, by number from 1 or by name; None is the first.
        text: The columns to read, joined by spaces; by default all others.
        header: Whether the first row of a table has names (None: no); a column given by name means that
            too.
        class_names: A file whose lines name the classes 1, 2, ... (or 0, 1, ...).
        labels: MNIST's file of labels, where it is not beside the images.
        encoding: The encoding of text files, where it is not UTF-8 and has no byte-order mark.
        tokens: Read texts by `char` or by `word`; None reads short texts by character.
        max_vocabulary: Keep this many characters or words; the rest become `<unk>`.
        run: The run's name below `checkpoints`, or a path; None makes one of data and time.
        checkpoints: The directory of runs.
        resume, save_every, device, threads, callbacks, progress: As for `lstmega.train`; callbacks see
            `val_accuracy` too.
        init_from: A run whose embedding and recurrent layers a new run starts from (warm start): a
            generator of characters, or another classifier.
        options: Fields of `ClassifierConfig` and `TrainingConfig`: `units=`, `pool=`, `epochs=`, ...

    Returns:
        The finished run.

    Raises:
        UsageError: An option, the data or the run's name cannot be used as given.
        TrainingError: The loss became NaN or infinite, or memory is short.
        Stopped: A signal came; everything is saved, and the same call with `run=` resumes the training.
    """
    check_options(train, options, ClassifierConfig, TrainingConfig)
    reading = {
        "label": label,
        "text": tuple([text] if isinstance(text, str) else text),
        "header": bool(header),
        "class_names": None if class_names is None else str(Path(class_names).resolve()),
        "labels": None if labels is None else str(Path(labels).resolve()),
        "encoding": encoding,
    }
    with arguments.display(progress) as display:
        job = classifier_job.prepare(
            _read(data, reading),
            tokens=tokens,
            run=run,
            checkpoints=checkpoints,
            resume=resume,
            init_from=None if init_from is None else resolve(Run, init_from, checkpoints),
            max_vocabulary=max_vocabulary,
            reading=reading | {"data": _places(data)},
            **options,
        )
        how = {"device": device, "threads": threads, "callbacks": callbacks}
        return arguments.trained(job, display, save_every=save_every, **how)


def load(run: PathLike | None = None, *, checkpoints: PathLike = CHECKPOINTS) -> ClassifierRun:
    """Open a classifier by name or path; by default the newest that has weights."""
    return resolve(ClassifierRun, run, checkpoints)


def predict(
    run: Run | PathLike | None, sequences: Sequence[Any] | str, *, checkpoints: PathLike = CHECKPOINTS
) -> Predictions:
    """Classify sequences; without TensorFlow.

    Args:
        run, checkpoints: As for all functions.
        sequences: A text or several, or arrays `[time, features]` (pixels from 0 to 1).

    Returns:
        One prediction for each, with all classes' probabilities; displays itself in notebooks.

    Raises:
        UsageError: The sequences are not of the kind that the run reads.
    """
    asked = [sequences] if isinstance(sequences, str) else list(sequences)
    if any(isinstance(one, numbers.Number) for one in asked):
        raise UsageError("Sequences must be texts, or arrays [time, features]. Received: numbers.")
    names = [one if isinstance(one, str) else f"example {place}" for place, one in enumerate(asked)]
    return classifier.predict(resolve(ClassifierRun, run, checkpoints), asked, names)


def evaluate(
    run: Run | PathLike | None = None,
    data: Data | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    moved: bool = False,
    **reading: Unpack[ReadingOptions],
) -> ClassifierEvaluation:
    """Compare a classifier's predictions with the true classes; without TensorFlow.

    Args:
        run, checkpoints: As for all functions.
        data: Other examples; None takes the held-out examples of the run's data, which is read again
            from the place where it was.
        moved: Whether `data` is the run's own data in another place: its held-out examples are measured.
        reading: How `data` is read, where that differs from the run's data: `label=`, `text=`,
            `header=`, `class_names=`, `labels=`, `encoding=`.

    Returns:
        Accuracy, macro-F1, the scores of each class, the confusion matrix; displays itself in notebooks.

    Raises:
        UsageError: The data is missing, is other data, or has classes that the run does not have.
    """
    opened = resolve(ClassifierRun, run, checkpoints)
    info = opened.record.data
    how = vars(info.reading) | given_of(reading)
    if data is not None and not moved:
        other = _read(data, how)
        return classifier.evaluate(opened, other, np.arange(len(other.labels)), other.name)
    if data is not None:
        own = _read(data, how)
    else:
        accepted = "--data, with --moved where it has moved"
        own = provenance.read_again(opened, lambda paths: _read(paths, how), "data", accepted)
    if own.sha256 != info.sha256:
        raise UsageError(
            f"{own.name} is not the data that {opened.name} was trained on. "
            f"Received: sha256 {own.sha256[:12]}. Accepted: {info.sha256[:12]}."
        )
    _, held_out = split_of(own, opened.record.model, opened.record.training)
    return classifier.evaluate(opened, own, held_out, f"held out of {own.name}")


def _read(data: Data, reading: Mapping[str, Any]) -> Labelled:
    if isinstance(data, Labelled):
        return data
    return labelled.read(data, **given_of(reading))


def _places(data: Data) -> list[str]:
    if isinstance(data, Labelled):
        return [source.path for source in data.sources]
    return [str(Path(one).resolve()) for one in ([data] if isinstance(data, str | Path) else data)]
