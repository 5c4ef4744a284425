"""A generator's run: a run directory with its characters, its held-out text and a decoder."""

import json
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from lstmega import files
from lstmega.config.options import ModelOptions, TrainingOptions
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import RunError, UsageError
from lstmega.inference.decoder import Decoder, WindowDecoder
from lstmega.runs import directory as directories
from lstmega.runs import schema
from lstmega.runs.directory import HELD_OUT, MOST_JSON, VOCABULARY, RunDirectory
from lstmega.runs.record import Record
from lstmega.runs.weights import Weights


class Run(RunDirectory):
    """A generator: what writes, and what it was trained on."""

    kind: ClassVar[str] = "generator"
    next_step: ClassVar[str] = "Write with it: lstmega sample"
    example: ClassVar[str] = "lstmega train --corpus pydoc --preset tiny"
    record: Record

    @classmethod
    def create(cls, path: Path, record: Record, vocabulary: Vocabulary, held_out: str) -> Self:
        """Make the directory of a new run.

        Raises:
            UsageError: The path is taken by something else.
            OSError: The disk refuses.
        """
        run = cls(path, record)
        run.knows(vocabulary, held_out)
        run._begin()
        return run

    def knows(self, vocabulary: Vocabulary, held_out: str) -> None:
        """Hear what need not be read from the directory, and is written there when it is rewound."""
        self.__dict__ |= {"vocabulary": vocabulary, "held_out": held_out}

    def write_texts(self) -> None:
        """Write the vocabulary and the held-out text."""
        files.write(self.path / VOCABULARY, json.dumps(self.vocabulary.to_json()).encode())
        files.write(self.path / HELD_OUT, directories.encode(self.held_out))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The characters and their ids.

        Raises:
            RunError: vocabulary.json is damaged or not the one that run.json names.
        """
        path = self.path / VOCABULARY
        try:
            vocabulary = Vocabulary.from_json(
                schema.parse(directories.read_file(path, MOST_JSON), str(path))
            )
        except UsageError as error:
            raise RunError(f"{path}: {error}") from error
        directories.compare_hashes(path, vocabulary.sha256, self.record.vocabulary_sha256)
        return vocabulary

    @cached_property
    def held_out(self) -> str:
        """The text that training never saw; empty where nothing was held out."""
        path = self.path / HELD_OUT
        content = directories.read_file(path, 4 * self.record.held_out_characters)
        directories.compare_hashes(path, directories.digest(content), self.record.held_out_sha256)
        return content.decode("utf-8", "surrogatepass")

    def decoder(self) -> Decoder:
        """Return the NumPy model with the best weights."""
        if len(self.vocabulary) != self.record.vocabulary_size:
            raise RunError(f"{self.path}: vocabulary.json and run.json differ in size.")
        return decoder_of(self.record.model, self.weights(), self.record.training, self.vocabulary)

    @property
    def lines(self) -> bool:
        """Whether each line is a text of its own."""
        return self.record.training.lines


def decoder_of(
    model: ModelOptions, arrays: Weights, training: TrainingOptions, vocabulary: Vocabulary
) -> Decoder:
    """Return the NumPy model that reads as it was trained to read."""
    if training.order == "windows":
        return WindowDecoder(model, arrays, window=training.sequence_length)
    begins = int(vocabulary.encode("\n")[0]) if training.lines else None
    return Decoder(model, arrays, begins=begins)


def find(checkpoints: Path, name: str | Path | None = None) -> Run:
    """Return a generator by name or path; without either, the newest that has weights.

    Args:
        checkpoints: The directory of runs.
        name: A directory below `checkpoints`, or a path.

    Raises:
        UsageError: There is no such run; the message lists those that there are.
    """
    return Run.find(checkpoints, name)


def text_sha256(text: str) -> str:
    """Return the sha256 of a text as held_out.txt holds it."""
    return directories.digest(directories.encode(text))
