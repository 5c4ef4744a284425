"""What one training will do, decided and checked before TensorFlow is imported."""

import dataclasses
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

from lstmega import display, origins, presets, runs, yardsticks
from lstmega.checks import whole
from lstmega.corpus import Corpus
from lstmega.errors import CorpusError, RunError, UsageError
from lstmega.lanes import Lanes, Plan, Plans
from lstmega.lines import Lines
from lstmega.options import ModelOptions, TrainingOptions, flag
from lstmega.records import Record
from lstmega.runs import Run
from lstmega.vocabulary import MAX_SIZE, Vocabulary
from lstmega.windows import Windows
from lstmega.yardsticks import Yardstick

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
        """Return the held-out ids that validation reads; None where there are fewer than two."""
        held_out = self.texts[1][:MEASURED]
        return (
            self.vocabulary.encode("\n" * self.training.lines + held_out) if len(held_out) > 1 else None
        )

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

    @property
    def finished(self) -> bool:
        """Whether the run has been trained to its end, and no other end is asked for."""
        if self.run is None or self.run.record.status != "finished" or self.extended:
            return False
        record = self.run.record
        waits_on = record.training.patience != self.training.patience
        return not (waits_on and record.step < (record.total_steps or 0))

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
    vocabulary = Vocabulary.of(corpus.text, kind=corpus.tokens, max_size=max_vocabulary)
    if init_from is not None:
        given = {name: value for name, value in changes.items() if value is not None}
        changes = dataclasses.asdict(init_from.record.model) | given
        vocabulary = init_from.vocabulary.merged(vocabulary)
    path = _run_path(run, Path(checkpoints), corpus, resume)
    if preset is None and resume is not False and runs.exists(path):
        record = Run.open(path).record
        preset, (model, training) = (
            record.preset,
            presets.changed((record.model, record.training), changes),
        )
    else:
        model, training = presets.resolve(preset, changes)
        preset = preset or presets.default(changes)
    if init_from is not None:
        _compare(init_from, {flag(n): v for n, v in _differences(init_from.record.model, model)})
    if not runs.exists(path) and not runs.is_free(path):
        raise UsageError(f"{path} exists already, and is no run. Choose another name with --run.")
    if resume is False and runs.exists(path):
        raise UsageError(f"{path} exists already. Choose another name with --run.")
    if resume and not runs.exists(path):
        raise UsageError(f"--resume: there is no run {path}.")
    keeps_length = not any(changes.get(name) is not None for name in ("epochs", "steps", "minutes"))
    job = Job(corpus, vocabulary, preset, model, training, path, None, init_from, False, keeps_length)
    return renewed(job)


def renewed(job: Job) -> Job:
    """Return the job as its directory is now; once more when the directory is locked.

    Raises:
        UsageError: The run there was trained otherwise.
    """
    if not runs.exists(job.path):
        return dataclasses.replace(job, run=None, extended=False)
    run = Run.open(job.path)
    record, training = run.record, job.training
    if job.keeps_length:
        training = training.replace(**_length(record.training))
    vocabulary = run.vocabulary if record.initial else job.vocabulary  # merged with the initial run's
    extended = _length(record.training) != _length(training)
    job = dataclasses.replace(job, run=run, training=training, vocabulary=vocabulary, extended=extended)
    _compare(run, _changed(record, job))
    return job


def _length(training: TrainingOptions) -> dict[str, Any]:
    return {name: getattr(training, name) for name in ("epochs", "steps", "minutes")}


_MAY_CHANGE = {"epochs", "steps", "minutes", "patience"}


def _changed(record: Record, job: Job) -> dict[str, tuple[Any, Any]]:
    """Return what a run may not change when it goes on: name -> (the run's value, the value now)."""
    changed = {flag(name): values for name, values in _differences(record.model, job.model)}
    for name, values in _differences(record.training, job.training):
        if name not in _MAY_CHANGE:
            changed[flag(name)] = values
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
    return changed | {name: values for name, values in texts.items() if values[0] != values[1]}


def _differences(before: Any, now: Any) -> list[tuple[str, tuple[Any, Any]]]:
    pairs = zip(dataclasses.asdict(before).items(), dataclasses.asdict(now).values(), strict=True)
    return [(name, (old, new)) for (name, old), new in pairs if old != new]


def _compare(run: Run, changed: dict[str, tuple[Any, Any]]) -> None:
    if changed:
        listed = "; ".join(f"{name} was {old!r}, is {new!r}" for name, (old, new) in changed.items())
        raise UsageError(
            f"{run.path} was trained otherwise: {listed}. Give the same to go on, or another --run."
        )


def _initial_name(run: Run) -> str:
    best = run.record.best
    return f"{run.name} {'' if best is None else best.sha256}"


def _run_path(run: str | Path | None, checkpoints: Path, corpus: Corpus, resume: bool | None) -> Path:
    if run is None and resume:
        return _unfinished(checkpoints, corpus)
    if run is None:
        return checkpoints / f"{corpus.name}-{datetime.now():%Y%m%d-%H%M%S}"
    path = Path(run)
    if len(path.parts) > 1 or path.is_absolute():
        return path
    return checkpoints / runs.check_name(path.name)


def _unfinished(checkpoints: Path, corpus: Corpus) -> Path:
    for path in runs.directories(checkpoints):
        try:
            record = Run.open(path).record
        except RunError:
            continue
        if record.status != "finished" and record.text.sha256 == corpus.sha256:
            return path
    raise UsageError(
        f"--resume: {checkpoints} has no unfinished run on {corpus.name}. Name one with --run."
    )


def versions() -> dict[str, str]:
    """Return the versions of what reads and writes text."""
    return {
        "lstmega": version("lstmega"),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }


def yardsticks_of(job: Job) -> tuple[Yardstick, ...]:
    """Return what simple models, and others' published ones, cost on the same held-out text."""
    measured = yardsticks.measure(*job.texts, tokens=job.corpus.tokens)
    return (*measured, *yardsticks.published(job.corpus.sha256, len(job.texts[1])))


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
        *_remarks(job),
    ]


def _held_out(job: Job) -> str:
    training, held_out = job.texts
    if job.training.lines:
        return f"{training.count(LF):,} lines to learn, {held_out.count(LF):,} held out"
    return f"the last {len(held_out):,} are held out" if held_out else "nothing is held out"


def _remarks(job: Job) -> list[str]:
    """Return what a person should know of a run that goes on otherwise than before."""
    if job.run is None or not job.extended:
        return []
    before, now = (
        next(f"{flag(name)} {value:g}" for name, value in _length(training).items() if value)
        for training in (job.run.record.training, job.training)
    )
    return [f"Length: was {before}, is {now} in all"]
