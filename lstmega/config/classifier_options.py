"""What a classifier is: frozen, checked once, written to the run as JSON."""

from dataclasses import dataclass
from typing import Literal

from lstmega.config.options import GATES, MAX_LAYERS, MAX_UNITS, Cell, Options, option

Pool = Literal["last", "mean", "max"]
Split = Literal["distinct", "random"]

OF_ONE_TEXT = ("order", "stride", "lines", "restarts")  # options of training that mean nothing here


@dataclass(frozen=True)
class ClassifierOptions(Options):
    """Embedding (where there are tokens) -> recurrent layers -> pool over valid steps -> classes.

    `bidirectional` layers read both ways, each from both ways of the one below (Schuster and Paliwal
    1997). Noise is the same at all steps of a row (Gal and Ghahramani 2016, arXiv:1512.05287).
    """

    cell: Cell = option("lstm", "Recurrent cell.")
    units: int = option(128, "Units of each recurrent layer, in each direction.", 1, MAX_UNITS)
    layers: int = option(1, "Recurrent layers, one above the other.", 1, MAX_LAYERS)
    embedding: int = option(64, "Width of the embedding of characters or words.", 1, MAX_UNITS)
    bidirectional: bool = option(False, "Read each sequence in both directions.")
    pool: Pool = option(
        "last", "What the classes are told from: the last valid step, or mean or max over valid steps."
    )
    dropout: float = option(
        0.0,
        "Share of each layer's output, and of what the classes are told from, dropped in training.",
        0,
        0.95,
    )
    input_dropout: float = option(
        0.0, "Share of the embedding's width that is dropped in training.", 0, 0.95
    )
    token_dropout: float = option(
        0.0, "Share of characters or words that are read as unknown in training.", 0, 0.95
    )
    smoothing: float = option(
        0.0, "Share of the target that is spread over all classes (label smoothing).", 0, 0.5
    )
    balance: float = option(
        0.0,
        "Weigh an example by its class' share to the power of minus this: 1 gives all classes the same "
        "weight.",
        0,
        1,
    )
    split: Split = option(
        "distinct",
        "What is held out: distinct drops repeats and keeps equal inputs on one side, random draws any.",
    )

    def layer_names(self) -> list[list[str]]:
        """Return the names of the recurrent layers, lowest first, the directions of each together."""
        ways = ("", "_back") if self.bidirectional else ("",)
        return [[f"{self.cell}_{number}{way}" for way in ways] for number in range(1, self.layers + 1)]

    @property
    def width(self) -> int:
        """Numbers that a layer passes on at each step."""
        return self.units * (1 + self.bidirectional)

    def weight_shapes(self, inputs: int, classes: int, tokens: bool) -> dict[str, tuple[int, ...]]:
        """Return every weight's name and shape, in Keras' layout.

        Args:
            inputs: Token ids, or numbers of a vector.
            classes: Number of classes.
            tokens: Whether sequences are of tokens, which have an embedding.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        width, gates = inputs, GATES[self.cell] * self.units
        if tokens:
            shapes["embedding/embeddings"] = (inputs, self.embedding)
            width = self.embedding
        for names in self.layer_names():
            for name in reversed(names):  # Keras' order: what reads backward is farther from the output
                shapes[f"{name}/kernel"] = (width, gates)
                shapes[f"{name}/recurrent_kernel"] = (self.units, gates)
                shapes[f"{name}/bias"] = (2, gates) if self.cell == "gru" else (gates,)
            width = self.width
        return shapes | {"classes/kernel": (width, classes), "classes/bias": (classes,)}

    def sentence(self, tokens: bool) -> str:
        """Say what it is in one line; `tokens` as for `weight_shapes`."""
        ways = "both ways" if self.bidirectional else "one way"
        embedding = f", embedding {self.embedding}" if tokens else ""
        pool = {"last": "the last valid step"}.get(self.pool, f"{self.pool} over valid steps")
        return (
            f"{self.layers} x {self.cell} of {self.units} units, {ways}{embedding}, {pool}, "
            f"dropout {self.dropout:g}"
        )
