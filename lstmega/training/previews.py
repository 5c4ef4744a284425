"""Samples of a generator in training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.config import presets
from lstmega.config.training import Mix, TrainingConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.evaluation import mixing
from lstmega.inference import generate
from lstmega.inference.decoder import AdaptableStepper
from lstmega.inference.mixture import PairedDecoder, mixed
from lstmega.inference.outputs import Samples
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.run import decoder_of, reader_of

DIVERSITIES = (0.2, 0.5, 1.0, 1.2)  # the temperatures of Keras' old example
# Held-out characters that the exponents of a preview are fitted on: fewer for a large vocabulary, whose
# distributions have at most so many numbers.
_LEAST_FITTED, _MOST_FITTED, _NUMBERS = 100, 2000, 400_000


@dataclass(frozen=True)
class _ModelInTraining:
    """A model in training, in the form that `generate.sample` takes."""

    name: str
    vocabulary: Vocabulary
    held_out: str
    training: TrainingConfig
    model: AdaptableStepper

    @property
    def lines(self) -> bool:
        return self.training.lines

    def decoder(self, mix: Mix | None = None) -> AdaptableStepper:
        """Return the model as it is now."""
        return self.model


def write(job: GeneratorJob, name: str, network: keras.Model, step: int) -> Samples:
    """Sample with the current weights, from an excerpt of the held-out text.

    Args:
        job: The training.
        name: The run's name.
        network: The model in training.
        step: The number of steps done; with the job's seed it is the seed of the samples.
    """
    decoder = _decoder(job, weights_of(network))
    model = _ModelInTraining(name, job.vocabulary, job.held_out, job.training, decoder)
    windowed = job.training.order == "windows"
    return generate.sample(
        model,
        temperatures=DIVERSITIES if windowed else presets.PREVIEW_TEMPERATURES,
        length=presets.PREVIEW_LENGTH,
        seed=job.training.seed + step,
    )


def _decoder(job: GeneratorJob, weights: dict[str, npt.NDArray[np.float32]]) -> AdaptableStepper:
    """Return the network, mixed with the n-gram model where the run will be."""
    network = decoder_of(job.model, weights, job.training, job.vocabulary)
    ids = job.held_out_ids() if job.mixes else None
    if ids is None:
        return network
    pair = PairedDecoder(network, reader_of(job.ngram, job.training, job.vocabulary))
    some = min(_MOST_FITTED, max(_LEAST_FITTED, _NUMBERS // (2 * len(job.vocabulary))))
    return mixed(pair, mixing.fit(pair, ids[:some]))
