"""What a model is and how it is trained: frozen, checked once, written to the run as JSON.

The command line is made from these fields: a field `batch_size` is the option `--batch-size`, its
`doc` the help text.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from lstmega.config.base import real, refusal, whole
from lstmega.errors import UsageError

Cell = Literal["lstm", "gru", "rnn"]
Order = Literal["lanes", "shuffled", "windows"]
Optimizer = Literal["adam", "rmsprop"]
Schedule = Literal["cosine", "constant"]
Vary = Literal["char", "word", "line"]

MAX_UNITS = 8192
MAX_LAYERS = 8
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def option(default: Any, doc: str, low: float = 0, high: float = 0) -> Any:
    """Return a field with its help, and its bounds where it is a number."""
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


class Options:
    """Checking, shared by the option dataclasses."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = _checked(item, hints[item.name], getattr(self, item.name))
            object.__setattr__(self, item.name, value)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Make them of names and values.

        Raises:
            UsageError: A name is no field.
        """
        names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
        if unknown := sorted(set(fields) - set(names)):
            raise UsageError(f"Unknown options {unknown}. Accepted: {names}.")
        return cls(**fields)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def flag(name: str) -> str:
    """Return the command line's spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def _checked(item: "dataclasses.Field[Any]", hint: Any, value: Any) -> Any:
    """Return a field's value, as a plain Python number where it is one."""
    kinds = get_args(hint) if get_origin(hint) not in (None, Literal, tuple) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind, name = kinds[0], flag(item.name)
    low, high = item.metadata["low"], item.metadata["high"]
    if get_origin(kind) is not tuple:
        return _one(kind, name, value, low, high)
    if value is None:
        return ()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(
        _one(get_args(kind)[0], name, part, low, high) for part in (value if several else [value])
    )


def _one(kind: Any, name: str, value: Any, low: float, high: float) -> Any:
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise refusal(name, "one of: " + ", ".join(get_args(kind)), value)
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise refusal(name, "True or False", value)
        return value
    if kind is str:
        return _text(name, value)
    return whole(name, value, int(low), int(high)) if kind is int else real(name, value, low, high)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise refusal(name, "text of at least one character", value)
    return value


