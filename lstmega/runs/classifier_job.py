"""The training of a classifier: its labelled data, split, encoded and bucketed."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from lstmega.config import presets
from lstmega.config.base import check_choice, check_int
from lstmega.config.model import ClassifierConfig
from lstmega.config.training import TEXT_ONLY, TrainingConfig
from lstmega.data.bucketing import ExampleBatches, Examples, Ints, split_examples
from lstmega.data.labelled import Labelled
from lstmega.data.vocabulary import MAX_SIZE, AnyVocabulary, Vocabulary, WordVocabulary
from lstmega.display import formatting
from lstmega.errors import CorpusError, UsageError
from lstmega.runs import directory, provenance
from lstmega.runs.job import (
    Changes,
    TrainingJob,
    check_network,
    check_warm_start,
    gives_length,
    kept_by,
    run_path,
)
from lstmega.runs.record import ClassifierRecord, DataInfo, Reading
from lstmega.runs.run import ClassifierRun, GeneratorRun, Run, encoded

TextTokens = Literal["char", "word"]
DataTokens = Literal["char", "word", "vector"]

_SHORT = 30  # characters: texts that are shorter, on average, are read by character
# Options of the backbone, which a warm start takes from the run that it starts from.
_BACKBONE = ("cell", "units", "layers", "embedding", "residual", "layer_norm")


@dataclass(frozen=True, kw_only=True)
class ClassifierJob(TrainingJob[ClassifierRun]):
    """The training of a classifier.

    Args:
        data: Labelled sequences.
        tokens: The kind of token: `char`, `word` or `vector`.
        max_vocabulary: Words or characters to keep, at most.
        reading: The options with which the data was read, for the record; `data` has absolute paths.
        initial: The run whose embedding and recurrent layers a new run starts from.
    """

    run_type: ClassVar[type[ClassifierRun]] = ClassifierRun
    model: ClassifierConfig
    data: Labelled
    tokens: DataTokens
    max_vocabulary: int | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    initial: GeneratorRun | ClassifierRun | None = None

    def __post_init__(self) -> None:
        if len(self.split[0]) < 2:
            raise CorpusError(
                f"Training needs at least 2 examples. Received: {len(self.split[0]):,}, and "
                f"{len(self.split[1]):,} held out."
            )

    @cached_property
    def split(self) -> tuple[Ints, Ints]:
        """The examples to train on, and the held-out examples."""
        return split_of(self.data, self.model, self.training)

    @cached_property
    def vocabulary(self) -> AnyVocabulary | None:
        """The characters or words of the training part, and of a warm start; None for vectors."""
        if self.run is not None and self.run.record.initial:
            return self.run.vocabulary
        if self.tokens == "vector":
            return None
        texts = [self.data.sequences[place] for place in self.split[0].tolist()]
        if self.tokens == "word":
            return WordVocabulary.of(texts, max_size=self.max_vocabulary)
        known = Vocabulary.of("\n".join(["", *texts, ""]), max_size=self.max_vocabulary)
        if self.initial is not None and isinstance(self.initial.vocabulary, Vocabulary):
            known = self.initial.vocabulary.merged(known)
        return replace(known, has_unknown=True)

    @property
    def inputs(self) -> int:
        """Vocabulary size, or features of a vector."""
        return self.data.sequences[0].shape[1] if self.vocabulary is None else len(self.vocabulary)

    @cached_property
    def examples(self) -> Examples:
        """All examples as arrays."""
        classes = {name: number for number, name in enumerate(self.data.classes)}
        return Examples.of(
            [encoded(sequence, self.vocabulary, self.inputs) for sequence in self.data.sequences],
            [classes[label] for label in self.data.labels],
            most=self.training.sequence_length,
        )

    @cached_property
    def batches(self) -> ExampleBatches:
        """The training batches."""
        return ExampleBatches(self.examples, self.split[0], self.training.batch_size, self.training.seed)

    def class_weights(self) -> npt.NDArray[np.float32]:
        """Return the weight of each class' examples, `[classes]`; the mean over examples is 1."""
        counts = np.bincount(self.examples.labels[self.split[0]], minlength=len(self.data.classes))
        weights = np.maximum(counts, 1) ** -self.model.class_weight_power
        mean = (weights * counts).sum() / counts.sum()
        return np.asarray(weights / mean, np.float32)

    @property
    def notes(self) -> list[str]:
        most = self.training.sequence_length
        long = int((self.examples.lengths == most).sum())
        cut = [f"{long:,} sequences have {most:,} steps or more: the rest is not read."] if long else []
        return [*self.data.notes, *cut]

    @property
    def step_units(self) -> float:
        return len(self.split[0]) / self.epoch_steps

    def summary(self, device: str) -> list[str]:
        record, data, (training, held_out) = self._record(), self.data, self.split
        dropped = len(data.labels) - len(training) - len(held_out)
        read = "vectors" if self.tokens == "vector" else f"{self.inputs:,} distinct {self.tokens}s"
        return [
            f"Training on {device}: {record.parameters:,} parameters "
            f"({formatting.layers(record.shapes)})",
            f"Data: {data.name}, {len(data.labels):,} examples of {len(data.classes)} classes, {read}; "
            f"{len(training):,} to learn, {len(held_out):,} held out"
            + (f"; {formatting.count(dropped, 'repeat')} dropped" if dropped else ""),
        ]

    def _texts(self) -> tuple[AnyVocabulary | None]:
        return (self.vocabulary,)

    def _resuming(self, run: ClassifierRun) -> tuple[Self, Changes]:
        info, job = run.record.data, replace(self, run=run)
        return job, {
            "the data of sha256": (info.sha256[:12], job.data.sha256[:12]),
            "--tokens": (info.tokens, job.tokens),
            "the vocabulary of sha256": (run.record.vocabulary_sha256[:12], job.vocabulary_sha256[:12]),
        }

    def _record(self) -> ClassifierRecord:
        data, reading, path = self.data, dict(self.reading), self.path.resolve()
        origins = tuple(reading.pop("data", ()))
        counts = Counter(data.labels)
        held_out = Counter(data.labels[place] for place in self.split[1].tolist())
        info = DataInfo(
            name=data.name,
            sha256=data.sha256,
            kind=data.kind,
            tokens=self.tokens,
            examples=len(data.labels),
            counts=tuple(counts[name] for name in data.classes),
            sources=provenance.source_lines(data.sources),
            notes=data.notes,
            places=tuple(os.path.relpath(place, path) for place in origins),
            origins=origins,
            reading=Reading(**{name: value for name, value in reading.items() if value}),
        )
        return ClassifierRecord(
            **self.record_fields(),
            preset=self.tokens,
            data=info,
            inputs=self.inputs,
            classes=data.classes,
            held_out=len(self.split[1]),
            majority=max(held_out.values(), default=0) / max(1, len(self.split[1])),
        )


