"""What one training will do, decided and checked before TensorFlow is imported."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config import presets
from lstmega.config.base import whole
from lstmega.config.options import ModelOptions, TrainingOptions, flag
from lstmega.data.batching import Lanes, Plan, Plans
from lstmega.data.bucketing import Lines
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import MAX_SIZE, Vocabulary
from lstmega.data.windows import Windows
from lstmega.display import formatting as display
from lstmega.errors import CorpusError
from lstmega.runs import directory as directories
from lstmega.runs import provenance as origins
from lstmega.runs import run as runs
from lstmega.runs.job import (
    check_same,
    differences,
    is_finished,
    length_now,
    option_changes,
    remarks,
    run_path,
    versions,
)
from lstmega.runs.record import Record
from lstmega.runs.run import Run

_YARDSTICKS = 4e-6  # seconds for each character: what simple models take at the end
LF = "\n"
CHECKPOINTS = Path("checkpoints")
MOST_ROWS = 64
MEASURED_WINDOWS = 10_000  # windows read at each validation, about
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
        run: The run that goes on, where there is one.
        initial: The run whose weights a new run starts from.
        extended: Whether the run that goes on is to end elsewhere than it was to.
        keeps_length: Whether no length was given, so that a run that goes on keeps its own.
        started: `time.monotonic()` when the user asked; `--minutes` counts from there.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    preset: str
    model: ModelOptions
    training: TrainingOptions
    path: Path
    run: Run | None = None
    initial: Run | None = None
    extended: bool = False
    keeps_length: bool = False
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        try:
            _ = self.lanes
        except CorpusError as error:
            total, held_out = len(self.corpus.text), len(self.texts[1])
            raise CorpusError(
                f"{error} The whole text has {total:,}; the last {held_out:,} are held out "
                "(--validation 0 trains on all)."
            ) from error

    @cached_property
    def texts(self) -> tuple[str, str]:
        """The training part and the held-out part."""
        return origins.parts(self.corpus, self.training)

    @cached_property
    def lanes(self) -> Plans:
        """Where the training batches are."""
        options = self.training
        rows, time_steps, seed = options.batch_size, options.sequence_length, options.seed
        if options.lines:
            return Lines.of(self.texts[0], rows, time_steps, seed)
        if options.order == "windows":
            return Windows(len(self.texts[0]), rows, time_steps, options.stride, seed)
        return Lanes(
            len(self.texts[0]),
            options.batch_size,
            options.sequence_length,
            options.order,
            options.restarts,
            options.seed,
        )

    def training_ids(self) -> npt.NDArray[np.int32]:
        """Return the ids of what training reads, `[characters]`."""
        return self.vocabulary.encode("\n" * self.training.lines + self.texts[0])

    def measured_ids(self) -> npt.NDArray[np.int32] | None:
        """Return the held-out ids that validation reads; None where none can be predicted."""
        options, held_out = self.training, self.texts[1][:MEASURED]
        least = options.sequence_length if options.order == "windows" else 1
        if len(held_out) <= least:
            return None
        return self.vocabulary.encode(LF * options.lines + held_out)

    def measured_plan(self) -> Plan | None:
        """Return how validation reads them; None where they are read as one stream."""
        options, held_out = self.training, self.texts[1][:MEASURED]
        if options.lines:
            return Lines.of(held_out, MOST_ROWS, options.sequence_length).plan(0)
        if options.order == "windows":
            stride = max(1, (len(held_out) - options.sequence_length) // MEASURED_WINDOWS)
            rows = min(256, (len(held_out) - options.sequence_length - 1) // stride + 1)
            return Windows(len(held_out), rows, options.sequence_length, stride).plan(0)
        return None

    # What the loop asks of whatever is trained.

    @property
    def sha256(self) -> str:
        """The hash of what is trained on."""
        return self.corpus.sha256

    @property
    def vocabulary_sha256(self) -> str:
        """The hash of its tokens."""
        return self.vocabulary.sha256

    @property
    def unit(self) -> str:
        """What a loss is per."""
        return self.corpus.tokens

    @property
    def notes(self) -> Sequence[str]:
        """Sentences that the user should read."""
        return self.corpus.notes

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass over the training part."""
        return self.lanes.batches

    @property
    def step_units(self) -> float:
        """Characters that a step predicts."""
        return self.lanes.characters

    @property
    def seconds_after(self) -> float:
        """What is done when the training is over takes about so long."""
        return _YARDSTICKS * min(2_000_000, len(self.texts[0]))

    def announce(self, device: str) -> Sequence[str]:
        """Return the lines that tell a person what is about to be trained, and where."""
        return announce(self, device)

    def rewind(self, run: Run, step: int) -> list[str]:
        """Make a run's directory fit for going on from `step`; see `RunDirectory.rewind`."""
        run.knows(self.vocabulary, self.texts[1])
        return run.rewind(step)

    @property
    def finished(self) -> bool:
        """Whether the run has been trained to its end, and no other end is asked for."""
        return is_finished(self.run, self.training, self.extended)

    def open_run(self) -> Run:
        """Return the run that goes on, or make the directory of a new one.

        Raises:
            UsageError: The path is taken.
            OSError: The disk refuses.
        """
        if self.run is not None:
            return self.run
        held_out = self.texts[1]
        record = Record(
            name=self.path.name,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            preset=self.preset,
            model=self.model,
            training=self.training,
            text=origins.describe(self.corpus, self.path),
            held_out_characters=len(held_out),
            held_out_sha256=runs.text_sha256(held_out),
            vocabulary_size=len(self.vocabulary),
            vocabulary_sha256=self.vocabulary.sha256,
            epoch_steps=self.lanes.batches,
            initial="" if self.initial is None else _initial_name(self.initial),
            versions=versions(),
        )
        return Run.create(self.path, record, self.vocabulary, held_out)


