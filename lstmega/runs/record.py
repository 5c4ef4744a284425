"""What a run says of itself: the fields of run.json and the rows of history.csv."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lstmega.config.classifier_options import ClassifierOptions
from lstmega.config.options import ModelOptions, TrainingOptions
from lstmega.display import formatting as display

Status = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Yardstick:
    """What a simple model costs per held-out character."""

    name: str
    bits_per_character: float


@dataclass(frozen=True)
class SavedWeights:
    """One file below `weights/`; `nats` is the loss that it was judged by."""

    file: str
    sha256: str
    step: int
    epoch: int
    nats: float


@dataclass(frozen=True)
class TextInfo:
    """The text of a run: enough to recognise it, to tell a person about it and to find it again.

    `places` are the paths or names of its sources, paths as seen from the run directory.
    """

    name: str
    sha256: str
    characters: int
    tokens: Literal["char", "byte"]
    line_ends: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    places: tuple[str, ...] = ()
    encoding: str | None = None
    lower: bool = False


@dataclass(frozen=True)
class DataInfo:
    """The labelled data of a classifier: enough to recognise it and to find it again.

    `places` are the paths of its sources, as seen from the run directory.
    """

    name: str
    sha256: str
    kind: Literal["text", "vectors"]
    tokens: Literal["char", "word", "vector"]
    examples: int
    counts: tuple[int, ...]
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    places: tuple[str, ...]
    reading: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What run.json says of any run.

    Args:
        epoch_steps: Steps of one pass over the training part.
        total_steps: None until `--minutes` has timed the first steps.
        step: Steps done when the last state was saved or the last weights were.
        seconds: Training time so far.
        exact: Whether every step so far was computed on a CPU with one number of threads and one set
            of versions, so that a resumed run equals an uninterrupted one bit by bit.
        compiled: Whether XLA compiles the steps; decided once, because it changes the last bits.
        initial: The run, and the sha256 of its weights, that this one started from.
        weights: Every file below weights/, oldest first.
        logs: The sha256 of history.csv and samples.txt, by name.
        best: The one with the lowest held-out loss (training loss where nothing is held out).
    """

    name: str
    created: str
    preset: str
    model: Any
    training: TrainingOptions
    epoch_steps: int
    total_steps: int | None = None
    status: Status = "running"
    step: int = 0
    seconds: float = 0.0
    device: str = ""
    compiled: bool | None = None
    initial: str = ""
    exact: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[SavedWeights, ...] = ()
    best: SavedWeights | None = None
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def judged_by(self) -> str:
        """The loss that decided which weights are the best."""
        return "held-out loss" if self.holds_out else "training loss"

    @property
    def holds_out(self) -> bool:
        """Whether there is something to validate on."""
        raise NotImplementedError

    @property
    def unit(self) -> str:
        """What a loss is per: `char`, `byte` or `example`."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """The name of what was trained on."""
        raise NotImplementedError

    @property
    def source_sha256(self) -> str:
        """The hash of the same."""
        raise NotImplementedError

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the embedding."""
        return False

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every weight's name and shape."""
        raise NotImplementedError

    @property
    def trained_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The same of what is trained."""
        return self.shapes

    @property
    def parameters(self) -> int:
        """The number of trained numbers."""
        return sum(math.prod(shape) for shape in self.trained_shapes.values())

    def facts(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first, as (label, text) pairs."""
        raise NotImplementedError

    @property
    def status_line(self) -> str:
        """Where the training is."""
        return f"{self.status}, step {self.step:,} of {display.number(self.total_steps)}"

    def closing_facts(self) -> list[tuple[str, str]]:
        """Return what all runs have in common, as (label, text) pairs."""
        best = self.best
        return [
            ("parameters", f"{self.parameters:,} ({display.layers(self.trained_shapes)})"),
            (
                f"best {self.judged_by}",
                f"{display.loss(best.nats, self.unit)} at step {best.step:,}, epoch {best.epoch}"
                if best
                else "none yet",
            ),
            ("trained", f"{display.duration(self.seconds)} on {self.device or '?'}"),
            ("resumes", "bit by bit" if self.exact else "within float noise"),
            ("preset", self.preset),
        ]


