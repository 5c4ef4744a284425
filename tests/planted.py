"""Models whose weights are set by hand, so that it is known what their units do."""

from types import SimpleNamespace

import numpy as np

from lstmega.config.model import GeneratorConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference.decoder import Decoder
from tests.inference.test_decoder import random_weights

FOLLOWS, STILL = (
    3,
    5,
)  # places of the unit in layer 1 that follows brackets, and of the one that is still


class PlantedRun:
    """As much of a run as looking inside needs; one unit is 1 after `(` and 0 (or -1) after `)`.

    The planted LSTM unit never forgets, so that a lane that begins within brackets stays wrong.
    """

    def __init__(self, text, *, cell="lstm", tokens="char", layers=2, vocabulary=None, planted=True):
        self.name, self.held_out = "planted", text
        self.vocabulary = vocabulary or Vocabulary.of(text, kind=tokens)
        size = len(self.vocabulary)
        self.options = GeneratorConfig(cell=cell, units=8, layers=layers, embedding=size)
        self.record = SimpleNamespace(
            model=self.options, text=SimpleNamespace(name="made", tokens=tokens)
        )
        self.weights = random_weights(self.options, size)
        self.weights["embedding/embeddings"] = np.eye(size, dtype=np.float32)
        if planted:
            self._plant(cell)

    def network(self):
        return Decoder(self.options, self.weights)

    def decoder(self, mix=None):
        return self.network()

    def _plant(self, cell):
        """lstm: the input gate is open at brackets only, nothing is forgotten; rnn: a switch."""
        kernel, recurrent, bias = (
            self.weights[f"{cell}_1/{part}"] for part in ("kernel", "recurrent_kernel", "bias")
        )
        units = self.options.units
        for unit in (FOLLOWS, STILL):
            for array in (kernel, recurrent, bias):
                array[..., unit::units] = 0
        still = slice(STILL, None, units)  # tanh(0.5) after every character
        bias[still] = [20, -20, 0.5, 20] if cell == "lstm" else 0.5
        opening, closing = (self.vocabulary.characters.find(one) for one in "()")
        if cell == "lstm":
            i, f, c, o = (FOLLOWS + gate * units for gate in range(4))
            bias[[i, f, o]] = -20, 20, 20
            kernel[opening, [i, c]] = 40, 20
            kernel[closing, [i, c]] = 40, -20
        else:
            recurrent[FOLLOWS, FOLLOWS] = 5
            kernel[opening, FOLLOWS], kernel[closing, FOLLOWS] = 20, -20
