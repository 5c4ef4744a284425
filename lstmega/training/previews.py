"""What a model writes while it learns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.config.options import ModelOptions, TrainingOptions
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import formatting as display
from lstmega.display.history import HistoryRow
from lstmega.inference import generate as sampling
from lstmega.inference.decoder import Decoder
from lstmega.inference.generate import Samples
from lstmega.nn import generator as model
from lstmega.nn.devices import keras
from lstmega.runs import run as runs
from lstmega.runs.generator_job import Job

TEMPERATURES = (0.5, 0.7, 0.9)
DIVERSITIES = (0.2, 0.5, 1.0, 1.2)  # what Keras' old example called them, and showed
LENGTH = 160  # characters


@dataclass(frozen=True)
class _Author:
    """A model in training, as `sampling` wants to see it."""

    name: str
    vocabulary: Vocabulary
    held_out: str
    options: ModelOptions
    training: TrainingOptions
    arrays: dict[str, npt.NDArray[np.float32]]

    @property
    def lines(self) -> bool:
        return self.training.lines

    def decoder(self) -> Decoder:
        return runs.decoder_of(self.options, self.arrays, self.training, self.vocabulary)


def write(job: Job, name: str, network: keras.Model, row: HistoryRow) -> Samples:
    """Write with the weights of the moment, from an excerpt of the held-out text.

    Args:
        job: What is trained.
        name: The run's.
        network: The model in training.
        row: The validation that the samples belong to; with the job's seed it decides them.
    """
    weights = model.weights(network)
    author = _Author(name, job.vocabulary, job.texts[1], job.model, job.training, weights)
    windowed = job.training.order == "windows"
    return sampling.sample(
        author,
        temperatures=DIVERSITIES if windowed else TEMPERATURES,
        length=LENGTH,
        seed=job.training.seed + row.step,
    )


def entry(row: HistoryRow, samples: Samples, tokens: str) -> str:
    """Return what samples.txt says of one validation."""
    loss = row.train_nats if row.validation_nats is None else row.validation_nats
    return f"=== epoch {row.epoch}, step {row.step:,}: {display.loss(loss, tokens)}\n{samples}\n\n"
