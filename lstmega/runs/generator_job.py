"""The training of a generator: its text, split, encoded and cut into batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from lstmega.config import presets
from lstmega.config.base import check_int, flag
from lstmega.config.model import GeneratorConfig
from lstmega.config.training import COUNTED
from lstmega.data import memory
from lstmega.data.batching import (
    MAX_MEASURED,
    MOST_ROWS,
    BatchPlan,
    LaneBatches,
    TextBatches,
    WindowBatches,
    measured_part,
    stream_plan,
    window_plan,
)
from lstmega.data.bucketing import LineBatches
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import MAX_SIZE, NarrowIds, Vocabulary
from lstmega.display import formatting
from lstmega.errors import CorpusError, UsageError
from lstmega.inference.ngram import Counts, NGram
from lstmega.runs import directory, provenance, reading
from lstmega.runs.job import (
    CHECKPOINTS,
    Changes,
    TrainingJob,
    check_network,
    check_warm_start,
    gives_length,
    kept_by,
    run_path,
)
from lstmega.runs.record import LEAST_MIXED, MOST_LEARNT, GeneratorRecord
from lstmega.runs.run import GeneratorRun, beginning

LF = "\n"
VALIDATED = 200_000  # held-out characters that a validation reads, at most
VALIDATED_WINDOWS = 10_000  # windows that a validation reads, about
_BASELINES = 4e-6  # seconds that the baselines take for each training character
# Seconds that the mixture takes for each held-out character: always, for each parameter, for each id.
_MIXED, _MIXED_PARAMETER, _MIXED_ID = 1.5e-5, 2e-11, 3e-8
_WINDOW_ROWS = 256
_ABOUT = 1.8  # times as fast or slow: the options are still right


@dataclass(frozen=True, kw_only=True)
class GeneratorJob(TrainingJob[GeneratorRun]):
    """The training of a generator.

    Args:
        data: The whole text.
        vocabulary: Its tokens.
        preset: The preset's name, for the record.
        given: The options that were given: field name -> value.
    """

    run_type: ClassVar[type[GeneratorRun]] = GeneratorRun
    model: GeneratorConfig
    data: Corpus
    vocabulary: Vocabulary
    preset: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model.cell == "ngram":
            return
        try:
            _ = self.batches
        except CorpusError as error:
            total, held_out = len(self.data.text), len(self.held_out)
            raise CorpusError(
                f"{error} The whole text has {total:,}; the last {held_out:,} are held out "
                "(--validation 0 trains on all)."
            ) from error

    @cached_property
    def _parts(self) -> tuple[str, int, str]:
        """A text that begins with the training part, the length of that, and the held-out part."""
        if self.training.lines:
            training, held_out = provenance.parts(self.data, self.training)
            return training, len(training), held_out
        at = self.data.split_at(self.training.validation)
        return self.data.text, at, self.data.text[at:]

    @property
    def learnt(self) -> int:
        """Characters of the training part."""
        return self._parts[1]

    @property
    def held_out(self) -> str:
        """The held-out part."""
        return self._parts[2]

    def training_text(self, most: int | None = None) -> str:
        """Return a copy of the training part, or of its last `most` characters."""
        text, end, _ = self._parts
        return text[0 if most is None else max(0, end - most) : end]

    @property
    def mixes(self) -> bool:
        """Whether the run becomes a mixture of its network and an n-gram model."""
        return self.training.mix == "ngram" and not self.unmixed

    @property
    def unmixed(self) -> str:
        """The reason why a run cannot be mixed; empty where it can."""
        if self.training.order == "windows":
            return "--order lanes or shuffled"
        if len(self.held_out) < LEAST_MIXED:
            return (
                f"at least {LEAST_MIXED:,} held-out {formatting.unit(self.unit)}, "
                f"and there are {len(self.held_out):,}"
            )
        return ""

    def refitted(self, seconds: float) -> Self | None:
        speed = presets.speed(self.model, self.batches.rows, self.step_units / seconds)
        if self.preset != presets.FITTED or 1 / _ABOUT < speed < _ABOUT:
            return None
        given = {**self.given, **self.training.length}
        model, training = presets.resolve(None, given, len(self.data.text), speed)
        if (model, training) == (self.model, self.training):
            return None
        try:
            return replace(self, model=model, training=training)
        except CorpusError:  # the text is too short for these batches
            return None

    @property
    def fitted(self) -> bool:
        """Whether `--minutes` chose every option that the loss depends on."""
        given = presets.given_of(self.given).keys()
        return self.preset == presets.FITTED and given <= {"minutes", "seed", "keep", "mix"}

    @cached_property
    def batches(self) -> TextBatches:
        """The training batches."""
        options, length = self.training, self.learnt
        rows, time_steps, seed = options.batch_size, options.sequence_length, options.seed
        if options.lines:
            return LineBatches.of(self.training_text(), rows, time_steps, seed)
        if options.order == "windows":
            return WindowBatches(length, rows, time_steps, options.stride, seed)
        return LaneBatches(length, rows, time_steps, options.order, options.restarts, seed)

    def training_ids(self) -> NarrowIds:
        """Return the ids that training reads, `[characters]`."""
        text, end, _ = self._parts
        before = LF * self.training.lines
        return self.vocabulary.encode_narrow(before + text, len(before) + end)

    @cached_property
    def ngram(self) -> NGram:
        """The n-gram model of the training part."""
        begins = beginning(self.training, self.vocabulary)
        return Counts(self.training_ids(), len(self.vocabulary), begins=begins).model()

    def held_out_ids(self, *, everything: bool = False) -> NarrowIds | None:
        """Return the held-out ids that a validation reads; None where none can be predicted.

        Args:
            everything: Return all ids that are ever measured.
        """
        options, held_out = self.training, self._measured(everything)
        least = options.sequence_length if options.order == "windows" else 1
        if len(held_out) <= least:
            return None
        return self.vocabulary.encode_narrow(LF * options.lines + held_out)

    def held_out_plan(self, *, everything: bool = False) -> BatchPlan:
        """Return how `held_out_ids` are read; a validation of a windowed run reads some windows."""
        options, held_out = self.training, self._measured(everything)
        if options.lines:
            return LineBatches.of(held_out, MOST_ROWS, options.sequence_length).plan(0)
        if options.order != "windows":
            return stream_plan(len(held_out))
        time_steps = options.sequence_length
        some = max(1, (len(held_out) - time_steps) // VALIDATED_WINDOWS)
        return window_plan(len(held_out), _WINDOW_ROWS, time_steps, stride=1 if everything else some)

    def _measured(self, everything: bool) -> str:
        most = MAX_MEASURED if everything else VALIDATED
        return measured_part(self.held_out, most, lines=self.training.lines)

    @property
    def validates_all(self) -> bool:
        """Whether every validation reads all of the held-out text that is ever measured."""
        length = len(self.held_out)
        windowed = self.training.order == "windows"
        return length <= VALIDATED and not (windowed and length >= 2 * VALIDATED_WINDOWS)

    @property
    def unit(self) -> str:
        return self.data.tokens

    @property
    def epoch_steps(self) -> int:
        return super().epoch_steps if self.model.cell != "ngram" else 0

    @property
    def extent(self) -> str:
        return f" and {len(self.data.text):,} {formatting.unit(self.unit)}"

    @property
    def step_units(self) -> float:
        return self.batches.characters

    @property
    def final_seconds(self) -> float:
        mixed, size = min(MAX_MEASURED, len(self.held_out)) if self.mixes else 0, len(self.vocabulary)
        each = _MIXED + _MIXED_PARAMETER * self.model.parameters(size) + _MIXED_ID * size
        return _BASELINES * min(MOST_LEARNT, self.learnt) + each * mixed

    def summary(self, device: str) -> list[str]:
        size, text = len(self.vocabulary), self.data
        layers = formatting.layers(self.model.trained_shapes(size))
        network = f"Training on {device}: {self.model.parameters(size):,} parameters ({layers})"
        return [
            *([network] if layers else []),
            f"Text: {text.name}, {len(text.text):,} {formatting.unit(text.tokens)}, {size:,} distinct; "
            f"{self._split()}",
        ]

    def _split(self) -> str:
        held_out = self.held_out
        if self.training.lines:
            training = self.training_text()
            return f"{training.count(LF):,} lines to learn, {held_out.count(LF):,} held out"
        return f"the last {len(held_out):,} are held out" if held_out else "nothing is held out"

    def _record(self) -> GeneratorRecord:
        held_out = self.held_out
        return GeneratorRecord(
            **self.record_fields(),
            preset=self.preset,
            text=provenance.describe(self.data, self.path),
            held_out_characters=len(held_out),
            held_out_sha256=reading.digest(directory.encode(held_out)),
            vocabulary_size=len(self.vocabulary),
        )

    def _texts(self) -> tuple[Vocabulary, str]:
        return self.vocabulary, self.held_out

    def _resuming(self, run: GeneratorRun) -> tuple[Self, Changes]:
        record, text = run.record, run.record.text
        # A warm-started run has the characters of the run that it started from, too.
        vocabulary = run.vocabulary if record.initial else self.vocabulary
        changes: Changes = {
            "the text of sha256": (text.sha256[:12], self.data.sha256[:12]),
            "--tokens": (text.tokens, self.data.tokens),
            "line ends": (text.line_ends, self.data.line_ends),
            "--lower": (text.lower, self.data.lower),
            "the vocabulary of sha256": (record.vocabulary_sha256[:12], vocabulary.sha256[:12]),
        }
        return replace(self, vocabulary=vocabulary), changes


def _check_counting(options: Mapping[str, Any], preset: str | None, *, warm: bool) -> None:
    """Refuse what an n-gram model does not have.

    Raises:
        UsageError: An option is given that it does not have, a preset, or a run to start from.
    """
    given = presets.given_of(options)
    other = [flag(name) for name in given if name not in {"cell", *COUNTED}]
    other += ["--preset"] * (preset is not None) + ["--init-from"] * warm
    if other:
        accepted = ", ".join(map(flag, COUNTED))
        raise UsageError(
            f"--cell ngram counts the text once. Received: {other[0]}. Accepted beside it: {accepted}."
        )


def prepare(
    corpus: Corpus,
    *,
    preset: str | None = None,
    run: str | Path | None = None,
    checkpoints: str | Path = CHECKPOINTS,
    resume: bool | None = None,
    init_from: GeneratorRun | None = None,
    max_vocabulary: int | None = None,
    **options: Any,
) -> GeneratorJob:
    """Check everything that can be checked without TensorFlow; arguments as for `lstmega.train`.

    Raises:
        UsageError: An option does not exist or is out of bounds, or the run exists and differs.
        CorpusError: The text is too short for one batch.
    """
    given, named = options, preset
    if init_from is not None:
        check_network(init_from)
    if max_vocabulary is not None:
        max_vocabulary = check_int("--max-vocabulary", max_vocabulary, 2, MAX_SIZE)
    if init_from is not None:
        options = vars(init_from.record.model) | presets.given_of(options)
    path = run_path(run, Path(checkpoints), corpus, resume)
    if preset is None and resume is not False and directory.exists(path):
        record = GeneratorRun.open(path).record
        preset = record.preset
        model, training = presets.changed((record.model, record.training), options)
    else:
        model, training = presets.resolve(preset, options, len(corpus.text))
        preset = preset or presets.default_name(options)
    if model.cell == "ngram":
        _check_counting(given, named, warm=init_from is not None)
    # The text may be one line without a line end.
    known = corpus.text + LF * training.lines
    vocabulary = Vocabulary.of(known, kind=corpus.tokens, max_size=max_vocabulary)
    if init_from is not None:
        vocabulary = init_from.vocabulary.merged(vocabulary)
        check_warm_start(init_from, model, model.names())
    job = GeneratorJob(
        model=model,
        training=training,
        path=path,
        initial=init_from,
        keeps_length=not gives_length(options),
        kept=kept_by(options),
        data=corpus,
        vocabulary=vocabulary,
        preset=preset,
        given=options,
    ).refresh()
    if options.get("mix") == "ngram" and job.unmixed:
        raise UsageError(f"--mix ngram needs {job.unmixed}.")
    width = vocabulary.encode_narrow("").itemsize
    memory.check(2 * width * len(corpus.text), f"The training on {corpus.name}")  # TensorFlow has a copy
    return job