@dataclass(frozen=True, kw_only=True)
class Record(RunRecord):
    """What run.json says of a generator.

    Args:
        held_out_characters: Length of held_out.txt.
        yardsticks: Simple models of the same split, measured when the training is finished.
    """

    kind: Literal["generator"] = "generator"
    model: ModelOptions
    text: TextInfo
    held_out_characters: int
    held_out_sha256: str
    vocabulary_size: int
    vocabulary_sha256: str
    yardsticks: tuple[Yardstick, ...] = ()

    @property
    def holds_out(self) -> bool:
        """Whether there is something to validate on."""
        return self.held_out_characters > 1

    @property
    def unit(self) -> str:
        """What a loss is per."""
        return self.text.tokens

    @property
    def source(self) -> str:
        """The name of its text."""
        return self.text.name

    @property
    def source_sha256(self) -> str:
        """The hash of its text."""
        return self.text.sha256

    @property
    def tied(self) -> bool:
        """Whether the output layer shares the embedding."""
        return self.model.tied

    @property
    def reading(self) -> str:
        """What becomes of the state while a text is read."""
        if self.training.lines:
            return "each line from the zero state"
        if self.training.order == "windows":
            return f"the last {self.training.sequence_length} characters read anew for each"
        return "state carried through"

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every weight's name and shape."""
        return self.model.weight_shapes(self.vocabulary_size)

    @property
    def trained_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The same of what is trained."""
        return self.model.trained_shapes(self.vocabulary_size)

    def facts(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first, as (label, text) pairs."""
        model, text = self.model, self.text
        which = "lines drawn at random, " if self.training.lines else "last "
        held_out = f"{which}{self.held_out_characters:,} {display.unit(text.tokens)}, never trained on"
        return [
            ("status", self.status_line),
            (
                "text",
                f"{text.name}: {text.characters:,} {display.unit(text.tokens)}, "
                f"{self.vocabulary_size:,} distinct, sha256 {text.sha256[:12]}",
            ),
            ("held out", held_out if self.held_out_characters else "nothing"),
            (
                "model",
                f"{model.layers} x {model.cell} of {model.units} units, "
                f"{'one-hot' if model.one_hot else f'embedding {model.embedding}'}"
                f"{self._wiring()}, dropout {model.dropout:g}",
            ),
            *self.closing_facts(),
        ]

    def _wiring(self) -> str:
        names = {"tied": "tied", "residual": "residual", "layer_norm": "normalised"}
        wired = [name for field, name in names.items() if getattr(self.model, field)]
        wired += [f"ReLU {units}" for units in self.model.hidden]
        return "".join(f", {name}" for name in wired)


@dataclass(frozen=True, kw_only=True)
class ClassifierRecord(RunRecord):
    """What run.json says of a classifier.

    Args:
        inputs: Tokens of the vocabulary, or numbers of a vector.
        classes: Their names; a class is known by its place.
        held_out: Examples that were never trained on.
        majority: The share of the commonest class among them.
    """

    kind: Literal["classifier"] = "classifier"
    model: ClassifierOptions
    data: DataInfo
    inputs: int
    classes: tuple[str, ...]
    held_out: int
    majority: float
    vocabulary_sha256: str

    @property
    def holds_out(self) -> bool:
        """Whether there is something to validate on."""
        return self.held_out > 0

    @property
    def unit(self) -> str:
        """What a loss is per."""
        return "example"

    @property
    def source(self) -> str:
        """The name of its data."""
        return self.data.name

    @property
    def source_sha256(self) -> str:
        """The hash of its data."""
        return self.data.sha256

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Every weight's name and shape."""
        return self.model.weight_shapes(self.inputs, len(self.classes), self.data.kind == "text")

    def facts(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first, as (label, text) pairs."""
        data = self.data
        read = {"vector": f"vectors of {self.inputs} numbers"}.get(
            data.tokens, f"{self.inputs:,} distinct {data.tokens}s"
        )
        held_out = f"{self.held_out:,} examples, {self.model.split} split, never trained on"
        return [
            ("status", self.status_line),
            (
                "data",
                f"{data.name}: {data.examples:,} examples of {len(self.classes)} classes, {read}, "
                f"sha256 {data.sha256[:12]}",
            ),
            ("held out", held_out if self.held_out else "nothing"),
            ("model", self.model.sentence(data.kind == "text")),
            *self.closing_facts(),
        ]


def baseline_table(
    bits: float, yardsticks: Sequence[Yardstick], tokens: str = "char"
) -> list[list[str]]:
    """Return a model of so many bits per character among its yardsticks, best first, under a head."""
    ranked = sorted((Yardstick("this model", bits), *yardsticks), key=_bits)
    return [["", "nats", f"bits/{tokens}", "perplexity"], *map(_row, ranked)]


def _row(item: Yardstick) -> list[str]:
    bits = item.bits_per_character
    return [item.name, f"{bits * math.log(2):.3f}", f"{bits:.3f}", f"{2**bits:.2f}"]


def _bits(item: Yardstick) -> float:
    return item.bits_per_character


def baseline_summary(bits: float, yardsticks: Sequence[Yardstick]) -> str:
    """Say where a model of so many bits per character stands, as in "between xz and unigram"."""
    ranked = sorted(yardsticks, key=_bits)
    better = [item for item in ranked if item.bits_per_character < bits]
    worse = [item for item in ranked if item.bits_per_character >= bits]
    if not better:
        gap = worse[0].bits_per_character - bits
        return f"better than every yardstick: the next, {worse[0].name}, needs {gap:.2f} bits more"
    if not worse:
        return f"worse than every yardstick, even {better[-1].name}: something is wrong"
    return f"between {better[-1].name} (better) and {worse[0].name} (worse)"
