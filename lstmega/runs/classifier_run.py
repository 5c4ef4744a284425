"""A classifier's run: a run directory with its characters or words, and a NumPy model."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lstmega import files
from lstmega.data.examples import Bucketed, Examples
from lstmega.data.vocabulary import Vocabulary
from lstmega.data.words import WordVocabulary
from lstmega.errors import RunError, UsageError
from lstmega.inference.classifier import Classifier
from lstmega.runs import directory as directories
from lstmega.runs import schema
from lstmega.runs.directory import MOST_JSON, VOCABULARY, RunDirectory
from lstmega.runs.record import ClassifierRecord

Lexicon = Vocabulary | WordVocabulary

_ROWS = 256  # of a batch that is only read


class ClassifierRun(RunDirectory):
    """A classifier: what tells classes, and what it was trained on."""

    kind: ClassVar[str] = "classifier"
    next_step: ClassVar[str] = "See where it errs: lstmega classify evaluate"
    example: ClassVar[str] = "lstmega classify train --data names"
    record: ClassifierRecord

    @classmethod
    def create(cls, path: Path, record: ClassifierRecord, lexicon: Lexicon | None) -> Self:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        run = cls(path, record)
        run.knows(lexicon)
        run._begin()
        return run

    def knows(self, lexicon: Lexicon | None) -> None:
        """Hear what need not be read from the directory, and is written there when it is rewound."""
        self.__dict__["lexicon"] = lexicon

    def write_texts(self) -> None:
        """Write the vocabulary; vectors have none."""
        if self.lexicon is not None:
            files.write(self.path / VOCABULARY, json.dumps(self.lexicon.to_json()).encode())

    @cached_property
    def lexicon(self) -> Lexicon | None:
        """The characters or words and their ids; None where vectors are read.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        tokens, path = self.record.data.tokens, self.path / VOCABULARY
        if tokens == "vector":
            return None
        kind = Vocabulary if tokens == "char" else WordVocabulary
        try:
            lexicon = kind.from_json(schema.parse(directories.read_file(path, MOST_JSON), str(path)))
        except UsageError as error:
            raise RunError(f"{path}: {error}") from error
        directories.compare_hashes(path, lexicon.sha256, self.record.vocabulary_sha256)
        if len(lexicon) != self.record.inputs:
            raise RunError(f"{self.path}: vocabulary.json and run.json differ in size.")
        return lexicon

    def classifier(self) -> Classifier:
        """Return the NumPy model with the best weights."""
        return Classifier(self.record.model, self.weights())

    def probabilities(self, sequences: Sequence[str] | Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return each class' probability, `[sequences, classes]`.

        Args:
            sequences: Texts, or arrays `[time, features]`.

        Raises:
            UsageError: They are not what the run reads.
        """
        if len(sequences) == 0:
            return np.empty((0, len(self.record.classes)))
        examples = Examples.of(
            [encoded(one, self.lexicon, self.record.inputs) for one in sequences],
            [0] * len(sequences),
            most=self.record.training.sequence_length,
        )
        return np.exp(log_probabilities(self.classifier(), examples, np.arange(len(examples))))


def encoded(sequence: Any, lexicon: Lexicon | None, features: int) -> npt.NDArray[Any]:
    """Return a text as ids `[time]`, or vectors as float32 `[time, features]`.

    Characters stand between two line ends, so that a model knows where a text begins and ends.

    Raises:
        UsageError: It is neither, has another width, no step, or is not finite.
    """
    if lexicon is not None:
        if not isinstance(sequence, str) or not sequence.strip():
            raise UsageError(f"A text to classify must have a character. Received: {sequence!r:.80}.")
        return lexicon.encode(f"\n{sequence.strip()}\n" if isinstance(lexicon, Vocabulary) else sequence)
    array = np.asarray(sequence, np.float32)
    if array.ndim != 2 or array.shape[1] != features or len(array) == 0:
        raise UsageError(
            f"A sequence must be an array [time, {features}], of one step at least. "
            f"Received: {list(array.shape)}."
        )
    if not np.isfinite(array).all():
        raise UsageError("A sequence must have finite numbers. Received: NaN or infinity.")
    return array


def log_probabilities(
    classifier: Classifier, examples: Examples, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return the logarithm of each class' probability for some examples, `[places, classes]`."""
    found: dict[int, npt.NDArray[np.float64]] = {}
    for batch in Bucketed(examples, places, _ROWS).epoch(0):
        rows = classifier.log_probabilities(batch.inputs, batch.lengths)
        counted = batch.labels >= 0
        found |= dict(zip(batch.places[counted].tolist(), rows[counted], strict=True))
    return np.array([found[place] for place in places.tolist()])
