"""Decoders and runs whose next character is known beforehand."""

import numpy as np

from lstmega.config.model import GeneratorConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference.decoder import Decoder

LETTERS = Vocabulary("\n abcdefghijklmnopqrstuvwxyz")


class Scripted:
    """Spells a text for ever whatever it reads; its state is the place in the text, per row."""

    def __init__(self, ids, size):
        self.ids, self.size, self.read_ids = np.asarray(ids), size, []

    def zero_states(self, rows):
        return ((np.zeros((1, rows), np.float32),),)

    def read(self, ids, states):
        self.read_ids += list(ids)
        return self._logits(states), states

    def step(self, ids, states):
        ((place,),) = states
        states = ((place + 1,),)
        return self._logits(states), states

    def _logits(self, states):
        place = states[0][0][0].astype(int) % len(self.ids)
        return np.where(np.arange(self.size) == self.ids[place][:, np.newaxis], 0, -1e4).astype(
            np.float32
        )


class Fair:
    """Gives every id but the favoured the same logit, always: draws are as random as they get."""

    def __init__(self, size, favoured=(), by=0.0):
        self.row = np.zeros(size, np.float32)
        self.row[list(favoured)] = by

    def zero_states(self, rows):
        return ((np.zeros((1, rows), np.float32),),)

    def read(self, ids, states):
        return np.tile(self.row, (states[0][0].shape[1], 1)), states

    def step(self, ids, states):
        return self.read(ids, states)


class FakeRun:
    name, lines = "fake", False

    def __init__(self, decoder, vocabulary=LETTERS, held_out=""):
        self._decoder, self.vocabulary, self.held_out = decoder, vocabulary, held_out

    def decoder(self, mix=None):
        return self._decoder


def spelling(text, vocabulary=LETTERS, **more):
    ids = vocabulary.encode(vocabulary.from_user(text))
    return FakeRun(Scripted(ids, len(vocabulary)), vocabulary, **more)


def real_run(units=64, seed=0, scale=1.5, vocabulary=LETTERS):
    options = GeneratorConfig(units=units, embedding=16)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, scale / np.sqrt(shape[0]), shape).astype(np.float32)
        for name, shape in options.weight_shapes(len(vocabulary)).items()
    }
    return FakeRun(Decoder(options, weights), vocabulary)
