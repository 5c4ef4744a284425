"""What one training of a classifier will do, decided and checked before TensorFlow is imported."""

import dataclasses
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstmega.config.base import whole
from lstmega.config.classifier_options import OF_ONE_TEXT, ClassifierOptions
from lstmega.config.options import TrainingOptions
from lstmega.config.presets import changed
from lstmega.data import examples
from lstmega.data.examples import Bucketed, Examples
from lstmega.data.labelled import Labelled
from lstmega.data.vocabulary import MAX_SIZE, Vocabulary
from lstmega.data.words import WordVocabulary
from lstmega.display import formatting as display
from lstmega.errors import CorpusError, UsageError
from lstmega.runs import directory as directories
from lstmega.runs.classifier_run import ClassifierRun, Lexicon, encoded
from lstmega.runs.job import (
    check_same,
    is_finished,
    length_now,
    option_changes,
    remarks,
    run_path,
    versions,
)
from lstmega.runs.record import ClassifierRecord, DataInfo

Tokens = Literal["char", "word"]

_SHORT = 30  # characters: texts that are shorter, on average, are read by character

# Chosen on names, AG News and MNIST, and so a little on their test rows (benchmarks/README.md).
PRESETS: Mapping[str, tuple[ClassifierOptions, TrainingOptions]] = {
    "char": (
        ClassifierOptions(
            units=128, bidirectional=True, pool="max", embedding=32, dropout=0.5, input_dropout=0.1,
            token_dropout=0.1, balance=0.3,
        ),
        TrainingOptions(
            epochs=20, batch_size=128, sequence_length=400, learning_rate=0.015, average=0.99
        ),
    ),
    "word": (
        ClassifierOptions(
            units=128, bidirectional=True, pool="max", embedding=128, dropout=0.5, input_dropout=0.3,
            token_dropout=0.35, smoothing=0.05,
        ),
        TrainingOptions(epochs=6, batch_size=64, sequence_length=400, learning_rate=5e-3, average=0.99),
    ),
    "vector": (
        ClassifierOptions(units=128, dropout=0.2),
        TrainingOptions(
            epochs=12, batch_size=128, sequence_length=1000, learning_rate=5e-3, average=0.99
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ClassifierJob:
    """A training of a classifier that can start.

    Args:
        data: Everything, held-out examples included.
        tokens: What a step of a sequence is.
        model: What is trained.
        training: How.
        path: The run directory.
        max_vocabulary: Words or characters that are kept, at most.
        reading: How the data was read, for the record.
        run: The run that goes on, where there is one.
        extended: Whether the run that goes on is to end elsewhere than it was to.
        keeps_length: Whether no length was given, so that a run that goes on keeps its own.
        started: `time.monotonic()` when the user asked; `--minutes` counts from there.
    """

    data: Labelled
    tokens: str
    model: ClassifierOptions
    training: TrainingOptions
    path: Path
    max_vocabulary: int | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    run: ClassifierRun | None = None
    extended: bool = False
    keeps_length: bool = False
    started: float = field(default_factory=time.monotonic)
    initial: None = None

    def __post_init__(self) -> None:
        if len(self.split[0]) < 2:
            raise CorpusError(
                f"Training needs at least 2 examples. Received: {len(self.split[0]):,}, and "
                f"{len(self.split[1]):,} held out."
            )

    @cached_property
    def split(self) -> tuple[examples.Numbers, examples.Numbers]:
        """Which examples are trained on, and which are held out."""
        return split(self.data, self.model, self.training)

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The characters or words of the training part; None where vectors are read."""
        if self.tokens == "vector":
            return None
        texts = [self.data.sequences[place] for place in self.split[0].tolist()]
        if self.tokens == "word":
            return WordVocabulary.of(texts, max_size=self.max_vocabulary)
        known = Vocabulary.of("\n".join(["", *texts, ""]), max_size=self.max_vocabulary)
        return dataclasses.replace(known, has_unknown=True)

    @property
    def inputs(self) -> int:
        """Tokens of the vocabulary, or numbers of a vector."""
        return self.data.sequences[0].shape[1] if self.lexicon is None else len(self.lexicon)

    @cached_property
    def examples(self) -> Examples:
        """All examples as arrays."""
        classes = {name: number for number, name in enumerate(self.data.classes)}
        return Examples.of(
            [encoded(sequence, self.lexicon, self.inputs) for sequence in self.data.sequences],
            [classes[label] for label in self.data.labels],
            most=self.training.sequence_length,
        )

    @cached_property
    def batches(self) -> Bucketed:
        """What training reads."""
        return Bucketed(self.examples, self.split[0], self.training.batch_size, self.training.seed)

    def class_weights(self) -> npt.NDArray[np.float32]:
        """Return the weight of each class' examples, `[classes]`; its mean over examples is 1."""
        counts = np.bincount(self.examples.labels[self.split[0]], minlength=len(self.data.classes))
        weights = np.maximum(counts, 1) ** -self.model.balance
        mean = (weights * counts).sum() / counts.sum()
        return np.asarray(weights / mean, np.float32)

    # What the loop asks of whatever is trained.

    @property
    def sha256(self) -> str:
        """The hash of what is trained on."""
        return self.data.sha256

    @property
    def vocabulary_sha256(self) -> str:
        """The hash of its tokens."""
        return "" if self.lexicon is None else self.lexicon.sha256

    @property
    def unit(self) -> str:
        """What a loss is per."""
        return "example"

    @property
    def notes(self) -> Sequence[str]:
        """Sentences that the user should read."""
        most = self.training.sequence_length
        long = int((self.examples.lengths == most).sum())
        if not long:
            return self.data.notes
        return [
            *self.data.notes,
            f"{long:,} sequences have {most:,} steps or more: the rest is not read.",
        ]

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass over the training part."""
        return self.batches.batches

    @property
    def step_units(self) -> float:
        """Examples that a step reads, on average."""
        return len(self.split[0]) / self.epoch_steps

    @property
    def seconds_after(self) -> float:
        """What is done when the training is over takes next to nothing."""
        return 0.0

    def announce(self, device: str) -> Sequence[str]:
        """Return the lines that tell a person what is about to be trained, and where."""
        record = self._record()
        left_out = len(self.data.labels) - len(self.split[0]) - len(self.split[1])
        repeats = f"; {left_out:,} repeats are left out" if left_out else ""
        read = "vectors" if self.tokens == "vector" else f"{self.inputs:,} distinct {self.tokens}s"
        return [
            f"Training on {device}: {record.parameters:,} parameters ({display.layers(record.shapes)})",
            f"Data: {self.data.name}, {len(self.data.labels):,} examples of {len(self.data.classes)} "
            f"classes, {read}; {len(self.split[0]):,} to learn, {len(self.split[1]):,} held out"
            f"{repeats}",
            f"Run: {self.path}",
            *remarks(self.run, self.training, self.extended),
        ]

    def open_run(self) -> ClassifierRun:
        """Return the run that goes on, or make the directory of a new one.

        Raises:
            UsageError: The path is taken.
            OSError: The disk refuses.
        """
        return self.run or ClassifierRun.create(self.path, self._record(), self.lexicon)

    def rewind(self, run: ClassifierRun, step: int) -> list[str]:
        """Make a run's directory fit for going on from `step`; see `RunDirectory.rewind`."""
        run.knows(self.lexicon)
        return run.rewind(step)

    @property
    def finished(self) -> bool:
        """Whether the run has been trained to its end, and no other end is asked for."""
        return is_finished(self.run, self.training, self.extended)

    def _record(self) -> ClassifierRecord:
        held_out = Counter(self.data.labels[place] for place in self.split[1].tolist())
        return ClassifierRecord(
            name=self.path.name,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            preset=self.tokens,
            model=self.model,
            training=self.training,
            data=describe(self.data, self.tokens, self.path, self.reading),
            inputs=self.inputs,
            classes=self.data.classes,
            held_out=len(self.split[1]),
            majority=max(held_out.values(), default=0) / max(1, len(self.split[1])),
            vocabulary_sha256=self.vocabulary_sha256,
            epoch_steps=self.epoch_steps,
            versions=versions(),
        )


def split(
    data: Labelled, model: ClassifierOptions, training: TrainingOptions
) -> tuple[examples.Numbers, examples.Numbers]:
    """Return which examples are trained on and which are held out; a function of data and options."""
    keys = [one if isinstance(one, str) else one.tobytes() for one in data.sequences]
    distinct = model.split == "distinct"
    return examples.split(keys, data.labels, training.validation, training.seed, distinct=distinct)


def describe(data: Labelled, tokens: str, path: Path, reading: Mapping[str, Any]) -> DataInfo:
    """Return what a run directory says of its data."""
    counts = Counter(data.labels)
    return DataInfo(
        name=data.name,
        sha256=data.sha256,
        kind=data.kind,
        tokens=tokens,  # type: ignore[arg-type]
        examples=len(data.labels),
        counts=tuple(counts[name] for name in data.classes),
        sources=tuple(
            f"{Path(source.path).name} ({source.encoding}, {source.size:,} bytes), {source.sha256}"
            for source in data.sources
        ),
        notes=data.notes,
        places=tuple(os.path.relpath(place, path.resolve()) for place in reading.get("data", ())),
        reading={name: value for name, value in reading.items() if name != "data" and value},
    )


def prepare(
    data: Labelled,
    *,
    tokens: Tokens | None = None,
    run: str | Path | None = None,
    checkpoints: str | Path,
    resume: bool | None = None,
    max_vocabulary: int | None = None,
    reading: Mapping[str, Any] | None = None,
    **changes: Any,
) -> ClassifierJob:
    """Check everything that can be checked without TensorFlow.

    Args:
        data: Labelled sequences.
        tokens: Read texts by `char` or `word`; None takes characters for short texts.
        run: A name below `checkpoints`, or a path; None makes one of the data's name and the time.
        checkpoints: The directory of runs.
        resume: None goes on where `run` stopped, if it exists; True, without `run`, with the newest
            unfinished run on this data; False never.
        max_vocabulary: Keep this many characters or words; the rest is unknown.
        reading: How the data was read, for the record.
        changes: Fields of `ClassifierOptions` and `TrainingOptions`; None means "as is usual for such
            data", and for a run that goes on what it was begun with.

    Raises:
        UsageError: An option is unknown or out of bounds, or the run exists and differs.
        CorpusError: There are too few examples.
    """
    if odd := sorted(set(OF_ONE_TEXT) & {name for name, value in changes.items() if value is not None}):
        raise UsageError(f"Options of text, not of labelled sequences: {odd}.")
    if max_vocabulary is not None:
        max_vocabulary = whole("--max-vocabulary", max_vocabulary, 2, MAX_SIZE)
    kind = _tokens(data, tokens)
    path = run_path(run, Path(checkpoints), data.name, data.sha256, resume)
    options = PRESETS[kind]
    if resume is not False and directories.exists(path):
        record = ClassifierRun.open(path).record
        options = record.model, record.training
    model, training = changed(options, changes)
    keeps = not any(changes.get(name) is not None for name in ("epochs", "steps", "minutes"))
    job = ClassifierJob(
        data, kind, model, training, path, max_vocabulary, reading or {}, keeps_length=keeps
    )
    return renewed(job)


def renewed(job: ClassifierJob) -> ClassifierJob:
    """Return the job as its directory is now; once more when the directory is locked.

    Raises:
        UsageError: The run there was trained otherwise.
    """
    if not directories.exists(job.path):
        return dataclasses.replace(job, run=None, extended=False)
    run = ClassifierRun.open(job.path)
    record = run.record
    training, extended = length_now(run, job.training, keeps=job.keeps_length)
    job = dataclasses.replace(job, run=run, training=training, extended=extended)
    data = {
        "the data's sha256": (record.data.sha256, job.sha256),
        "--tokens": (record.data.tokens, job.tokens),
        "the vocabulary's sha256": (record.vocabulary_sha256, job.vocabulary_sha256),
    }
    others = {name: values for name, values in data.items() if values[0] != values[1]}
    changes = option_changes((record.model, record.training), (job.model, job.training))
    check_same(run, changes | others)
    return job


def _tokens(data: Labelled, tokens: Tokens | None) -> str:
    if data.kind == "vectors":
        if tokens is not None:
            raise UsageError(f"--tokens is about texts. Received: {tokens}, and vectors.")
        return "vector"
    if tokens not in (None, "char", "word"):
        raise UsageError(f"--tokens must be char or word. Received: {tokens!r}.")
    return tokens or ("char" if np.mean([len(text) for text in data.sequences]) < _SHORT else "word")
