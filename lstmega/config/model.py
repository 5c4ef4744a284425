"""Options of a model: the recurrent stack of all models, and the options of each kind."""

import math
from dataclasses import dataclass
from typing import Literal

from lstmega.config.base import Config, option
from lstmega.errors import UsageError

Cell = Literal["lstm", "gru", "rnn"]
GeneratorCell = Literal["lstm", "gru", "rnn", "ngram"]
Pool = Literal["last", "mean", "max"]
Split = Literal["distinct", "random"]
Shapes = dict[str, tuple[int, ...]]

MAX_UNITS = 8192
MAX_LAYERS = 8
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class RecurrentConfig(Config):
    """Embedding -> recurrent layers: the part that all models share.

    Source of `weight_drop`: Merity et al. 2018 (arXiv:1708.02182).
    """

    cell: GeneratorCell = option("lstm", "Recurrent cell.")
    units: int = option(256, "Units of each recurrent layer, in each direction.", 1, MAX_UNITS)
    layers: int = option(1, "Number of stacked recurrent layers.", 1, MAX_LAYERS)
    embedding: int = option(64, "Width of the token embedding.", 1, MAX_UNITS)
    residual: bool = option(
        False, "Add the input of each recurrent layer above the first to its output."
    )
    layer_norm: bool = option(
        False, "Normalise the input of each recurrent layer above the first, and of the output layer."
    )
    dropout: float = option(
        0.0, "Fraction of each recurrent layer's output to drop in training.", 0, 0.95
    )
    input_dropout: float = option(
        0.0, "Fraction of the embedded tokens' features to drop in training.", 0, 0.95
    )
    weight_drop: float = option(
        0.0, "Fraction of each recurrent kernel to drop in a training step.", 0, 0.95
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual and self.layers == 1:
            raise UsageError("--residual needs a layer above the first. Received: --layers 1.")

    @property
    def directions(self) -> tuple[str, ...]:
        """Suffixes of a layer's name, one for each direction in which it reads."""
        return ("",)

    @property
    def width(self) -> int:
        """Features that a layer passes on at each step, over all directions."""
        return self.units * len(self.directions)

    def layer_names(self) -> list[tuple[str, ...]]:
        """Return the names of the recurrent layers, lowest first, the directions of a layer together.

        `[("lstm_1",), ("lstm_2",)]`, or `[("lstm_1", "lstm_1_back")]` where a layer reads both ways.
        """
        numbers = range(1, self.layers + 1)
        return [tuple(f"{self.cell}_{number}{way}" for way in self.directions) for number in numbers]

    def norm_names(self) -> list[str]:
        """Return the names of the layer normalisations, lowest first; the output layer's is last."""
        if not self.layer_norm:
            return []
        return [f"{names[0]}_norm" for names in self.layer_names()[1:]] + ["head_norm"]

    def recurrent_shapes(self, width: int) -> Shapes:
        """Return the names and shapes of the stack's weights above the embedding, in Keras' layout.

        Gates lie side by side in Keras' order: `i f c o` for lstm, `z r h` for gru (whose bias has one
        row for the input and one for the recurrent product, `reset_after=True`).

        Args:
            width: Features that the lowest layer reads.
        """
        shapes: Shapes = {}
        gates = GATES[self.cell] * self.units
        for names in self.layer_names():
            for name in reversed(names):  # Keras' order: the backward layer is farther from the output
                shapes[f"{name}/kernel"] = (width, gates)
                shapes[f"{name}/recurrent_kernel"] = (self.units, gates)
                shapes[f"{name}/bias"] = (2, gates) if self.cell == "gru" else (gates,)
            width = self.width
        for name in self.norm_names():
            shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (width,)
        return shapes

    def dropouts(self) -> list[float]:
        """Return the dropout of each recurrent layer's output, lowest first."""
        return [self.dropout] * self.layers


@dataclass(frozen=True)
class GeneratorConfig(RecurrentConfig):
    """Embedding -> recurrent layers -> logits of the next token.

    Sources: `tied` Press and Wolf 2017 (arXiv:1608.05859), `variational` Gal and Ghahramani 2016
    (arXiv:1512.05287).
    """

    cell: GeneratorCell = option(
        "lstm", "Recurrent cell; ngram counts the text in a second, and trains no network."
    )
    tied: bool = option(
        False, "Share the embedding with the output layer, behind a projection to its width."
    )
    output_dropout: float | None = option(
        None, "Dropout of the last recurrent layer's output (default: --dropout).", 0, 0.95
    )
    variational: bool = option(False, "Use one dropout mask for all time steps of a row.")
    one_hot: bool = option(False, "Read one-hot vectors instead of a learnt embedding.")
    hidden: tuple[int, ...] = option(
        (),
        "Units of a ReLU layer between the last recurrent layer and the logits. Repeatable.",
        1,
        MAX_UNITS,
    )
    hidden_dropout: tuple[float, ...] = option(
        (), "Fraction of the output of each --hidden layer to drop in training. Repeatable.", 0, 0.95
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tied and self.one_hot:
            raise UsageError("--tied needs an embedding. Received: --one-hot.")
        if self.input_dropout and self.one_hot:
            raise UsageError("--input-dropout needs an embedding. Received: --one-hot.")
        if len(self.hidden_dropout) not in (0, len(self.hidden)):
            raise UsageError(
                f"--hidden-dropout needs one fraction for each --hidden layer. Received: "
                f"{len(self.hidden_dropout)} for {len(self.hidden)}."
            )

    def hidden_names(self) -> list[str]:
        """Return the names of the ReLU layers, lowest first."""
        return [f"hidden_{number}" for number in range(1, len(self.hidden) + 1)]

    def dropouts(self) -> list[float]:
        """Return the dropout of each recurrent layer's output, lowest first."""
        last = self.dropout if self.output_dropout is None else self.output_dropout
        return [*super().dropouts()[:-1], last]

    def weight_shapes(self, vocabulary_size: int) -> Shapes:
        """Return every weight's name and shape, in Keras' layout; an n-gram model has none."""
        if self.cell == "ngram":
            return {}
        width = vocabulary_size if self.one_hot else self.embedding
        shapes = {"embedding/embeddings": (vocabulary_size, width)} | self.recurrent_shapes(width)
        width = self.units
        for name, units in zip(self.hidden_names(), self.hidden, strict=True):
            shapes |= _dense(name, width, units)
            width = units
        head, size = ("projection", self.embedding) if self.tied else ("logits", vocabulary_size)
        return shapes | _dense(head, width, size)

    def trained_shapes(self, vocabulary_size: int) -> Shapes:
        """Return the shapes of the trained weights: one-hot vectors are constants."""
        shapes = self.weight_shapes(vocabulary_size)
        return {name: shape for name, shape in shapes.items() if not (self.one_hot and "embed" in name)}

    def parameters(self, vocabulary_size: int) -> int:
        """Return the number of trained parameters."""
        return sum(math.prod(shape) for shape in self.trained_shapes(vocabulary_size).values())


@dataclass(frozen=True)
class ClassifierConfig(RecurrentConfig):
    """Embedding (of tokens) -> recurrent layers -> pooling over valid steps -> classes.

    Bidirectional layers follow Schuster and Paliwal 1997. Dropout masks are the same at all steps of a
    row (Gal and Ghahramani 2016, arXiv:1512.05287).
    """

    cell: Cell = option("lstm", "Recurrent cell.")
    units: int = option(128, "Units of each recurrent layer, in each direction.", 1, MAX_UNITS)
    bidirectional: bool = option(False, "Read each sequence in both directions.")
    pool: Pool = option(
        "last", "Features of a sequence: the last valid step, or the mean or maximum over valid steps."
    )
    token_dropout: float = option(0.0, "Fraction of tokens to replace by <unk> in training.", 0, 0.95)
    label_smoothing: float = option(
        0.0, "Fraction of the target spread over all classes.", 0, 0.5, alias="smoothing"
    )
    class_weight_power: float = option(
        0.0,
        "Weigh an example by its class' frequency to the power of minus this (1: all classes alike).",
        0,
        1,
        alias="balance",
    )
    split: Split = option(
        "distinct",
        "Held-out examples: 'distinct' drops repeats and keeps equal inputs on one side, 'random' draws "
        "any.",
    )

    @property
    def directions(self) -> tuple[str, ...]:
        return ("", "_back") if self.bidirectional else ("",)

    def weight_shapes(self, inputs: int, classes: int, tokens: bool) -> Shapes:
        """Return every weight's name and shape, in Keras' layout.

        Args:
            inputs: Vocabulary size, or features of a vector.
            classes: Number of classes.
            tokens: Whether sequences consist of tokens, which have an embedding.
        """
        shapes: Shapes = {"embedding/embeddings": (inputs, self.embedding)} if tokens else {}
        shapes |= self.recurrent_shapes(self.embedding if tokens else inputs)
        return shapes | _dense("classes", self.width, classes)


def _dense(name: str, width: int, units: int) -> Shapes:
    return {f"{name}/kernel": (width, units), f"{name}/bias": (units,)}
