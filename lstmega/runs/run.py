"""Runs: the base class, and the two kinds, generators and classifiers."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from lstmega import files
from lstmega.config.model import GeneratorConfig
from lstmega.config.training import Mix, TrainingConfig
from lstmega.data.bucketing import ExampleBatches, Examples
from lstmega.data.vocabulary import AnyVocabulary, Vocabulary, WordVocabulary
from lstmega.display import export, formatting, html
from lstmega.display.history import HistoryRow, figure, from_csv, svg, to_csv
from lstmega.errors import RunError, UsageError
from lstmega.inference import ngram
from lstmega.inference.classifier import Classifier
from lstmega.inference.decoder import AdaptableStepper, Decoder, WindowDecoder
from lstmega.inference.mixture import NGramDecoder, PairedDecoder, mixed
from lstmega.inference.ngram import NGram
from lstmega.runs import directory, reading, schema, weights
from lstmega.runs.directory import HELD_OUT, VOCABULARY
from lstmega.runs.record import (
    LEAST_MIXED,
    ClassifierRecord,
    GeneratorRecord,
    Mixture,
    RunRecord,
    SavedWeights,
)
from lstmega.runs.weights import Weights

T = TypeVar("T")
VocabularyT = TypeVar("VocabularyT", Vocabulary, WordVocabulary)

_ROWS = 256  # of a batch that is only read
_MAX_VOCABULARY = 64 << 20  # bytes of vocabulary.json, where its number of tokens allows as many


class Run:
    """A run of either kind: opened with `open`, changed only through its methods.

    Args:
        path: The run directory.
        record: The content of run.json.
    """

    kind: ClassVar[str] = ""  # either
    example: ClassVar[str] = "lstmega train --corpus pydoc --preset tiny"
    next_step: ClassVar[str]  # a command that uses one, without --run
    record: RunRecord

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(cls, path: Path, record: RunRecord, *texts: Any) -> Self:
        """Make the directory of a new run; `texts` are the arguments of `attach`.

        Raises:
            UsageError: The path is taken.
            OSError: Writing fails.
        """
        if not directory.is_free(path):
            raise UsageError(f"{path} exists already. Choose another name with --run.")
        run = cls(path, record)
        run.attach(*texts)
        (path / directory.WEIGHTS).mkdir(parents=True, exist_ok=True)
        directory.clear(path)
        run.write_texts()
        run._write_record()
        files.sync(path.parent)
        return run

    def attach(self, *texts: Any) -> None:
        """Set vocabulary and texts, which then need not be read from the directory."""
        raise NotImplementedError

    def write_texts(self) -> None:
        """Write the small files that never change: the vocabulary, the held-out text."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run directory, and check everything in it; `Run.open` opens either kind.

        Raises:
            RunError: There is no run, or its run.json is damaged or of a newer schema.
            UsageError: It is a run of another kind.
        """
        record = directory.read_record(path)
        for kind in (cls, *cls.__subclasses__()):
            if kind.kind == record.kind:
                return kind(path, record)
        instead = {"classifier": "lstmega classify predict", "generator": "lstmega sample"}[record.kind]
        raise UsageError(f"{path} is a {record.kind}. Accepted here: a {cls.kind}. Try {instead}.")

    @classmethod
    def find(cls, checkpoints: Path, name: str | Path | None = None, *, trained: bool = True) -> Self:
        """Return a run of this kind by name or path; without either, the newest.

        Args:
            checkpoints: The directory of runs.
            name: A directory below `checkpoints`, or a path.
            trained: Whether the newest must have weights.

        Raises:
            UsageError: The run does not exist; the message lists the runs that exist.
        """
        if name is not None:
            return cls.open(directory.located(checkpoints, name))
        damaged = None
        for path in directory.directories(checkpoints):
            try:
                run = cls.open(path)
            except RunError as error:  # one damaged directory does not hide the others
                damaged = damaged or error
            except UsageError:  # of the other kind
                continue
            else:
                if run.trained or not trained:
                    return run
        if damaged is not None:
            raise damaged
        raise UsageError(
            f"There is no trained {cls.kind or 'run'} in {checkpoints}. Train one first, for example: "
            f"{cls.example}"
        )

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def states(self) -> Path:
        """The directory of exact training states (`state.py`)."""
        return self.path / directory.STATES

    @property
    def trained(self) -> bool:
        """Whether it can be used: there are weights, or an n-gram model that needs none."""
        return self.record.trained

    def update(self, **changes: Any) -> None:
        """Change fields of run.json, atomically."""
        self.record = dataclasses.replace(self.record, **changes)
        self._write_record()

    def _write_record(self) -> None:
        content = schema.seal(schema.to_json(self.record), directory.SCHEMA)
        files.write(self.path / directory.RECORD, content)

    def history(self) -> list[HistoryRow]:
        """Return one row for each validation, oldest first."""
        return self._log(directory.HISTORY, from_csv) or []

    def samples(self) -> str:
        """Return the previews of all validations."""
        return self._log(directory.SAMPLES, str) or ""

    # Weights.

    def weights_path(self, file: str) -> Path:
        """Return the path of a file below weights/."""
        return self.path / directory.WEIGHTS / file

    def weights(self) -> Weights:
        """Return the best weights by the names of `GeneratorConfig.weight_shapes`, checked.

        Raises:
            RunError: There are none yet, or the file is damaged or of another model.
            UsageError: The run has no network.
        """
        saved = self.record.best
        if not self.record.has_network:
            raise UsageError(f"{self.name} is an n-gram model. Accepted here: a run with a network.")
        if saved is None:
            raise RunError(f"{self.path} has no weights yet: training saves them at its validations.")
        if not directory.WEIGHTS_NAME.fullmatch(saved.file):
            raise RunError(
                f"{self.path / directory.RECORD}: not a name for weights: {saved.file!r:.80}."
            )
        path = self.weights_path(saved.file)
        parse = partial(weights.read, shapes=self.record.shapes, tied=self.record.tied, where=str(path))
        return reading.load(path, directory.max_weights(self.record), parse, saved.sha256)

    # Written by the training.

    def write_logs(self, history: Sequence[HistoryRow], samples: str, **changes: Any) -> None:
        """Replace history.csv and samples.txt, then name them in run.json with other changes."""
        contents = {directory.HISTORY: to_csv(history), directory.SAMPLES: samples}
        logs = {name: directory.write_text(self.path / name, text) for name, text in contents.items()}
        self.update(logs=logs, **changes)

    def _log(self, name: str, parse: Callable[[str], T]) -> T | None:
        expected = self.record.logs.get(name)
        if expected is None:
            return None
        path, most = self.path / name, directory.MAX_LOG
        return reading.load(path, most, lambda content: parse(reading.text(content)), expected)

    def write_card(self, text: str) -> None:
        """Replace the model card."""
        directory.write_text(self.path / directory.CARD, text)

    def rewind(self, step: int) -> list[str]:
        """Make the directory fit for resuming from `step`.

        Leftovers of a killed writer are removed, small files are written again, and weights of later
        validations or with a wrong hash are dropped from run.json.

        Returns:
            One line for each weights file that is damaged or missing.
        """
        for place in (self.path, self.path / directory.WEIGHTS, self.states):
            place.mkdir(exist_ok=True)
            files.remove_leftovers(place)
        self.write_texts()
        known = [saved for saved in self.record.weights if saved.step <= step]
        lost = [saved for saved in known if not self._is_whole(saved)]
        weights = tuple(saved for saved in known if saved not in lost)
        best = min(weights, key=lambda saved: saved.nats, default=None)
        self.update(weights=weights, best=best, step=step, held_out_nats=None, **self._outdated)
        return [
            f"{self.weights_path(item.file)} is damaged or missing, and was dropped" for item in lost
        ]

    @property
    def _outdated(self) -> dict[str, None]:
        """Fields of run.json that are measured again when the training is finished."""
        return {}

    def remove_unnamed(self) -> None:
        """Remove the files that run.json named before and does no longer."""

    def _is_whole(self, saved: SavedWeights) -> bool:
        path, most = self.weights_path(saved.file), directory.max_weights(self.record)
        with suppress(RunError):
            return reading.load(path, most, bool, saved.sha256)
        return False

    # Displays.

    def to_dataframe(self) -> Any:
        """Return the history as a pandas DataFrame, one row for each validation.

        Raises:
            UsageError: pandas is not installed.
        """
        return export.dataframe([dataclasses.asdict(row) for row in self.history()])

    def plot(self) -> Any:
        """Return the learning curve as a matplotlib figure.

        Raises:
            UsageError: matplotlib is not installed.
        """
        return figure(self.history(), title=f"Losses of {self.name}", unit=self.record.unit)

    def _repr_html_(self) -> str:
        curve = damage = ""
        try:
            curve = svg(self.history(), title=f"Losses of {self.name}", unit=self.record.unit)
        except RunError as error:  # a notebook cell shows the rest of a damaged run
            damage = str(error)
        facts = [("", self.name), *self.record.facts()]
        return html.table(facts, f"lstmega run {self.name}", damage) + curve

    def __repr__(self) -> str:
        nats = self.record.nats
        none = "no loss" if self.trained else "no weights yet"
        loss = none if nats is None else formatting.loss(nats, self.record.unit)
        return f"<{type(self).__name__} {self.name}: {self.record.status}, {loss}>"


class GeneratorRun(Run):
    """A generator: its vocabulary, its held-out text and its decoder."""

    kind: ClassVar[str] = "generator"
    next_step: ClassVar[str] = "Generate text: lstmega sample"
    record: GeneratorRecord

    def attach(self, vocabulary: Vocabulary, held_out: str) -> None:
        self.__dict__ |= {"vocabulary": vocabulary, "held_out": held_out}

    def write_texts(self) -> None:
        directory.write_text(self.path / VOCABULARY, json.dumps(self.vocabulary.to_json()))
        directory.write_text(self.path / HELD_OUT, self.held_out)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters and their ids.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        return _vocabulary(self, Vocabulary, self.record.vocabulary_size)

    @cached_property
    def held_out(self) -> str:
        """The held-out text, which is never trained on; empty where nothing was held out."""
        record = self.record
        most, sha256 = 4 * record.held_out_characters, record.held_out_sha256
        return reading.load(self.path / HELD_OUT, most, reading.text, sha256)

    @property
    def _outdated(self) -> dict[str, None]:
        return {"mixture": None}

    def decoder(self, mix: Mix | None = None) -> AdaptableStepper:
        """Return the NumPy model that the run writes with.

        Args:
            mix: `none` leaves the n-gram model out; None takes it where the run has one.

        Raises:
            UsageError: `ngram`, and the run has no n-gram model.
        """
        mixture = self.record.mixture
        if mix == "ngram" and mixture is None:
            raise UsageError(
                f"{self.name} has no n-gram model. Received: --mix ngram. Accepted: a run whose "
                "training ended with one "
                f"(--mix ngram, and at least {LEAST_MIXED:,} held-out characters)."
            )
        if mix == "none" or mixture is None:
            return self.network()
        model = self.ngram(mixture)
        if not self.record.has_network:
            return self._reads(model)
        return mixed(self.paired(model), mixture.exponents)

    def paired(self, model: NGram) -> PairedDecoder:
        """Return the network and an n-gram model side by side."""
        return PairedDecoder(self.network(), self._reads(model))

    def _reads(self, model: NGram) -> NGramDecoder:
        return reader_of(model, self.record.training, self.vocabulary)

    def network(self) -> Decoder:
        """Return the network alone, with the best weights."""
        return decoder_of(self.record.model, self.weights(), self.record.training, self.vocabulary)

    def remove_unnamed(self) -> None:
        if self.record.mixture is None:
            files.remove(self.path / directory.NGRAM)

    def write_ngram(self, content: bytes) -> str:
        """Replace the n-gram model, and return the sha256 of its content."""
        return directory.write(self.path / directory.NGRAM, content)

    def ngram(self, mixture: Mixture) -> NGram:
        """Return the n-gram model, checked.

        Raises:
            RunError: The file is missing or damaged.
        """
        path, most = self.path / directory.NGRAM, directory.max_ngram(self.record)
        parse = partial(ngram.unpack, size=self.record.vocabulary_size, where=str(path))
        try:
            return reading.load(path, most, parse, mixture.sha256)
        except RunError as error:
            raise RunError(f"{error} --mix none does without it.") from error

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

    def attach(self, vocabulary: AnyVocabulary | None) -> None:
        self.__dict__["vocabulary"] = vocabulary

    def write_texts(self) -> None:
        if self.vocabulary is not None:
            directory.write_text(self.path / VOCABULARY, json.dumps(self.vocabulary.to_json()))

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

    def probabilities(self, sequences: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return each class' probability, `[sequences, classes]`.

        Args:
            sequences: Texts, or arrays `[time, features]`.

        Raises:
            UsageError: The sequences are not of the kind that the run reads.
        """
        return np.exp(self.log_probabilities(sequences))

    def log_probabilities(self, sequences: Sequence[Any]) -> npt.NDArray[np.float64]:
        """Return the logarithms of `probabilities`."""
        if len(sequences) == 0:
            return np.empty((0, len(self.record.classes)))
        examples = Examples.of(
            [encoded(one, self.vocabulary, self.record.inputs) for one in sequences],
            [0] * len(sequences),
            most=self.record.training.sequence_length,
        )
        return log_probabilities(self.classifier(), examples, np.arange(len(examples)))