def split_of(data: Labelled, model: ClassifierConfig, training: TrainingConfig) -> tuple[Ints, Ints]:
    """Return the examples to train on and the held-out ones: a function of data and options."""
    keys = [one if isinstance(one, str) else one.tobytes() for one in data.sequences]
    distinct = model.split == "distinct"
    return split_examples(keys, data.labels, training.validation, training.seed, distinct=distinct)


def prepare(
    data: Labelled,
    *,
    tokens: TextTokens | None = None,
    run: str | Path | None = None,
    checkpoints: str | Path,
    resume: bool | None = None,
    init_from: Run | None = None,
    max_vocabulary: int | None = None,
    reading: Mapping[str, Any] | None = None,
    **options: Any,
) -> ClassifierJob:
    """Check everything that can be checked without TensorFlow; arguments as for `classify.train`.

    Args:
        reading: The options with which the data was read, for the record.

    Raises:
        UsageError: An option does not exist or is out of bounds, or the run exists and differs.
        CorpusError: There are too few examples.
    """
    if odd := sorted(set(TEXT_ONLY) & presets.given_of(options).keys()):
        raise UsageError(f"Options of texts, not of labelled sequences. Received: {', '.join(odd)}.")
    if max_vocabulary is not None:
        max_vocabulary = check_int("--max-vocabulary", max_vocabulary, 2, MAX_SIZE)
    kind = _tokens(data, tokens, init_from)
    path = run_path(run, Path(checkpoints), data, resume)
    defaults = presets.CLASSIFIERS[kind]
    if resume is not False and directory.exists(path):
        record = ClassifierRun.open(path).record
        defaults = record.model, record.training
    initial = _initial(init_from, kind)
    if initial is not None:
        before = vars(initial.record.model)
        options = {name: before[name] for name in _BACKBONE} | presets.given_of(options)
    model, training = presets.changed(defaults, options)
    if initial is not None:
        check_warm_start(initial, model, _BACKBONE)
    job = ClassifierJob(
        model=model,
        training=training,
        path=path,
        initial=initial,
        keeps_length=not gives_length(options),
        kept=kept_by(options),
        data=data,
        tokens=kind,
        max_vocabulary=max_vocabulary,
        reading=reading or {},
    )
    return job.refresh()


def _initial(run: Run | None, tokens: DataTokens) -> GeneratorRun | ClassifierRun | None:
    """Return the run of a warm start, if it reads characters as the new classifier does.

    Raises:
        UsageError: One of the two reads other tokens.
    """
    if not isinstance(run, GeneratorRun | ClassifierRun):
        return None
    theirs = run.record.text.tokens if isinstance(run, GeneratorRun) else run.record.data.tokens
    if (theirs, tokens) != ("char", "char"):
        raise UsageError(
            f"--init-from needs two models that read characters. Received: {run.name} reads {theirs} "
            f"tokens, this classifier {tokens} tokens. Accepted: --tokens char, and a run of characters."
        )
    check_network(run)
    if isinstance(run, GeneratorRun) and run.record.model.one_hot:
        raise UsageError(
            f"--init-from {run.name} has no learnt embedding. Accepted: a run without --one-hot."
        )
    return run


def _tokens(data: Labelled, tokens: TextTokens | None, initial: Run | None) -> DataTokens:
    if data.kind == "vectors":
        if tokens is not None:
            raise UsageError(f"--tokens applies to texts. Received: {tokens}, and vectors.")
        return "vector"
    if tokens is not None:
        check_choice("--tokens", tokens, get_args(TextTokens))
        return tokens
    short = np.mean([len(text) for text in data.sequences]) < _SHORT
    return "char" if short or initial is not None else "word"
