"""Learner of a classifier: buckets of labelled sequences, accuracy, predictions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.data.vocabulary import Vocabulary
from lstmega.display import formatting
from lstmega.inference.classifier import Classifier
from lstmega.nn import backbone, classifier
from lstmega.nn.backbone import weights_of
from lstmega.nn.devices import keras, tf
from lstmega.runs.classifier_job import ClassifierJob
from lstmega.runs.run import ClassifierRun, GeneratorRun, log_probabilities
from lstmega.training.learner import Learner, Preview, Validated
from lstmega.training.schedule import Schedule
from lstmega.training.step import ClassifierStep

VALIDATED = 20_000  # held-out examples that a validation reads, at most
_SHOWN = 4  # held-out examples of a preview


class ClassifierLearner(Learner[ClassifierJob]):
    """A classifier and its examples."""

    def _build(self) -> keras.Model:
        job = self.job
        return classifier.build(
            job.model,
            job.inputs,
            len(job.data.classes),
            tokens=job.vocabulary is not None,
            seed=job.training.seed,
        )

    def _prepare(self) -> None:
        job = self.job
        self._step = self._make_step(
            ClassifierStep,
            unknown_id=None if job.vocabulary is None else job.vocabulary.unknown_id,
            class_weights=job.class_weights(),
            counted=job.step_units,
        )
        self._held_out = job.split[1][:VALIDATED]
        self.validated_units, self.final_units = len(self._held_out), len(job.split[1])

    def learn(self, batch: Any) -> float:
        """Take a step on (inputs, lengths, labels), and return its loss in nats per example."""
        return float(self._step(*batch))

    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        step = first
        while True:
            epoch, done = schedule.position(step)
            for batch in self.job.batches.epoch(epoch, done):
                yield tuple(map(tf.constant, (batch.inputs, batch.lengths, batch.labels)))
                step += 1

    def validate(self) -> Validated | None:
        """Measure nats per held-out example, and the accuracy."""
        return self._measured(self._held_out) if self.validated_units else None

    def _final_nats(self) -> float | None:
        return self._measured(self.job.split[1]).nats

    def _measured(self, places: npt.NDArray[np.int64]) -> Validated:
        logs, labels = self._log_probabilities(places), self.job.examples.labels[places]
        nats = -logs[np.arange(len(labels)), labels]
        return Validated(float(nats.mean()), float((logs.argmax(axis=1) == labels).mean()))

    def _log_probabilities(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        model = Classifier(self.job.model, weights_of(self.network))
        return log_probabilities(model, self.job.examples, places)

    def _preview(self, name: str, step: int) -> tuple[str, Preview]:
        """Classify a few held-out examples; training examples, where nothing is held out."""
        job, random = self.job, np.random.default_rng([self.job.training.seed, step])
        pool = self._held_out if self.validated_units else job.split[0]
        places = random.choice(pool, min(_SHOWN, len(pool)), replace=False)
        shown = [
            (job.data.labels[place], self._prediction(place, logs))
            for place, logs in zip(places.tolist(), self._log_probabilities(places), strict=True)
        ]
        return "\n".join(f"{label}: {formatting.one_line(text, 200)}" for label, text in shown), shown

    def _prediction(self, place: int, logs: npt.NDArray[np.float64]) -> str:
        """Return an example and its predicted class in one line."""
        data, best = self.job.data, int(logs.argmax())
        sequence = data.sequences[place]
        shown = formatting.one_line(sequence, 60) if isinstance(sequence, str) else f"example {place:,}"
        mark = "=" if data.classes[best] == data.labels[place] else "≠"
        return f"{mark} {data.classes[best]} {np.exp(logs[best]):.0%}  {shown}"

    def warm_start(self, initial: GeneratorRun | ClassifierRun) -> None:
        """Load embedding and recurrent layers of a run that reads characters; the classes stay fresh."""
        before, now = initial.vocabulary, self.job.vocabulary
        if isinstance(before, Vocabulary) and isinstance(now, Vocabulary):
            heads = ("classes/", "logits/", "projection/", "head_norm/")
            weights = {n: array for n, array in initial.weights().items() if not n.startswith(heads)}
            axes = {"embedding/embeddings": 0}
            backbone.warm_start(self.network, weights, before, now, token_axes=axes)