@dataclass(frozen=True)
class ModelOptions(Options):
    """Embedding -> recurrent layers -> Dense logits.

    What has a source: `tied` Press and Wolf 2017 (arXiv:1608.05859), `variational` Gal and Ghahramani
    2016 (arXiv:1512.05287), `weight_drop` Merity et al. 2018 (arXiv:1708.02182).
    """

    cell: Cell = option("lstm", "Recurrent cell.")
    units: int = option(256, "Units of each recurrent layer.", 1, MAX_UNITS)
    layers: int = option(1, "Recurrent layers, one above the other.", 1, MAX_LAYERS)
    embedding: int = option(64, "Width of the character embedding.", 1, MAX_UNITS)
    tied: bool = option(
        False, "Let the output layer share the embedding, behind a projection to its width."
    )
    residual: bool = option(
        False, "Add its input to the output of each recurrent layer above the first."
    )
    layer_norm: bool = option(
        False, "Normalise what each recurrent layer above the first and the output layer read."
    )
    dropout: float = option(
        0.0, "Share of each recurrent layer's output that is dropped in training.", 0, 0.95
    )
    input_dropout: float = option(0.0, "The same of the embedded characters.", 0, 0.95)
    output_dropout: float | None = option(
        None, "The same of the last layer's output, where that is not to be as --dropout.", 0, 0.95
    )
    variational: bool = option(
        False, "Drop the same units at all steps of a row, not others at each step."
    )
    weight_drop: float = option(
        0.0, "Share of each recurrent kernel that is dropped at a training step.", 0, 0.95
    )

    one_hot: bool = option(
        False, "Let the recurrent layer read the characters themselves, without an embedding."
    )
    hidden: tuple[int, ...] = option(
        (),
        "Units of a ReLU layer between the last recurrent layer and the logits. Repeatable.",
        1,
        MAX_UNITS,
    )
    hidden_dropout: tuple[float, ...] = option(
        (),
        "Share of the output of each --hidden layer that is dropped in training. Repeatable.",
        0,
        0.95,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual and self.layers == 1:
            raise UsageError("--residual needs a layer above the first. Received: --layers 1.")
        if self.tied and self.one_hot:
            raise UsageError("--tied needs an embedding. Received: --one-hot.")
        if self.input_dropout and self.one_hot:
            raise UsageError("--input-dropout needs an embedding. Received: --one-hot.")
        if len(self.hidden_dropout) not in (0, len(self.hidden)):
            raise UsageError(
                f"--hidden-dropout needs one share for each --hidden layer. Received: "
                f"{len(self.hidden_dropout)} for {len(self.hidden)}."
            )

    def layer_names(self) -> list[str]:
        """Return the names of the recurrent layers, lowest first: `lstm_1`, `lstm_2`, ..."""
        return [f"{self.cell}_{number}" for number in range(1, self.layers + 1)]

    def norm_names(self) -> list[str]:
        """Return the names of the normalisations, lowest first; that of the head is the last."""
        return [f"{name}_norm" for name in (*self.layer_names()[1:], "head")] if self.layer_norm else []

    def hidden_names(self) -> list[str]:
        """Return the names of the ReLU layers, lowest first."""
        return [f"hidden_{number}" for number in range(1, len(self.hidden) + 1)]

    def dropouts(self) -> list[float]:
        """Return what is dropped of each recurrent layer's output, lowest first."""
        last = self.dropout if self.output_dropout is None else self.output_dropout
        return [self.dropout] * (self.layers - 1) + [last]

    def weight_shapes(self, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
        """Return every weight's name and shape, in Keras' layout (gates side by side).

        Gates are in Keras' order: `i f c o` for lstm, `z r h` for gru (whose bias has one row for
        the input and one for the recurrent product, `reset_after=True`).
        """
        width = vocabulary_size if self.one_hot else self.embedding
        shapes: dict[str, tuple[int, ...]] = {"embedding/embeddings": (vocabulary_size, width)}
        gates = GATES[self.cell] * self.units
        for name in self.layer_names():
            shapes[f"{name}/kernel"] = (width, gates)
            shapes[f"{name}/recurrent_kernel"] = (self.units, gates)
            shapes[f"{name}/bias"] = (2, gates) if self.cell == "gru" else (gates,)
            width = self.units
        for name in self.norm_names():
            shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (width,)
        for name, units in zip(self.hidden_names(), self.hidden, strict=True):
            shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = (width, units), (units,)
            width = units
        head, size = ("projection", self.embedding) if self.tied else ("logits", vocabulary_size)
        shapes[f"{head}/kernel"], shapes[f"{head}/bias"] = (width, size), (size,)
        return shapes

    def trained_shapes(self, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
        """Return `weight_shapes` of what is trained: one-hot vectors are not."""
        shapes = self.weight_shapes(vocabulary_size)
        return {name: shape for name, shape in shapes.items() if not (self.one_hot and "embed" in name)}

    def parameters(self, vocabulary_size: int) -> int:
        """Return the number of trained numbers."""
        return sum(math.prod(shape) for shape in self.trained_shapes(vocabulary_size).values())


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How long, on what batches and with which learning rate."""

    epochs: int | None = option(None, "Train for this many passes over the text.", 1, 10**6)
    steps: int | None = option(None, "Train for this many batches.", 1, 10**9)
    minutes: float | None = option(
        None,
        "Train for about this long: the first steps are timed, then their number is fixed.",
        0.05,
        10**6,
    )
    batch_size: int = option(64, "Rows of a batch.", 1, 65536)
    sequence_length: int = option(
        100, "Characters of a row of a batch; of a sequence with a class, so many are read.", 1, 65536
    )
    optimizer: Optimizer = option("adam", "What takes the steps.")
    learning_rate: float = option(1e-3, "Peak learning rate of the optimizer.", 1e-9, 10)
    schedule: Schedule = option("cosine", "Warm-up and cosine decay, or one constant rate.")
    warmup: int = option(50, "Steps over which the cosine schedule's rate rises from 0.", 0, 10**9)
    clip_norm: float | None = option(
        1.0, "Bound on the global norm of the gradient; a large one never acts.", 1e-6, 1e9
    )
    weight_decay: float = option(
        0.0, "Share of each kernel that a step takes away, times the learning rate (AdamW).", 0, 10
    )
    average: float = option(
        0.0,
        "Measure and keep a moving average of the weights; 0.999 is over about 1,000 steps.",
        0,
        0.999999,
    )
    order: Order = option(
        "lanes",
        "Contiguous lanes that carry state, shuffled windows from the zero state, or overlapping "
        "windows that predict one character each.",
    )
    stride: int = option(3, "Characters between --order windows.", 1, 65536)
    lines: bool = option(
        False,
        "Each line is a text of its own, from the zero state to its line end; lines drawn at random are "
        "held out. --order and --restarts do not matter then.",
    )
    restarts: float = option(
        0.0, "Share of rows that restart from the zero state at each batch (lanes only).", 0, 1
    )
    validation: float = option(
        0.1, "Share that is held out: the end of the text, or lines or examples drawn at random.", 0, 0.9
    )
    patience: int | None = option(
        None, "Stop after this many validations without a better held-out loss.", 1, 10**6
    )
    seed: int = option(0, "Seed of weights, batches, dropout and previews.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if [self.epochs, self.steps, self.minutes].count(None) != 2:
            raise UsageError(
                "Give one of --epochs, --steps and --minutes. "
                f"Received: epochs={self.epochs}, steps={self.steps}, minutes={self.minutes}."
            )
        if self.lines and self.order == "windows":
            raise UsageError("--lines and --order windows exclude each other. Received: both.")
        if self.patience is not None and self.validation == 0:
            raise UsageError("--patience needs held-out text. Received: --validation 0.")


@dataclass(frozen=True)
class WritingOptions(Options):
    """What may follow, beside temperature. In this order:

    1. What holds always: `ban`, `require`, `regex`, `acrostic`, `no_copy`. A text ends where they leave
       nothing.
    2. On the model's own logits: `no_repeat`, then `penalty`.
    3. On the logits after temperature: `top_k`, `top_p`, `min_p`, `typical`.

    `stop` and `lines` end a text. The classes of `filters.py` name their sources.
    """

    top_k: int | None = option(None, "Only the k likeliest characters.", 1, sys.maxsize)
    top_p: float | None = option(None, "Only the likeliest characters of this joint probability.", 0, 1)
    min_p: float | None = option(
        None, "Only characters with at least this share of the likeliest one's probability.", 0, 1
    )
    typical: float | None = option(
        None, "Only the most typical characters of this joint probability.", 0, 1
    )
    penalty: float | None = option(
        None, "Divide the logits of characters that were there before by this.", 0, 100
    )
    penalty_window: int | None = option(
        None, "Characters that --penalty looks back; without it, all.", 1, sys.maxsize
    )
    no_repeat: int | None = option(
        None, "Never write this many characters in a row that were there before.", 1, sys.maxsize
    )
    no_copy: int | None = option(
        None, "Never copy more than this many characters in a row from the training text.", 1, 10**6
    )
    ban: tuple[str, ...] = option((), "A text never has this. Repeatable.")
    require: tuple[str, ...] = option((), "A text must have this somewhere. Repeatable.")
    regex: str | None = option(None, "The whole text matches this regular expression.")
    acrostic: str | None = option(
        None, "The lines, of 80 characters at most, begin with the letters of this word."
    )
    stop: tuple[str, ...] = option((), "A text ends where this would appear. Repeatable.")
    lines: int | None = option(None, "A text ends after this many lines.", 1, sys.maxsize)
    vary: Vary | None = option(
        None,
        "Go through --temps within each text: by char, by word, or evenly within each line.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("top_p", "typical", "penalty"):
            if getattr(self, name) == 0:
                raise refusal(flag(name), "above 0", 0)
        if self.penalty_window is not None and self.penalty is None:
            raise UsageError("--penalty-window needs --penalty. Received: no --penalty.")
        ending = [name for name in ("stop", "lines") if getattr(self, name)]
        if self.complete and ending:
            raise UsageError(
                f"{flag(ending[0])} may end a text before {flag(self.complete[0])} is fulfilled. "
                "Received: both. Accepted: one of the two."
            )

    @property
    def complete(self) -> list[str]:
        """The fields that ask for something of a whole text, which a part of it need not have."""
        return [name for name in ("require", "regex", "acrostic") if getattr(self, name)]