def _vocabulary(run: Run, kind: type[VocabularyT], size: int) -> VocabularyT:
    path = run.path / VOCABULARY
    most = min(100 + kind.TOKEN_BYTES * max(0, size), _MAX_VOCABULARY)

    def parse(content: bytes) -> VocabularyT:
        found = kind.from_json(schema.parse(content, str(path), values=10 + 2 * max(0, size)))
        reading.compare_hashes(path, found.sha256, run.record.vocabulary_sha256)
        if len(found) != size:
            raise RunError(f"{path} must have {size:,} tokens, as run.json. Received: {len(found):,}.")
        return found

    return reading.load(path, most, parse)


def decoder_of(
    config: GeneratorConfig, weights: Weights, training: TrainingConfig, vocabulary: Vocabulary
) -> Decoder:
    """Return the NumPy model that reads text as it was read in training."""
    if training.order == "windows":
        return WindowDecoder(config, weights, window=training.sequence_length)
    return Decoder(config, weights, begins=beginning(training, vocabulary))


def reader_of(model: NGram, training: TrainingConfig, vocabulary: Vocabulary) -> NGramDecoder:
    """Return the decoder of an n-gram model that was counted with these options."""
    return NGramDecoder(model, begins=beginning(training, vocabulary))


def beginning(training: TrainingConfig, vocabulary: Vocabulary) -> int | None:
    """Return the id that begins a text, where lines are texts of their own."""
    return int(vocabulary.encode("\n")[0]) if training.lines else None


def encoded(sequence: Any, vocabulary: AnyVocabulary | None, features: int) -> npt.NDArray[Any]:
    """Return a text as ids `[time]`, or vectors as float32 `[time, features]`.

    Characters stand between two line ends, so that a model sees where a text starts and ends.

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
