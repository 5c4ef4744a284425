"""What a model writes while it learns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega import display, model, sampling
from lstmega.decoder import Decoder
from lstmega.devices import keras
from lstmega.jobs import Job
from lstmega.options import ModelOptions
from lstmega.records import HistoryRow
from lstmega.sampling import Samples
from lstmega.vocabulary import Vocabulary

TEMPERATURES = (0.5, 0.7, 0.9)
LENGTH = 160  # characters


@dataclass(frozen=True)
class _Author:
    """A model in training, as `sampling` wants to see it."""

    name: str
    vocabulary: Vocabulary
    held_out: str
    options: ModelOptions
    arrays: dict[str, npt.NDArray[np.float32]]

    def decoder(self) -> Decoder:
        return Decoder(self.options, self.arrays)


def write(job: Job, name: str, network: keras.Model, row: HistoryRow) -> Samples:
    """Write with the weights of the moment, from an excerpt of the held-out text.

    Args:
        job: What is trained.
        name: The run's.
        network: The model in training.
        row: The validation that the samples belong to; with the job's seed it decides them.
    """
    weights = model.weights(network)
    author = _Author(name, job.vocabulary, job.texts[1], job.model, weights)
    seed = job.training.seed + row.step
    return sampling.sample(author, temperatures=TEMPERATURES, length=LENGTH, seed=seed)


def entry(row: HistoryRow, samples: Samples, tokens: str) -> str:
    """Return what samples.txt says of one validation."""
    loss = row.train_nats if row.validation_nats is None else row.validation_nats
    return f"=== epoch {row.epoch}, step {row.step:,}: {display.loss(loss, tokens)}\n{samples}\n\n"
