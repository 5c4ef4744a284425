"""What one training will do, decided and checked before TensorFlow is imported."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega import display, options, runs
from lstmega.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.lanes import Lanes
from lstmega.options import ModelOptions, TrainingOptions
from lstmega.records import Record, TextInfo
from lstmega.runs import Run
from lstmega.vocabulary import Vocabulary

CHECKPOINTS = Path("checkpoints")
MEASURED = 200_000  # held-out characters read at each validation, at most


@dataclass(frozen=True)
class Job:
    """A training that can start.

    Args:
        corpus: The whole text.
        vocabulary: Its tokens.
        preset: The preset's name, for the record.
        model: What is trained.
        training: How.
        path: The run directory.
        started: `time.monotonic()` when the user asked; `--minutes` counts from there.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    preset: str
    model: ModelOptions
    training: TrainingOptions
    path: Path
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        _ = self.lanes  # a text that is too short is refused here

    @cached_property
    def texts(self) -> tuple[str, str]:
        """The training part and the held-out tail."""
        return self.corpus.split(self.training.validation)

    @cached_property
    def lanes(self) -> Lanes:
        """Where the training batches are."""
        options = self.training
        return Lanes(
            len(self.texts[0]),
            options.batch_size,
            options.sequence_length,
            options.order,
            options.restarts,
            options.seed,
        )

    def training_ids(self) -> npt.NDArray[np.int32]:
        """Return the ids of the training part, `[characters]`."""
        return self.vocabulary.encode(self.texts[0])

    def measured_ids(self) -> npt.NDArray[np.int32] | None:
        """Return the held-out ids that validation reads; None where there are fewer than two."""
        held_out = self.texts[1][:MEASURED]
        return self.vocabulary.encode(held_out) if len(held_out) > 1 else None

    def create_run(self) -> Run:
        """Make the run directory.

        Raises:
            UsageError: The path is taken.
            OSError: The disk refuses.
        """
        held_out = self.texts[1]
        record = Record(
            name=self.path.name,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            preset=self.preset,
            model=self.model,
            training=self.training,
            text=_text_info(self.corpus),
            held_out_characters=len(held_out),
            held_out_sha256=runs.text_sha256(held_out),
            vocabulary_size=len(self.vocabulary),
            vocabulary_sha256=self.vocabulary.sha256,
            epoch_steps=self.lanes.batches,
            versions=_versions(),
        )
        return Run.create(self.path, record, self.vocabulary, held_out)


def prepare(
    corpus: Corpus,
    *,
    preset: str = "small",
    run: str | Path | None = None,
    checkpoints: str | Path = CHECKPOINTS,
    max_vocabulary: int | None = None,
    **changes: Any,
) -> Job:
    """Check everything that can be checked without TensorFlow.

    Args:
        corpus: The whole text.
        preset: A key of `options.PRESETS`.
        run: A name below `checkpoints`, or a path; None makes one of the text's name and the time.
        checkpoints: The directory of runs.
        max_vocabulary: Keep this many tokens, the rest become `<unk>`.
        changes: Fields of `ModelOptions` and `TrainingOptions`; None means "as the preset has it".

    Raises:
        UsageError: An option is unknown or out of bounds, or the run exists.
        CorpusError: The text is too short for one batch.
    """
    model, training = options.resolve(preset, changes)
    vocabulary = Vocabulary.of(corpus.text, kind=corpus.tokens, max_size=max_vocabulary)
    path = _run_path(run, Path(checkpoints), corpus.name)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already. Choose another name with --run.")
    return Job(corpus, vocabulary, preset, model, training, path)


def _run_path(run: str | Path | None, checkpoints: Path, corpus_name: str) -> Path:
    if run is None:
        return checkpoints / f"{corpus_name}-{datetime.now():%Y%m%d-%H%M%S}"
    path = Path(run)
    if len(path.parts) > 1 or path.is_absolute():
        return path
    return checkpoints / runs.check_name(str(run))


def _text_info(corpus: Corpus) -> TextInfo:
    return TextInfo(
        name=corpus.name,
        sha256=corpus.sha256,
        characters=len(corpus.text),
        tokens=corpus.tokens,
        line_ends=corpus.line_ends,
        sources=tuple(
            f"{Path(source.path).name} ({source.encoding}, {source.size:,} bytes), {source.sha256}"
            for source in corpus.sources
        ),
        notes=tuple(corpus.notes),
    )


def _versions() -> dict[str, str]:
    return {
        "lstmega": version("lstmega"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }


def announce(job: Job, device: str) -> Sequence[str]:
    """Return the lines that tell a person what is about to be trained, and where."""
    model, text = job.model, job.corpus
    held_out = len(job.texts[1])
    shapes = model.weight_shapes(len(job.vocabulary))
    return [
        f"Training on {device}: {model.parameters(len(job.vocabulary)):,} parameters "
        f"({display.layers(shapes)})",
        f"Text: {text.name}, {len(text.text):,} {display.unit(text.tokens)}, "
        f"{len(job.vocabulary):,} distinct; the last {held_out:,} are held out",
        f"Run: {job.path}",
    ]
