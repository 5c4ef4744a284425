"""Samples of a generator in training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.config.model import GeneratorConfig
from lstmega.config.training import Mix, TrainingConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference import generate
from lstmega.inference.decoder import Decoder
from lstmega.inference.outputs import Samples
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.run import decoder_of

TEMPERATURES = (0.5, 0.7, 0.9)
DIVERSITIES = (0.2, 0.5, 1.0, 1.2)  # the temperatures of Keras' old example
LENGTH = 160  # characters


@dataclass(frozen=True)
class _ModelInTraining:
    """A model in training, in the form that `generate.sample` takes."""

    name: str
    vocabulary: Vocabulary
    held_out: str
    config: GeneratorConfig
    training: TrainingConfig
    weights: dict[str, npt.NDArray[np.float32]]

    @property
    def lines(self) -> bool:
        return self.training.lines

    def decoder(self, mix: Mix | None = None) -> Decoder:
        """Return the network: its n-gram model is counted when the training is finished."""
        return decoder_of(self.config, self.weights, self.training, self.vocabulary)


def write(job: GeneratorJob, name: str, network: keras.Model, step: int) -> Samples:
    """Sample with the current weights, from an excerpt of the held-out text.

    Args:
        job: The training.
        name: The run's name.
        network: The model in training.
        step: The number of steps done; with the job's seed it is the seed of the samples.
    """
    held_out, weights = job.held_out, weights_of(network)
    model = _ModelInTraining(name, job.vocabulary, held_out, job.model, job.training, weights)
    windowed = job.training.order == "windows"
    return generate.sample(
        model,
        temperatures=DIVERSITIES if windowed else TEMPERATURES,
        length=LENGTH,
        seed=job.training.seed + step,
    )
