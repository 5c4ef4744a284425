"""The fields of run.json: options, training data, position and losses of a run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from lstmega.config.model import ClassifierConfig, GeneratorConfig, RecurrentConfig
from lstmega.config.training import COUNTED, TEXT_ONLY, FixedPrecision, TrainingConfig
from lstmega.display import formatting
from lstmega.errors import UsageError

Status = Literal["running", "finished", "stopped", "failed"]
Table = list[list[str]]

LEAST_MIXED = 1000  # held-out characters that a mixture can be fitted on
MOST_LEARNT = 2_000_000  # characters that baselines learn; of a longer text the last


@dataclass(frozen=True)
class Baseline:
    """The cost of a simple model on the held-out text."""

    name: str
    bits_per_character: float


_bits = attrgetter("bits_per_character")
THIS_MODEL = "this model"  # among its baselines


@dataclass(frozen=True)
class SavedWeights:
    """One file below `weights/`; `nats` is the loss that ranks it."""

    file: str
    sha256: str
    step: int
    epoch: int
    nats: float


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A number of steps that `--minutes` planned, and the step up to which the training followed it."""

    until: int
    total_steps: int


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses of a mixture on the held-out text, in nats per character.

    Args:
        network, ngram: Of each model alone.
        nats: Of the mixture, with what its exponents cost.
        charge: That part of it.
    """

    network: float
    ngram: float
    nats: float
    charge: float


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The n-gram model of a run, and how it is mixed with the network.

    Args:
        network, ngram, nats, charge: As in `Losses`; None without a network, or without held-out text.
        sha256: Of its file.
        order: Its highest order.
        exponents: Of network and n-gram model, for each length of the known context; the last serves all
            longer ones (`inference/mixture.py`).
    """

    network: float | None
    ngram: float | None
    nats: float | None
    charge: float
    sha256: str
    order: int
    exponents: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        pairs = all(len(pair) == 2 and all(0 <= one <= 2 for one in pair) for pair in self.exponents)
        if not self.exponents or not pairs:
            raise UsageError(f"exponents must be pairs from 0 to 2. Received: {self.exponents!r:.80}.")


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """The training data of a run: enough to recognise it, to describe it and to find it again.

    Args:
        name: Its name.
        sha256: Of its content; paths do not matter.
        sources: One line for each file.
        notes: Sentences that the user should read.
        places: Paths or names of the files; paths are relative to the run directory.
        origins: The same, with the paths absolute, as they were when the run began.
    """

    name: str
    sha256: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    places: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TextInfo(SourceInfo):
    """The text of a generator."""

    characters: int
    tokens: Literal["char", "byte"]
    line_ends: str
    encoding: str | None = None
    lower: bool = False

    @property
    def reading(self) -> Mapping[str, Any]:
        """The options with which the text was read."""
        return {
            "encoding": self.encoding,
            "tokens": self.tokens,
            "keep_line_ends": self.line_ends == "kept",
            "lower": self.lower,
        }


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The options with which labelled data was read, as for `classify.train`; others cannot be named."""

    label: str | None = None
    text: tuple[str, ...] = ()
    header: bool = False
    class_names: str | None = None
    labels: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataInfo(SourceInfo):
    """The labelled data of a classifier; `reading` has the options with which it was read."""

    kind: Literal["text", "vectors"]
    tokens: Literal["char", "word", "vector"]
    examples: int
    counts: tuple[int, ...]
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The fields of run.json that all runs have.

    Args:
        kind: `generator` or `classifier`.
        name: The run's name.
        created: Date and time, ISO 8601.
        preset: The preset's name.
        model, training: The options.
        vocabulary_sha256: The sha256 of the vocabulary; empty for vectors.
        epoch_steps: Steps of one pass over the training part.
        total_steps: Steps of the whole run; None until `--minutes` has timed the first steps.
        replanned: What `--minutes` planned before, oldest first.
        status: State of the training.
        step: Steps done when the last training state or the last weights were saved.
        seconds: Training time so far.
        device: The device of the training.
        compiled: Whether XLA compiles the steps; decided once, because it changes the last bits.
        precision: Type of the factors of the steps' products, which follows from the option of that name
            and from the machine; None before the first step, and in runs that are older than the field,
            which were trained in float32.
        initial: The run that this one was warm-started from, and the sha256 of its weights.
        exact: Whether every step so far was computed on a CPU with one number of threads and one set of
            versions, so that a resumed run equals an uninterrupted one bit by bit.
        versions: Versions of the libraries that computed it.
        weights: Every file below weights/, oldest first.
        best: The file with the lowest held-out loss (training loss where nothing is held out).
        held_out_nats: The loss of the best weights on all of the held-out data, measured when the
            training finished; validations may read a part of it.
        logs: The sha256 of history.csv and samples.txt, by name.
    """

    kind: str
    name: str
    created: str
    preset: str
    model: RecurrentConfig
    training: TrainingConfig
    vocabulary_sha256: str
    epoch_steps: int
    total_steps: int | None = None
    replanned: tuple[Planned, ...] = ()
    status: Status = "running"
    step: int = 0
    seconds: float = 0.0
    device: str = ""
    compiled: bool | None = None
    precision: FixedPrecision | None = None
    initial: str = ""
    exact: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[SavedWeights, ...] = ()
    best: SavedWeights | None = None
    held_out_nats: float | None = None
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def trained_precision(self) -> FixedPrecision | None:
        """The precision of the steps that were trained; None before the first."""
        return self.precision or ("float32" if self.device else None)

    @property
    def planned_first(self) -> int | None:
        """The number of steps that was planned first."""
        return self.replanned[0].total_steps if self.replanned else self.total_steps

    @property
    def nats(self) -> float | None:
        """The loss of the best weights in nats per `unit`; None where there are no weights yet."""
        if self.held_out_nats is not None:
            return self.held_out_nats
        return None if self.best is None else self.best.nats

    @property
    def has_network(self) -> bool:
        """Whether the model has a network; a run of `--cell ngram` has none."""
        return self.model.cell != "ngram"

    @property
    def trained(self) -> bool:
        """Whether there is something to use: weights, or counts."""
        return self.best is not None

    @property
    def monitor(self) -> str:
        """The loss that ranks the weights."""
        return "held-out loss" if self.holds_out else "training loss"

    @property
    def holds_out(self) -> bool:
        """Whether there is held-out data to validate on."""
        raise NotImplementedError

    @property
    def unit(self) -> str:
        """The unit that a loss is per: `char`, `byte` or `example`."""
        return "example"

    @property
    def info(self) -> SourceInfo:
        """The training data."""
        raise NotImplementedError

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the embedding."""
        return isinstance(self.model, GeneratorConfig) and self.model.tied

    @property
    def baselines(self) -> Sequence[Baseline]:
        """Simple models of the same split."""
        return ()

    @property
    def parts(self) -> Sequence[Baseline]:
        """The network alone, where the run is a mixture; its n-gram model is among the baselines."""
        return ()

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every weight's name and shape."""
        raise NotImplementedError

    @property
    def trained_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The names and shapes of the trained weights."""
        return self.shapes

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(math.prod(shape) for shape in self.trained_shapes.values())

    def facts(self) -> list[tuple[str, str]]:
        """Return the most important facts as (label, text) pairs."""
        if not self.has_network:
            return self._counted_facts()
        total, best = formatting.number(self.total_steps), "none yet"
        if self.best is not None and self.nats is not None:
            loss = formatting.loss(self.nats, self.unit)
            best = f"{loss} at step {self.best.step:,}, epoch {self.best.epoch}"
        return [
            ("status", f"{self.status}, step {self.step:,} of {total}"),
            *self._data_facts(),
            ("model", self._model_line()),
            ("parameters", f"{self.parameters:,} ({formatting.layers(self.trained_shapes)})"),
            (f"best {self.monitor}", best),
            ("trained", f"{formatting.duration(self.seconds)} on {self._computed}"),
            ("resumes", "bit by bit" if self.exact else "within float noise"),
            ("preset", self.preset),
            *([("warm start", self.initial.rpartition(" ")[0])] if self.initial else []),
        ]

    @property
    def _computed(self) -> str:
        """The device, and the precision where it is not float32."""
        rounded = f", {self.precision} products" if self.precision == "bfloat16" else ""
        return f"{self.device or '?'}{rounded}"

    def _counted_facts(self) -> list[tuple[str, str]]:
        unmeasured = "none yet" if self.holds_out else "nothing is held out"
        loss = unmeasured if self.nats is None else formatting.loss(self.nats, self.unit)
        return [
            ("status", self.status),
            *self._data_facts(),
            ("model", self._model_line()),
            ("held-out loss", loss),
            ("counted", f"{formatting.duration(self.seconds)} on CPU"),
        ]

    @property
    def model_name(self) -> str:
        """The model in two or three words."""
        return f"{self.model.layers} x {self.model.cell} {self.model.units}"

    def options(self) -> list[tuple[str, str]]:
        """Return name and value of every option that applies to this kind of run."""
        model, training = vars(self.model), vars(self.training)
        if not self.has_network:
            return [("cell", self.model.cell), *((name, str(training[name])) for name in COUNTED)]
        return [(name, str(value)) for name, value in (model | training).items() if self._applies(name)]

    def _applies(self, option: str) -> bool:
        return True

    def _data_facts(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def _model_line(self) -> str:
        """Return the model in one line."""
        model = self.model
        words = [f"{model.layers} x {model.cell} of {model.units} units", *self._wiring()]
        words += ["residual"] * model.residual + ["layer norm"] * model.layer_norm
        return ", ".join([*words, f"dropout {model.dropout:g}"])

    def _wiring(self) -> Iterable[str]:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class GeneratorRecord(RunRecord):
    """run.json of a generator.

    Args:
        model: The options of the model.
        text: The text.
        held_out_characters: Length of held_out.txt.
        held_out_sha256: Its sha256.
        vocabulary_size: Number of token ids.
        baselines: Simple models of the same split, measured when the training is finished.
        mixture: The n-gram model that the run writes with, where there is one.
    """

    kind: Literal["generator"] = "generator"
    model: GeneratorConfig
    text: TextInfo
    held_out_characters: int
    held_out_sha256: str
    vocabulary_size: int
    baselines: tuple[Baseline, ...] = field(default=(), metadata={"alias": "yardsticks"})
    mixture: Mixture | None = None

    @property
    def nats(self) -> float | None:
        return super().nats if self.mixture is None else self.mixture.nats

    @property
    def trained(self) -> bool:
        return super().trained or (self.mixture is not None and not self.has_network)

    @property
    def model_name(self) -> str:
        if self.has_network or self.mixture is None:
            return super().model_name
        return f"{self.mixture.order}-gram"

    def _model_line(self) -> str:
        if self.has_network:
            return super()._model_line()
        return "n-grams" if self.mixture is None else f"{self.mixture.order}-grams, Kneser-Ney"

    @property
    def info(self) -> TextInfo:
        return self.text

    @property
    def unit(self) -> str:
        return self.text.tokens

    @property
    def holds_out(self) -> bool:
        return self.held_out_characters > 1

    @property
    def reading(self) -> str:
        """How the recurrent state is treated while a text is read."""
        if self.training.lines:
            return "each line from the zero state"
        if self.training.order == "windows":
            return f"the last {self.training.sequence_length} characters read anew for each"
        return "state carried through"

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.model.weight_shapes(self.vocabulary_size)

    @property
    def trained_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.model.trained_shapes(self.vocabulary_size)

    def _data_facts(self) -> list[tuple[str, str]]:
        text, unit = self.text, formatting.unit(self.text.tokens)
        which = "lines drawn at random, " if self.training.lines else "last "
        held_out = f"{which}{self.held_out_characters:,} {unit}, never trained on"
        facts = (
            f"{text.name}: {text.characters:,} {unit}, {self.vocabulary_size:,} distinct, "
            f"sha256 {text.sha256[:12]}"
        )
        return [("text", facts), ("held out", held_out if self.held_out_characters else "nothing")]

    def _wiring(self) -> Iterable[str]:
        yield "one-hot" if self.model.one_hot else f"embedding {self.model.embedding}"
        if self.model.tied:
            yield "tied"
        for units in self.model.hidden:
            yield f"ReLU {units}"
        if self.mixture is not None:
            yield f"mixed with {self.mixture.order}-grams"

    @property
    def parts(self) -> tuple[Baseline, ...]:
        if self.mixture is None or self.mixture.network is None:
            return ()
        return (Baseline("its network alone", formatting.bits(self.mixture.network)),)


@dataclass(frozen=True, kw_only=True)
class ClassifierRecord(RunRecord):
    """run.json of a classifier.

    Args:
        model: The options of the model.
        data: The labelled data.
        inputs: Vocabulary size, or features of a vector.
        classes: Names of the classes; the index is the id of the class.
        held_out: Number of examples that were never trained on.
        majority: The share of the most frequent class among them.
    """

    kind: Literal["classifier"] = "classifier"
    model: ClassifierConfig
    data: DataInfo
    inputs: int
    classes: tuple[str, ...]
    held_out: int
    majority: float

    def __post_init__(self) -> None:
        if (self.data.kind == "vectors") != (self.data.tokens == "vector"):
            raise UsageError(f"data of kind {self.data.kind} cannot be of {self.data.tokens} tokens.")
        if len(set(self.classes)) != len(self.data.counts):
            raise UsageError(
                f"classes must be as many names as counts. Received: {len(set(self.classes)):,} and "
                f"{len(self.data.counts):,}."
            )

    @property
    def info(self) -> DataInfo:
        return self.data

    @property
    def holds_out(self) -> bool:
        return self.held_out > 0

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.model.weight_shapes(self.inputs, len(self.classes), self.data.kind == "text")

    def _applies(self, option: str) -> bool:
        return option not in TEXT_ONLY

    def _data_facts(self) -> list[tuple[str, str]]:
        data = self.data
        read = {"vector": f"vectors of {self.inputs} numbers"}.get(
            data.tokens, f"{self.inputs:,} distinct {data.tokens}s"
        )
        facts = (
            f"{data.name}: {data.examples:,} examples of {len(self.classes)} classes, {read}, "
            f"sha256 {data.sha256[:12]}"
        )
        held_out = f"{self.held_out:,} examples, {self.model.split} split, never trained on"
        return [("data", facts), ("held out", held_out if self.held_out else "nothing")]

    def _wiring(self) -> Iterable[str]:
        yield "both directions" if self.model.bidirectional else "one direction"
        if self.data.kind == "text":
            yield f"embedding {self.model.embedding}"
        yield "last valid step" if self.model.pool == "last" else f"{self.model.pool} over valid steps"


def baseline_table(bits: float, baselines: Sequence[Baseline], tokens: str = "char") -> Table:
    """Return a model among its baselines, best first, under a head.

    Args:
        bits: The model's bits per character.
        baselines: Simple models of the same text.
        tokens: The unit of the losses.
    """
    ranked = sorted((Baseline(THIS_MODEL, bits), *baselines), key=_bits)
    table = [["", "nats", f"bits/{tokens}", "perplexity"]]
    for item in ranked:
        nats = _bits(item) * math.log(2)
        table.append(
            [item.name, f"{nats:.3f}", f"{_bits(item):.3f}", f"{formatting.perplexity(nats):.2f}"]
        )
    return table


def baseline_summary(bits: float, baselines: Sequence[Baseline]) -> str:
    """Return the place of a model among its baselines, as in "between xz and unigram".

    Args:
        bits: The model's bits per character.
        baselines: Simple models of the same text, at least one.
    """
    ranked = sorted(baselines, key=_bits)
    better = [item for item in ranked if _bits(item) < bits]
    worse = ranked[len(better) :]
    if not better:
        gap = worse[0].bits_per_character - bits
        return f"better than every baseline: the next, {worse[0].name}, needs {gap:.2f} bits more"
    if not worse:
        return f"worse than every baseline, even {better[-1].name}: something is wrong"
    return f"between {better[-1].name} (better) and {worse[0].name} (worse)"