def prepare(
    corpus: Corpus,
    *,
    preset: str | None = None,
    run: str | Path | None = None,
    checkpoints: str | Path = CHECKPOINTS,
    resume: bool | None = None,
    init_from: Run | None = None,
    max_vocabulary: int | None = None,
    **changes: Any,
) -> Job:
    """Check everything that can be checked without TensorFlow.

    Args:
        corpus: The whole text.
        preset: A key of `presets.PRESETS`; None is what suits `minutes`, else `small`, and for a run
            that goes on what it was begun with.
        run: A name below `checkpoints`, or a path; None makes one of the text's name and the time.
        checkpoints: The directory of runs.
        resume: None goes on where `run` stopped, if it exists; True, without `run`, with the newest
            unfinished run on this text; False never.
        init_from: Start a new run from this one's best weights; its model's options are taken.
        max_vocabulary: Keep this many tokens, the rest become `<unk>`.
        changes: Fields of `ModelOptions` and `TrainingOptions`; None means "as the preset has it".

    Raises:
        UsageError: An option is unknown or out of bounds, or the run exists and differs.
        CorpusError: The text is too short for one batch.
    """
    if max_vocabulary is not None:
        max_vocabulary = whole("--max-vocabulary", max_vocabulary, 2, MAX_SIZE)
    if init_from is not None:
        changes = dataclasses.asdict(init_from.record.model) | presets.given_of(changes)
    path = run_path(run, Path(checkpoints), corpus.name, corpus.sha256, resume)
    if preset is None and resume is not False and directories.exists(path):
        record = Run.open(path).record
        preset, (model, training) = (
            record.preset,
            presets.changed((record.model, record.training), changes),
        )
    else:
        model, training = presets.resolve(preset, changes)
        preset = preset or presets.default(changes)
    # A line may be a whole text, whose end it does not have.
    known = corpus.text + LF * training.lines
    vocabulary = Vocabulary.of(known, kind=corpus.tokens, max_size=max_vocabulary)
    if init_from is not None:
        vocabulary = init_from.vocabulary.merged(vocabulary)
        check_same(init_from, {flag(n): v for n, v in differences(init_from.record.model, model)})
    keeps_length = not any(changes.get(name) is not None for name in ("epochs", "steps", "minutes"))
    job = Job(corpus, vocabulary, preset, model, training, path, None, init_from, False, keeps_length)
    return renewed(job)


def renewed(job: Job) -> Job:
    """Return the job as its directory is now; once more when the directory is locked.

    Raises:
        UsageError: The run there was trained otherwise.
    """
    if not directories.exists(job.path):
        return dataclasses.replace(job, run=None, extended=False)
    run = Run.open(job.path)
    record = run.record
    training, extended = length_now(run, job.training, keeps=job.keeps_length)
    vocabulary = run.vocabulary if record.initial else job.vocabulary  # merged with the initial run's
    job = dataclasses.replace(job, run=run, training=training, vocabulary=vocabulary, extended=extended)
    check_same(run, _changed(record, job))
    return job


def _changed(record: Record, job: Job) -> dict[str, tuple[Any, Any]]:
    """Return what a run may not change when it goes on: name -> (the run's value, the value now)."""
    before, now = record.text, job.corpus
    texts: dict[str, tuple[Any, Any]] = {
        "the text's sha256": (before.sha256, now.sha256),
        "--tokens": (before.tokens, now.tokens),
        "line ends": (before.line_ends, now.line_ends),
        "--lower": (before.lower, now.lower),
        "the vocabulary's sha256": (record.vocabulary_sha256, job.vocabulary.sha256),
    }
    if job.initial is not None and not record.initial:
        texts["--init-from"] = (None, job.initial.name)
    changed = {name: values for name, values in texts.items() if values[0] != values[1]}
    return option_changes((record.model, record.training), (job.model, job.training)) | changed


def _initial_name(run: Run) -> str:
    best = run.record.best
    return f"{run.name} {'' if best is None else best.sha256}"


def announce(job: Job, device: str) -> Sequence[str]:
    """Return the lines that tell a person what is about to be trained, and where."""
    model, text = job.model, job.corpus
    shapes = model.trained_shapes(len(job.vocabulary))
    return [
        f"Training on {device}: {model.parameters(len(job.vocabulary)):,} parameters "
        f"({display.layers(shapes)})",
        f"Text: {text.name}, {len(text.text):,} {display.unit(text.tokens)}, "
        f"{len(job.vocabulary):,} distinct; {_held_out(job)}",
        f"Run: {job.path}",
        *remarks(job.run, job.training, job.extended),
    ]


def _held_out(job: Job) -> str:
    training, held_out = job.texts
    if job.training.lines:
        return f"{training.count(LF):,} lines to learn, {held_out.count(LF):,} held out"
    return f"the last {len(held_out):,} are held out" if held_out else "nothing is held out"
