"""The two kinds of run: a generator with its text, a classifier with its labels."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from lstmega import files
from lstmega.config.model import GeneratorConfig
from lstmega.config.training import TrainingConfig
from lstmega.data.bucketing import ExampleBatches, Examples
from lstmega.data.vocabulary import AnyVocabulary, Vocabulary, WordVocabulary
from lstmega.errors import RunError, UsageError
from lstmega.inference.classifier import Classifier
from lstmega.inference.decoder import Decoder, WindowDecoder
from lstmega.runs import directory, schema
from lstmega.runs.directory import HELD_OUT, MAX_JSON, VOCABULARY, Run
from lstmega.runs.record import ClassifierRecord, GeneratorRecord
from lstmega.runs.weights import Weights

VocabularyT = TypeVar("VocabularyT", Vocabulary, WordVocabulary)

_ROWS = 256  # of a batch that is only read


class GeneratorRun(Run):
    """A generator: its vocabulary, its held-out text and its decoder."""

    kind: ClassVar[str] = "generator"
    example: ClassVar[str] = "lstmega train --corpus pydoc --preset tiny"
    next_step: ClassVar[str] = "Generate text: lstmega sample"
    record: GeneratorRecord

    @classmethod
    def create(cls, path: Path, record: GeneratorRecord, vocabulary: Vocabulary, held_out: str) -> Self:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        run = cls(path, record)
        run.attach(vocabulary, held_out)
        run.begin()
        return run

    def attach(self, vocabulary: Vocabulary, held_out: str) -> None:
        """Set vocabulary and held-out text, which then need not be read from the directory."""
        self.__dict__ |= {"vocabulary": vocabulary, "held_out": held_out}

    def write_texts(self) -> None:
        """Write the vocabulary and the held-out text."""
        files.write(self.path / VOCABULARY, json.dumps(self.vocabulary.to_json()).encode())
        files.write(self.path / HELD_OUT, directory.encode(self.held_out))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters and their ids.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        return _vocabulary(self, Vocabulary, self.record.vocabulary_size)

    @cached_property
    def held_out(self) -> str:
        """The text that training never saw; empty where nothing was held out."""
        path = self.path / HELD_OUT
        content = directory.read_file(path, 4 * self.record.held_out_characters)
        directory.compare_hashes(path, directory.digest(content), self.record.held_out_sha256)
        return content.decode("utf-8", "surrogatepass")

    def decoder(self) -> Decoder:
        """Return the NumPy model with the best weights."""
        return decoder_of(self.record.model, self.weights(), self.record.training, self.vocabulary)

    @property
    def lines(self) -> bool:
        """Whether each line is a text of its own."""
        return self.record.training.lines


class ClassifierRun(Run):
    """A classifier: its vocabulary and its NumPy model."""

    kind: ClassVar[str] = "classifier"
    example: ClassVar[str] = "lstmega classify train --data names"
    next_step: ClassVar[str] = "See its errors: lstmega classify evaluate"
    record: ClassifierRecord

    @classmethod
    def create(cls, path: Path, record: ClassifierRecord, vocabulary: AnyVocabulary | None) -> Self:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        run = cls(path, record)
        run.attach(vocabulary)
        run.begin()
        return run

    def attach(self, vocabulary: AnyVocabulary | None) -> None:
        """Set the vocabulary, which then need not be read from the directory."""
        self.__dict__["vocabulary"] = vocabulary

    def write_texts(self) -> None:
        """Write the vocabulary; vectors have none."""
        if self.vocabulary is not None:
            files.write(self.path / VOCABULARY, json.dumps(self.vocabulary.to_json()).encode())

    @cached_property
    def vocabulary(self) -> AnyVocabulary | None:
        """The characters or words and their ids; None where vectors are read.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        tokens = self.record.data.tokens
        if tokens == "vector":
            return None
        if tokens == "char":
            return _vocabulary(self, Vocabulary, self.record.inputs)
        return _vocabulary(self, WordVocabulary, self.record.inputs)

    def classifier(self) -> Classifier:
        """Return the NumPy model with the best weights."""
        return Classifier(self.record.model, self.weights())

    def probabilities(self, sequences: Sequence[str] | Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return each class' probability, `[sequences, classes]`.

        Args:
            sequences: Texts, or arrays `[time, features]`.

        Raises:
            UsageError: The sequences are not of the kind that the run reads.
        """
        if len(sequences) == 0:
            return np.empty((0, len(self.record.classes)))
        examples = Examples.of(
            [encoded(one, self.vocabulary, self.record.inputs) for one in sequences],
            [0] * len(sequences),
            most=self.record.training.sequence_length,
        )
        return np.exp(log_probabilities(self.classifier(), examples, np.arange(len(examples))))


def open_run(path: Path) -> GeneratorRun | ClassifierRun:
    """Open a run of either kind.

    Raises:
        RunError: There is no run, or its run.json is damaged or of a newer schema.
    """
    record = directory.read_record(path)
    if isinstance(record, GeneratorRecord):
        return GeneratorRun(path, record)
    if isinstance(record, ClassifierRecord):
        return ClassifierRun(path, record)
    raise RunError(f"{path} is neither a generator nor a classifier. Received: {record.name}.")


def _vocabulary(run: Run, kind: type[VocabularyT], size: int) -> VocabularyT:
    path = run.path / VOCABULARY
    try:
        found = kind.from_json(schema.parse(directory.read_file(path, MAX_JSON), str(path)))
    except UsageError as error:
        raise RunError(f"{path}: {error}") from error
    directory.compare_hashes(path, found.sha256, run.record.vocabulary_sha256)
    if len(found) != size:
        raise RunError(f"{run.path}: vocabulary.json and run.json differ in size.")
    return found


def decoder_of(
    config: GeneratorConfig, weights: Weights, training: TrainingConfig, vocabulary: Vocabulary
) -> Decoder:
    """Return the NumPy model that reads text as it was read in training."""
    if training.order == "windows":
        return WindowDecoder(config, weights, window=training.sequence_length)
    begins = int(vocabulary.encode("\n")[0]) if training.lines else None
    return Decoder(config, weights, begins=begins)


def encoded(sequence: Any, vocabulary: AnyVocabulary | None, features: int) -> npt.NDArray[Any]:
    """Return a text as ids `[time]`, or vectors as float32 `[time, features]`.

    Characters stand between two line ends, so that a model knows where a text begins and ends.

    Raises:
        UsageError: The sequence is neither, has another width, no step, or is not finite.
    """
    if vocabulary is not None:
        if not isinstance(sequence, str) or not sequence.strip():
            raise UsageError(f"A text to classify must have a character. Received: {sequence!r:.80}.")
        framed = f"\n{sequence.strip()}\n" if isinstance(vocabulary, Vocabulary) else sequence
        return vocabulary.encode(framed)
    array = np.asarray(sequence, np.float32)
    if array.ndim != 2 or array.shape[1] != features or len(array) == 0:
        raise UsageError(
            f"A sequence must be an array [time, {features}] with at least one step. "
            f"Received: {list(array.shape)}."
        )
    if not np.isfinite(array).all():
        raise UsageError("A sequence must have finite numbers. Received: NaN or infinity.")
    return array


def log_probabilities(
    classifier: Classifier, examples: Examples, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the logarithm of each class' probability, `[places, classes]`.

    Args:
        classifier: The model.
        examples: Encoded sequences.
        places: The examples to read.
    """
    found: dict[int, npt.NDArray[np.float64]] = {}
    for batch in ExampleBatches(examples, places, _ROWS).epoch(0):
        rows = classifier.log_probabilities(batch.inputs, batch.lengths)
        counted = batch.labels >= 0
        found |= dict(zip(batch.places[counted].tolist(), rows[counted], strict=True))
    return np.array([found[place] for place in places.tolist()])
